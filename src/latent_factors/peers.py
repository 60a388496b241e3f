"""Other libraries on the same data, side by side: RecBole in a virtual environment of its own.

The scripts stand in ../shared/peers, beside the project; without them there is nothing to compare with.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from latent_factors.data.atomic import write_atomic
from latent_factors.fit import Task
from latent_factors.paths import root

EPOCHS = 6
PARTS = {"train": "train", "validation": "valid", "test": "test"}  # our name of a part, and RecBole's


def recbole() -> Path | None:
    """Return the interpreter of an environment with RecBole, made if need be; None without its scripts."""
    scripts = root().parent / "shared" / "peers"
    if not scripts.is_dir():
        print("no ../shared/peers beside the project: nothing is measured beside RecBole", file=sys.stderr)
        return None
    environment = root() / "build" / "recbole"
    python = environment / "bin" / "python"
    if not python.is_file():
        subprocess.run([scripts / "recbole_setup.sh", environment], check=True)
    return python


def run(python: Path, model: str, dataset: str, threads: int, epochs: int, config: dict, data: Path) -> dict:
    """Train RecBole's `model` on a data set below the folder `data`; return what its script measured."""
    words = [
        python, root().parent / "shared" / "peers" / "recbole_bench.py", model, dataset, "--data", data,
        "--epochs", str(epochs), "--config", json.dumps(config),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, cwd=root() / "build")
    return json.loads(done.stdout.splitlines()[-1])


def seconds(python: Path, model: str, dataset: str, threads: int, config: dict) -> dict[str, float]:
    """Return the seconds of a warm `epoch` and of an `evaluation` of RecBole's `model`.

    Its script times fits: one of EPOCHS epochs less one of a single epoch, without evaluations, gives the epochs.
    """
    config = config | {"eval_step": 0}
    first, more = (run(python, model, dataset, threads, epochs, config, root() / "data") for epochs in (1, EPOCHS))
    return {"epoch": (more["fit_s"] - first["fit_s"]) / (EPOCHS - 1), "evaluation": more["eval_s"]}


def write_parts(task: Task, folder: Path) -> str:
    """Write a task's three parts as files of RecBole below `folder`, so that its models get the very same rows.

    Returns the name of that data set; it is not the task's, as RecBole reads its own ml-100k whatever the folder.
    """
    source, name = root() / "data" / task.dataset, f"{task.dataset}-rows"
    (folder / name).mkdir(parents=True)
    for suffix in ("user", "item"):
        if (source / f"{task.dataset}.{suffix}").is_file():
            shutil.copyfile(source / f"{task.dataset}.{suffix}", folder / name / f"{name}.{suffix}")
    lines = (source / f"{task.dataset}.inter").read_text(encoding="utf-8").splitlines()
    for part, theirs in PARTS.items():
        rows = [lines[line - 1] for line in sorted(task.lines(part))]
        (folder / name / f"{name}.{theirs}.inter").write_text("\n".join([lines[0], *rows]) + "\n", encoding="utf-8")
    return name


def write_in_order(task: Task, folder: Path) -> str:
    """Write a sequence task's events as a data set of RecBole below `folder`, in their order; return its name.

    The place of an event stands for its time: events of one second, which RecBole sorts as it comes, get an order.
    """
    name, events = f"{task.dataset}-order", task.interactions
    table = pd.DataFrame({
        "user_id": events.user[task.order], "item_id": events.item[task.order],
        "timestamp": np.arange(len(events), dtype=float),
    })
    (folder / name).mkdir(parents=True)
    types = {"user_id": "token", "item_id": "token", "timestamp": "float"}
    write_atomic(table, types, folder / name / f"{name}.inter")
    return name
