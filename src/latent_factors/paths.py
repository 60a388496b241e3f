"""Where things stand, seen from the project's root."""

import os
from pathlib import Path

from latent_factors.errors import UserError


def root() -> Path:
    """Return the project's root: the nearest folder at or above the working one that holds dvc.yaml.

    Raises UserError outside a project.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise UserError(f"no dvc.yaml in {here} or above it: change into the project's folder first")


def run_folder(stage: str, dataset: str, task: str, model: str) -> Path:
    """Return the folder of a trained model; `stage` is "train", "curve" or "search"."""
    return root() / "build" / stage / f"{dataset}-{task}-{model}"


def out_folder(notebook: str) -> Path:
    """Return the folder a notebook writes to.

    The runner names it in LATENT_FACTORS_OUT; a notebook opened by hand writes to build/scratch.
    """
    folder = Path(os.environ.get("LATENT_FACTORS_OUT") or root() / "build" / "scratch" / notebook)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
