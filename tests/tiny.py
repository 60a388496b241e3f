"""The whole pipeline on made data: a temporary clone of this project that runs in about a minute."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from ruamel.yaml import YAML

from conftest import HOME, planted, write_inter
from latent_factors import settings as checked
from latent_factors.data.atomic import write_atomic
from latent_factors.fit import fit
from latent_factors.models import build
from latent_factors.runs import save_run
from latent_factors.tasks import prepare

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
}
KEPT = {
    "reports/bench.json",
    "reports/device.json",
    "reports/experiments/k-max.png",
    *(f"reports/tuning/{name}.csv" for name in (*checked.TASKS, "search")),
}
MADE = ("dvc.lock", "data.dvc", "replications/dvc.lock")
SIDE_BY_SIDE = re.findall(r"^(?:TRAIN|LOOK|CHAPTERS) := (.+)$", (HOME / "Makefile").read_text(), re.MULTILINE)
GRADIENT = {"learning_rate": 0.03, "l2": 0.001, "l2_power": 0.5, "batch_size": 128, "epochs": 2, "patience": 2}
TRAINED = {  # a model of each kind, for what is done with trained models
    ("topk", "popular"): {}, ("topk", "bpr"): {"dim": 3} | GRADIENT,
    ("rating", "biases"): {"user_damping": 1.0, "item_damping": 1.0}, ("ctr", "lr"): GRADIENT,
    ("release", "popular_genre"): {"damping": 1.0, "length": 0.5, "crowding": 0.5},
    ("sequence", "markov"): {"damping": 5.0},
}
yaml = YAML()


def command(folder: Path, *words: str, check: bool = True) -> str:
    """Run a command in a folder and return what it printed."""
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def make(folder: Path) -> Path:
    """Clone this project as it stands into `folder`, with made data and tiny parameters, committed."""
    folder.mkdir(exist_ok=True)
    listed = command(HOME, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in listed:
        made_by_pipeline = name.startswith("reports/") and name not in KEPT and "/replications/" not in name
        if (HOME / name).is_file() and not made_by_pipeline and name not in MADE:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOME / name, folder / name)
    change(folder, shrink)
    data(folder)
    command(folder, "git", "init", "--quiet", "--initial-branch=main")
    command(folder, "dvc", "add", "--quiet", "data")
    command(folder, "git", "add", "--all")
    command(folder, "git", "commit", "--quiet", "--message", "tiny")
    return folder


def change(folder: Path, function) -> None:
    """Edit params.yaml: `function` gets its content and changes it."""
    path = folder / "params.yaml"
    values = yaml.load(path.read_text())
    function(values)
    with path.open("w") as file:
        yaml.dump(values, file)


def shrink(values: dict) -> None:
    """Set every size to what a minute allows."""
    values["dataset"] = "tiny"
    values["seeds"]["count"] = 2
    values["statistics"].update(replicates=100, blocks=2)
    values["clicks"].update(positive_above=3.5, negative_below=3.5)
    models = [settings for task in checked.TASKS for settings in values[task].values()]
    small = {"epochs": 2, "batch_size": 256, "neighbours": 5}
    for settings in [*models, *(point for points in values["curve"].values() for point in points)]:
        settings.update({key: value for key, value in small.items() if key in settings})
        if "dim" in settings:
            settings["dim"] = min(settings["dim"], 4)
    for model, points in values["curve"].items():
        values["curve"][model] = points[:2]
    values["compute"]["threads"] = 1
    values["interpret"]["concepts"].update(deviations=0.5)
    values["interpret"]["autoencoder"].update(epochs=5)
    values["interpret"]["itda"].update(size=10)
    for settings in values["search"].values():
        settings["shared"].update(dim=2, rates=[0.0, 0.5], blocks=3)
        settings["dnis"].update(epochs=2)


def data(folder: Path) -> None:
    """Write data/tiny: planted ratings of 60 users for 40 items with titles, genres and years."""
    ratings = planted(users=60, items=40, rank=2, noise=0.5, filled=0.5)
    ratings["rating"] = ratings["rating"].clip(1, 5).round()
    write_inter(folder, "tiny", ratings)
    number = np.arange(40)
    items = pd.DataFrame({
        "item_id": [f"i{n}" for n in number], "movie_title": [f"Film {n}" for n in number],
        "release_year": (1960 + number).astype(str), "class": np.where(number % 2, "Drama", "Comedy War"),
    })
    types = {"item_id": "token", "movie_title": "token_seq", "release_year": "token", "class": "token_seq"}
    write_atomic(items, types, folder / "data" / "tiny" / "tiny.item")


def pipeline(folder: Path) -> None:
    """Make a tiny project, run its pipeline and commit the results, unless another process does or did."""
    done = folder.with_name(f"{folder.name}.done")
    with FileLock(done.with_suffix(".lock")):
        if not done.exists():
            finish(make(folder))
            done.touch()


def finish(folder: Path) -> None:
    """Run what `make repro` runs, and commit what it made."""
    printed = command(folder, sys.executable, "-m", "latent_factors.repro", *" -- ".join(SIDE_BY_SIDE).split())
    assert re.search(r"^stage 84 of 84: render\n", printed, re.MULTILINE)
    assert re.search(r"^84 of 84 stages ran in .*; 0 were up to date, 0 came from DVC's cache$", printed, re.MULTILINE)
    command(folder, "git", "add", "--all")
    command(folder, "git", "commit", "--quiet", "--message", "results")


def train(folder: Path) -> Path:
    """Make a project of data and params.yaml alone, and train the models of TRAINED in it under two seeds."""
    (folder / "dvc.yaml").touch()
    shutil.copy(HOME / "params.yaml", folder)
    change(folder, lambda values: values.update(dataset="tiny"))
    data(folder)
    settings = checked.load_settings(folder / "params.yaml")
    with contextlib.chdir(folder):
        for (name, model), values in TRAINED.items():
            (point,) = checked.points(name, model, values)
            task = prepare(name, "tiny", settings.data, getattr(settings, checked.TASKS[name][1]), torch.device("cpu"))

            def make(model=model, point=point, task=task):
                return build(model, point, task.inputs)

            own = folder / "build" / "train" / f"tiny-{name}-{model}"
            own.mkdir(parents=True)
            save_run(own, f"{name}.{model}", task, [point], [fit(f"{name}.{model}", make, task, point, [1, 2])], [1, 2])
    return folder
