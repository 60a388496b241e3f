"""What made a page: data, parameters, versions and source, as hashes and values that do not change by the run."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from latent_factors.errors import UserError
from latent_factors.paths import root

PACKAGES = ("torch", "numpy", "pandas", "matplotlib")


def data_hash(dataset: str) -> str:
    """Return the SHA-256 over names and contents of the files of data/<dataset>.

    Raises UserError when there is no such folder.
    """
    folder = root() / "data" / dataset
    if not folder.is_dir():
        raise UserError(f"data/{dataset} is missing; `make data` fetches it")
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def source_hash(notebook: str) -> str:
    """Return the SHA-256 of notebooks/<notebook>.ipynb: the sources of its cells, whatever else it stores."""
    cells = json.loads((root() / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\0".join("".join(cell["source"]) for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()


def provenance(notebook: str, dataset: str, parameters: dict) -> dict:
    """Return the record of a chapter: where it came from, in an order that never changes."""
    return {
        "notebook": f"notebooks/{Path(notebook).name}.ipynb",
        "notebook_sha256": source_hash(notebook),
        "data": dataset,
        "data_sha256": data_hash(dataset),
        "parameters": parameters,
        "versions": {package: version(package) for package in PACKAGES},
    }
