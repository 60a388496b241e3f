"""Files in which studies keep their runs: named by all that a run was made of, and whole as soon as they are there."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np


def name(dataset: str, model: str, number: int, made_of: dict) -> str:
    """Return the name of the file of a model's run, numbered from 0; what it is `made_of` tells it from others."""
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    return f"{dataset}-{model}-{digest}-{number + 1}.npz"


def write(path: Path, **arrays: object) -> None:
    """Write arrays, which are no objects, to a file."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    part.replace(path)
