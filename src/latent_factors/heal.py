"""Mend what a killed DVC leaves half-written: `python -m latent_factors.heal`, before `dvc repro`.

DVC rewrites its lock of running commands and `dvc.lock` in place; a kill inside that moment leaves a file that every
later DVC command refuses. Both are derived: without the first nothing is locked, without the second DVC takes each
stage's results from its run cache. Whole files are left alone.
"""

import json
from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo

from latent_factors.errors import tell
from latent_factors.paths import root


def heal(project: Path) -> list[Path]:
    """Move unreadable lock files to `failed/` and return where they lie now."""
    moved = []
    for path, whole in ((project / ".dvc/tmp/rwlock", holds_json), (project / "dvc.lock", holds_stages)):
        if path.is_file() and not whole(path):
            aside = project / "failed" / path.name
            aside.parent.mkdir(exist_ok=True)
            moved.append(path.replace(aside))
    return moved


def holds_json(path: Path) -> bool:
    """Say whether a file is whole JSON, as DVC's lock of running commands is."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def holds_stages(path: Path) -> bool:
    """Say whether a `dvc.lock` can be read; one with a merge conflict is its author's to mend and passes."""
    if b"\n<<<<<<< " in path.read_bytes():
        return True
    try:
        with Repo(str(path.parent)) as repo:
            Lockfile(repo, str(path)).load()
    except DvcException:
        return False
    return True


def main() -> None:
    """Heal this project and say what was moved."""
    for path in heal(root()):
        print(f"A killed run left {path.name} half-written; it now lies in {path.relative_to(root())}")


if __name__ == "__main__":
    raise SystemExit(tell(main))
