"""The training loop. It trains one model under several seeds at once and knows neither model nor task."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from latent_factors.errors import UserError
from latent_factors.settings import Compute, Section, Seeds

PREDICTED_ROWS = 2**16  # at a time: 160 MiB of looked-up vectors at K = 64 and five seeds

Predict = Callable[[Tensor], Tensor]


class Task(Protocol):
    """What the loop asks of a task."""

    train: tuple[Tensor, Tensor]
    frequency: Tensor

    def loss(self, predict: Predict, rows: Tensor) -> Tensor:
        """Return the mean loss of the training rows (B,); `predict` maps ids (B, F) to outputs (B,)."""

    def score(self, predict: Predict) -> Tensor:
        """Return the validation scores (S,), smaller is better; `predict` maps ids (n, F) to outputs (S, n)."""


@dataclass(frozen=True)
class Fit:
    """A model trained under S seeds.

    Attributes:
        model: the module, its own parameters unused.
        weights: each parameter by name, (S, ...), from each seed's best epoch.
        best: (S,) the validation scores there.
        history: a row a seed and epoch, until that seed's patience ran out.
    """

    model: nn.Module
    weights: dict[str, Tensor]
    best: Tensor
    history: list[dict]

    @torch.no_grad()
    def predict(self, ids: Tensor) -> Tensor:
        """Return the outputs (S, n) for rows of ids (n, F)."""
        return _predict(self.model, self.weights, ids)


def set_up(compute: Compute) -> torch.device:
    """Fix the number of threads and return the device.

    Raises UserError when a GPU is asked for and none is there.
    """
    torch.set_num_threads(compute.threads)
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise UserError("params.yaml: compute.device is cuda, and torch sees no GPU; set it to auto or cpu")
    if compute.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(compute.device)


def derive_seeds(seeds: Seeds, name: str) -> list[int]:
    """Return the seeds of a model's runs, from the root seed, the model's name and the run's number alone.

    So neither another model nor one more run shifts them.
    """
    return [_digest(f"{seeds.root}/{name}/{run}") for run in range(seeds.count)]


def fit(name: str, build: Callable[[], nn.Module], task: Task, settings: Section, seeds: list[int]) -> Fit:
    """Train a model under each seed and keep each seed's weights of its best validation epoch.

    `build` makes an untrained model from torch's global generator. A model with a method `sweep` is fitted by
    calling it on all training rows once an epoch, any other by Adam on shuffled batches, all seeds in one
    stacked computation. A seed ends once its score has not improved for `settings.patience` epochs, all end
    after `settings.epochs`. A line an epoch goes to stderr.

    Raises UserError when the loss stops being finite.
    """
    models = []
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            models.append(build().to(task.frequency.device))
    kind = _Sweeps if hasattr(models[0], "sweep") else _Adam
    trainer = kind(name, models, task, settings, seeds)

    best = task.frequency.new_full((len(seeds),), torch.inf)
    waited = torch.zeros_like(best)
    kept: dict[str, Tensor] = {}
    history: list[dict] = []
    for epoch in range(1, settings.epochs + 1):
        loss = trainer.epoch(epoch)
        weights = trainer.weights()
        with torch.no_grad():
            score = task.score(lambda ids, weights=weights: _predict(models[0], weights, ids))
        active = waited < settings.patience
        better = (score < best) & active
        history += [
            {"seed": seed, "epoch": epoch, "loss": loss[run].item(), "validation": score[run].item()}
            for run, seed in enumerate(seeds) if active[run]
        ]
        best = torch.where(better, score, best)
        waited = torch.where(better, 0, waited + 1)
        kept = {key: _choose(better, value, kept.get(key, value)) for key, value in weights.items()}
        _say(name, settings, epoch, loss.mean(), score.mean(), best.mean())
        if (waited >= settings.patience).all():
            break
    return Fit(models[0], kept, best, history)


class _Objective(nn.Module):
    """A model's loss and penalty as one module, so that both take stacked weights.

    The penalty of feature f weighs n_f^ν / n, ν being `settings.l2_power`.
    """

    def __init__(self, model: nn.Module, task: Task, settings: Section):
        super().__init__()
        self.model, self.task = model, task
        self.weight = task.frequency**settings.l2_power / len(task.train[1])

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.task.loss(self.model, rows), self.model.penalty(self.weight)


class _Adam:
    """Stochastic gradients on the sum of the seeds' losses; the seeds' gradients do not mix."""

    def __init__(self, name: str, models: list[nn.Module], task: Task, settings: Section, seeds: list[int]):
        self.name, self.task, self.settings = name, task, settings
        objectives = [_Objective(model, task, settings) for model in models]
        self.parameters, _ = stack_module_state(objectives)
        self.objective = vmap(lambda weights, rows: functional_call(objectives[0], weights, (rows,)))
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=settings.learning_rate, fused=True)
        self.generators = [torch.Generator().manual_seed(_digest(f"{seed}/shuffle")) for seed in seeds]

    def epoch(self, epoch: int) -> Tensor:
        """Pass once over the training rows, each seed in an order of its own; return the mean losses (S,)."""
        number = len(self.task.train[1])
        order = torch.stack([torch.randperm(number, generator=generator) for generator in self.generators])
        losses = []
        for rows in order.to(self.task.frequency.device).split(self.settings.batch_size, dim=1):  # (S, B)
            loss, penalty = self.objective(self.parameters, rows)
            self.optimiser.zero_grad()
            (loss + penalty).sum().backward()
            self.optimiser.step()
            losses.append(loss.detach())
        steps = torch.stack(losses)  # (steps, S)
        if not steps.isfinite().all():
            self._refuse(steps, epoch)
        return steps.mean(0)

    def weights(self) -> dict[str, Tensor]:
        return {key.removeprefix("model."): value.detach() for key, value in self.parameters.items()}

    def _refuse(self, steps: Tensor, epoch: int) -> None:
        step, run = torch.nonzero(~steps.isfinite())[0].tolist()
        raise UserError(
            f"{self.name}: the loss became {steps[step, run].item()} at step {(epoch - 1) * len(steps) + step + 1}"
            f" (epoch {epoch}, batch {step + 1} of {len(steps)}, run {run}) with learning_rate"
            f" {self.settings.learning_rate} and batch_size {self.settings.batch_size}; lower the learning_rate of"
            f" {self.name} in params.yaml"
        )


class _Sweeps:
    """Models that solve for all training rows at a time."""

    def __init__(self, name: str, models: list[nn.Module], task: Task, settings: Section, seeds: list[int]):
        self.models, self.task = models, task

    @torch.no_grad()
    def epoch(self, epoch: int) -> Tensor:
        """Sweep each model once; return the mean losses (S,)."""
        for model in self.models:
            model.sweep(*self.task.train)
        return self.task.loss(lambda ids: _predict(self.models[0], self.weights(), ids), slice(None))

    def weights(self) -> dict[str, Tensor]:
        return {key: value.detach() for key, value in stack_module_state(self.models)[0].items()}


def _predict(model: nn.Module, weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    forward = vmap(lambda one, rows: functional_call(model, one, (rows,)), in_dims=(0, None))
    return torch.cat([forward(weights, rows) for rows in ids.split(PREDICTED_ROWS)], 1)


def _choose(better: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(better.view(-1, *[1] * (new.dim() - 1)), new, old)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def _say(name: str, settings: Section, epoch: int, loss: Tensor, score: Tensor, best: Tensor) -> None:
    dim = f" K={settings.dim}" if hasattr(settings, "dim") else ""
    print(
        f"{name}{dim}  epoch {epoch}/{settings.epochs}  loss {loss:.4f}  validation {score:.4f}  best {best:.4f}",
        file=sys.stderr, flush=True,
    )
