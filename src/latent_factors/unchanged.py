"""Whether any file changed since DVC found all stages up to date.

DVC takes seconds to say so of many stages. Like DVC, which hashes no file again whose size, time and inode are the
same, this goes by those alone; whatever differs leaves the question to DVC.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

RECORD = "build/up-to-date.json"
ALWAYS = ("dvc.yaml", "dvc.lock", "data.dvc", "params.yaml", ".dvcignore", ".dvc/config", ".dvc/config.local")


def stages(project: Path) -> int | None:
    """Return how many stages are up to date, if nothing changed since that was recorded, else None."""
    try:
        found = json.loads((project / RECORD).read_text(encoding="utf-8"))
        number, files = found["stages"], found["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return number if files == fingerprint(project) else None


def record(project: Path, files: str, number: int) -> None:
    """Record that all of `number` stages are up to date where the project's fingerprint is `files`."""
    text = json.dumps({"files": files, "stages": number})
    aside = (project / RECORD).with_suffix(".new")
    aside.parent.mkdir(exist_ok=True)
    aside.write_text(text, encoding="utf-8")
    aside.replace(project / RECORD)


def fingerprint(project: Path) -> str:
    """Return a hash over names, sizes, times and inodes of all that DVC looks at, in a project as dvc.lock has it."""
    digest = hashlib.sha256()
    for path in sorted({*ALWAYS, *_locked(project / "dvc.lock")}):
        for name, own in _files(project / path):
            digest.update(f"{name} {own.st_size} {own.st_mtime_ns} {own.st_ino}\n".encode())
    return digest.hexdigest()


def _locked(lock: Path) -> Iterator[str]:
    """Yield the path of each dependency, file of parameters and output."""
    try:
        found = YAML(typ="safe").load(lock)["stages"]
    except (OSError, YAMLError, KeyError, TypeError):
        return
    for stage in found.values():
        for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
            yield entry["path"]
        yield from stage.get("params", ())


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield a file, or those in a folder, in a fixed order; nothing where nothing is."""
    if not path.is_dir():
        if path.exists():
            yield str(path), path.stat()
        return
    for folder, below, names in os.walk(path):
        below[:] = sorted(set(below) - {"__pycache__", ".ipynb_checkpoints"})
        for name in sorted(names):
            file = Path(folder, name)
            yield str(file), file.stat()
