"""Bring back what a train stage left, to be looked into."""

from pathlib import Path

import torch

from latent_factors.fit import Task
from latent_factors.interpret.activations import Activations
from latent_factors.models import build
from latent_factors.runs import load_model, load_run
from latent_factors.settings import points


def look_into(
    folder: Path, name: str, task: Task, seen: Task | None = None
) -> tuple[list[Activations], list[Activations]]:
    """Return the activations of every run of TASK.MODEL in `folder`, and those of the same runs before training.

    `task` is the one that the runs were trained for. They are shown the test users of `seen`, by default the same.

    Raises UserError when nothing is there, when it was made on another split, or for a model that has no vector just
    before scoring.
    """
    run = load_run(folder, task)
    (point,) = points(*name.split("."), run.points[0]["settings"])
    after, before = [], []
    for number, seed in enumerate(run.seeds):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build(name.split(".")[1], point, task.inputs).to(task.frequency.device).eval()
        before.append(Activations.of(module, seen or task))
        after.append(Activations.of(load_model(module, folder, number), seen or task))
    return after, before
