"""Outputs of stages that lie in Git, so that whoever clones the project need not train for them.

    python -m latent_factors.shelf STAGE ...    lay the outputs of these stages there, and nothing else

reports/shelf is a remote of DVC (`dvc pull --remote shelf STAGE ...`), from which `make repro` fills DVC's cache. A
stage is still run as soon as anything that it depends on is not what dvc.lock has: its outputs are then others.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from latent_factors.errors import UserError, tell
from latent_factors.paths import root

SHELF = "reports/shelf"
FILES = "files/md5"  # in a remote, as in the cache
READ_ONLY = 0o444  # by which DVC knows that nobody changed a file of its cache


def take(project: Path) -> int:
    """Copy to DVC's cache what it lacks of the outputs in dvc.lock that the shelf has whole; return how many files."""
    shelf, lock = project / SHELF, project / "dvc.lock"
    if not (shelf.is_dir() and lock.is_file()):
        return 0
    cache = _cache(project)
    files = {name for _, out in _outputs(lock) for name in _whole(out, shelf)}
    return sum(_copy(name, shelf, cache) for name in sorted(files))


def put(project: Path, stages: list[str]) -> int:
    """Lay the outputs of stages, or of all of a matrix, on the shelf, and nothing else; return how many files.

    Raises UserError for a stage that is not in dvc.lock, or whose outputs are not in DVC's cache. The shelf is then as
    it was.
    """
    shelf, cache, files = project / SHELF, _cache(project), set()
    for stage, own in _named(project, stages):
        if not own:
            raise UserError(f"dvc.lock has no outputs of a stage {stage} that DVC keeps; name one that `dvc repro` ran")
        for out in own:
            found = _whole(out, cache)
            if not found:
                raise UserError(f"DVC's cache lacks outputs of {stage}; `dvc repro {stage}` makes them")
            files |= set(found)
    new = shelf.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    for name in files:
        _copy(name, cache, new)
    shutil.rmtree(shelf, ignore_errors=True)
    new.rename(shelf)
    return len(files)


def stale(project: Path) -> list[str]:
    """Return what lies on the shelf and belongs to no output in dvc.lock, or to one that is not whole."""
    shelf = project / SHELF
    known = {name for _, out in _outputs(project / "dvc.lock") for name in _whole(out, shelf)}
    found = {"".join(path.relative_to(shelf / FILES).parts) for path in shelf.rglob("*") if path.is_file()}
    return sorted(found - known)


def lacking(project: Path, stages: list[str]) -> list[str]:
    """Return those of the stages that have no outputs in dvc.lock, or some that do not lie whole on the shelf."""
    return [
        stage for stage, own in _named(project, stages)
        if not own or not all(_whole(out, project / SHELF) for out in own)
    ]


def _cache(project: Path) -> Path:
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        return Path(repo.cache.local.path).parent.parent


def _named(project: Path, stages: list[str]) -> list[tuple[str, list[str]]]:
    """Return each name of a stage, or of a matrix of them, with the hashes of what it makes."""
    outputs = list(_outputs(project / "dvc.lock"))
    return [(stage, [out for name, out in outputs if stage in (name, name.partition("@")[0])]) for stage in stages]


def _outputs(lock: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each stage with the hash of each folder or file that it makes.

    That of metrics is among them: DVC removes them before it looks whether a stage's outputs are in its cache.
    """
    for name, stage in YAML(typ="safe").load(lock)["stages"].items():
        for out in stage.get("outs", ()):
            yield name, out["md5"]


def _whole(out: str, store: Path) -> list[str]:
    """Return the hash of an output, and of a folder's files, where a store has all of it unharmed, else nothing."""
    names = [out]
    if out.endswith(".dir") and _sound(out, store):
        names += [entry["md5"] for entry in json.loads(_place(out, store).read_text(encoding="utf-8"))]
    return names if all(_sound(name, store) for name in names) else []


def _sound(name: str, store: Path) -> bool:
    path = _place(name, store)
    return path.is_file() and hashlib.md5(path.read_bytes()).hexdigest() == name.removesuffix(".dir")


def _copy(name: str, source: Path, target: Path) -> bool:
    path = _place(name, target)
    if path.is_file():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    shutil.copyfile(_place(name, source), aside)
    aside.chmod(READ_ONLY)
    aside.replace(path)
    return True


def _place(name: str, store: Path) -> Path:
    return store / FILES / name[:2] / name[2:]


def _main(stages: list[str]) -> None:
    if not stages:
        raise UserError("name the stages whose outputs are to lie in Git, as `make shelf` does")
    number = put(root(), stages)
    size = sum(path.stat().st_size for path in (root() / SHELF).rglob("*") if path.is_file())
    print(f"{number} files, {size / 2**20:.1f} MiB, lie in {SHELF}")


if __name__ == "__main__":
    sys.exit(tell(lambda: _main(sys.argv[1:])))
