"""Train a model at each of its points under each seed."""

import functools

import torch
from torch import Tensor

from latent_factors.fit import Fit, Task, fit_run
from latent_factors.models import build
from latent_factors.processes import spread
from latent_factors.sections import Compute, Section

Trained = tuple[dict[str, Tensor], float, list[dict]]
"""The weights of a model's best epoch by name, its validation score there, and a row an epoch."""


def train_points(
    name: str, task: Task, points: list[Section], seeds: list[int], compute: Compute, watched: bool = False
) -> list[Fit]:
    """Train TASK.MODEL under each seed at each point, `watched` by the task or not; return a fit a point.

    Raises UserError when a loss stops being finite.
    """
    runs = [(point, seed, number) for point in points for number, seed in enumerate(seeds, 1)]
    trained = spread(functools.partial(_train, name, task, len(seeds), watched), runs, compute)
    return [
        _gather(name, task, point, trained[first : first + len(seeds)])
        for point, first in zip(points, range(0, len(runs), len(seeds)), strict=True)
    ]


def _train(name: str, task: Task, number: int, watched: bool, run: tuple[Section, int, int]) -> Trained:
    point, seed, which = run
    dim = f" K={point.dim}" if hasattr(point, "dim") else ""
    make = functools.partial(build, name.split(".")[1], point, task.inputs)
    model, score, history = fit_run(f"{name}{dim}  run {which}/{number}", make, task, point, seed, watched)
    return model.state_dict(), score, history


def _gather(name: str, task: Task, point: Section, runs: list[Trained]) -> Fit:
    """Return trained runs of a point as models."""
    models = []
    for state, _, _ in runs:
        models.append(build(name.split(".")[1], point, task.inputs).to(task.frequency.device))
        models[-1].load_state_dict(state)
    return Fit(models, torch.tensor([score for _, score, _ in runs]), [row for *_, rows in runs for row in rows])
