"""The training loop. It trains a model under several seeds and knows neither model nor task."""

import ctypes
import hashlib
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors import optimiser
from latent_factors.data.splits import Parts
from latent_factors.embedding import add_gradients
from latent_factors.errors import TrainingError, UserError
from latent_factors.sections import Compute, Section, Seeds


class Task(Protocol):
    """What the loop asks of a task.

    Attributes:
        size: n, how many training rows an epoch passes.
        frequency: n_f (N,), how many training rows hold each id.
        metric: the name of what `score` returns.
        larger_is_better: whether more of it is better.
        dataset: the data set's name.
        parts: which rows train, validate and test.
    """

    size: int
    frequency: Tensor
    metric: str
    larger_is_better: bool
    dataset: str
    parts: Parts

    def lines(self, part: str) -> np.ndarray:
        """Return the line in the .inter file of each row of a part (n,)."""

    def batches(self, model: nn.Module, generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield all training rows once, in a fresh order, `size` of them at a time, as `loss` takes them."""

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Return the mean loss of B training rows."""

    def sweep(self, model: nn.Module) -> Tensor:
        """Let a model that solves for all training rows at a time do so once; return its loss, () or NaN."""

    def score(self, model: nn.Module) -> Tensor:
        """Return the validation score ()."""

    def outputs(self, model: nn.Module, part: str) -> dict[str, Tensor]:
        """Return what is kept of a model's predictions for a part, by name."""

    def measure(self, outputs: dict[str, Tensor], part: str) -> dict[str, Tensor]:
        """Return each metric () of a part's outputs, by name."""

    def watch(self, model: nn.Module) -> dict[str, Tensor]:
        """Return what else is told of a model after an epoch (), by name."""


@dataclass(frozen=True)
class Fit:
    """A model trained under S seeds.

    Attributes:
        models: one a seed, with the weights of its best epoch.
        best: (S,) the validation scores there.
        history: a row a seed and epoch, until that seed's patience ran out.
    """

    models: list[nn.Module]
    best: Tensor
    history: list[dict]

    @property
    def weights(self) -> dict[str, Tensor]:
        """Each parameter by name, (S, ...)."""
        states = [model.state_dict() for model in self.models]
        return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def set_up(compute: Compute) -> torch.device:
    """Fix the number of threads, choose the kernels of products, let freed memory be kept, and return the device.

    Raises UserError when a GPU is asked for and none is there.
    """
    torch.set_num_threads(compute.threads)
    _take_onednn()
    _keep_memory()
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise UserError("params.yaml: compute.device is cuda, and torch sees no GPU; set it to auto or cpu")
    if compute.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(compute.device)


def _take_onednn() -> None:
    """Let oneDNN multiply matrices: torch's default, MKL, leaves half of the speed of an AMD processor unused.

    torch takes oneDNN for float32 only where it may round to bfloat16 inside. The instructions allowed here have no
    bfloat16, so that it cannot, and products stay those of float32 (tests/test_fit.py).
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")  # read once, at the first product
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"


def _keep_memory() -> None:
    """Let glibc keep what tensors of up to 32 MiB free for the next ones: else every step asks the system again."""
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_threshold = -1, -3  # of malloc.h
        allocator = ctypes.CDLL(None)
        allocator.mallopt(mmap_threshold, 2**25)
        allocator.mallopt(trim_threshold, 2**31 - 1)


def derive_seeds(seeds: Seeds, name: str) -> list[int]:
    """Return the seeds of a model's runs, from the root seed, the model's name and the run's number alone.

    So neither another model nor one more run shifts them.
    """
    return [derive(f"{seeds.root}/{name}/{run}") for run in range(seeds.count)]


def fit(name: str, build: Callable[[], nn.Module], task: Task, settings: Section, seeds: list[int]) -> Fit:
    """Train a model under each seed, as `fit_run` does."""
    runs = [
        fit_run(f"{name}  run {number}/{len(seeds)}", build, task, settings, seed)
        for number, seed in enumerate(seeds, 1)
    ]
    models, best, histories = zip(*runs, strict=True)
    return Fit(list(models), torch.tensor(best), [row for rows in histories for row in rows])


def fit_run(
    title: str, build: Callable[[], nn.Module], task: Task, settings: Section, seed: int, watched: bool = False
) -> tuple[nn.Module, float, list[dict]]:
    """Train a model under one seed to its best validation epoch; return it, its score there, and a row an epoch.

    `build` makes an untrained model from torch's global generator. A model with a method `sweep` is fitted by
    calling it once an epoch, any other by Adam on shuffled batches. Training ends once the score has not improved
    for `settings.patience` epochs, at the latest after `settings.epochs`. A line an epoch goes to stderr, after
    `title`, which begins with TASK.MODEL. Where the run is `watched`, rows hold what the task watches too.

    Raises TrainingError when the loss stops being finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build().to(task.frequency.device)
    kind = Sweeps if hasattr(model, "sweep") else Adam
    trainer = kind(title.split()[0], model, task, settings, seed)
    score, rows = train(title, trainer, task, settings.epochs, settings.patience, watched)
    return trainer.model, score, [{"seed": seed, **row} for row in rows]


def train(
    title: str, trainer: "Adam | Sweeps", task: Task, epochs: int, patience: int, watched: bool = False
) -> tuple[float, list[dict]]:
    """Train one model to the end of its patience and leave it at its best; return its best score and a row an epoch."""
    sign = 1 if task.larger_is_better else -1
    best, waited, rows = -sign * math.inf, 0, []
    kept = trainer.model.state_dict()
    for epoch in range(1, epochs + 1):
        loss = trainer.epoch(epoch)
        with torch.no_grad():
            score = task.score(trainer.model).item()
            seen = task.watch(trainer.model) if watched else {}
        rows.append({"epoch": epoch, "loss": loss, "validation": score, **{key: seen[key].item() for key in seen}})
        waited += 1
        if sign * score > sign * best:
            best, waited = score, 0
            kept = {key: value.clone() for key, value in trainer.model.state_dict().items()}
        progress = f"epoch {epoch}/{epochs}  loss {loss:.4f}  {task.metric} {score:.4f}  best {best:.4f}"
        sys.stderr.write(f"{title}  {progress}\n")  # in one piece: another process may write at the same time
        sys.stderr.flush()
        if waited == patience:
            break
    trainer.model.load_state_dict(kept)
    return best, rows


class Adam:
    """Stochastic gradients of the loss and of the penalty, in which feature f weighs n_f^ν / n.

    A model whose weights must stay within bounds puts them back by its method `project` after every step. Where the
    settings have `averaging`, the model judged and kept is not the one that steps move, but the average of its weights.
    """

    def __init__(self, name: str, model: nn.Module, task: Task, settings: Section, seed: int):
        self.name, self.moved, self.task, self.settings = name, model, task, settings
        decay = getattr(settings, "averaging", 0)
        self.average = optimiser.Average(model, decay) if decay else None
        self.model = self.average.model if self.average else model
        self.penalties = model.penalties(task.frequency**settings.l2_power / task.size)
        self.project = getattr(model, "project", lambda: None)
        self.optimiser = optimiser.Adam(model.parameters(), settings.learning_rate)
        self.generator = torch.Generator(task.frequency.device).manual_seed(derive(f"{seed}/shuffle"))

    def epoch(self, epoch: int) -> float:
        """Pass once over the training rows in a fresh order; return the mean loss."""
        batches = self.task.batches(self.moved, self.generator, self.settings.batch_size)
        steps = torch.stack([self.step(*batch).detach() for batch in batches])
        if not steps.isfinite().all():
            self._refuse(steps, epoch)
        return steps.mean().item()

    def step(self, *batch: Tensor) -> Tensor:
        """Move the weights by one batch; return its loss ()."""
        loss = self.task.loss(self.moved, *batch)
        self.optimiser.zero_grad()
        loss.backward()
        add_gradients(self.penalties)
        self.optimiser.step()
        self.project()
        if self.average:
            self.average.step()
        return loss

    def _refuse(self, steps: Tensor, epoch: int) -> None:
        step = int(torch.nonzero(~steps.isfinite())[0])
        raise TrainingError(
            f"{self.name}: the loss became {steps[step].item()} at step {(epoch - 1) * len(steps) + step + 1}"
            f" (epoch {epoch}, batch {step + 1} of {len(steps)}) with learning_rate {self.settings.learning_rate} and"
            f" batch_size {self.settings.batch_size}; lower the learning_rate of {self.name} in params.yaml"
        )


class Sweeps:
    """Models that solve for all training rows at a time."""

    def __init__(self, name: str, model: nn.Module, task: Task, settings: Section, seed: int):
        self.model, self.task = model, task

    @torch.no_grad()
    def epoch(self, epoch: int) -> float:
        """Sweep once; return the loss, NaN for a task that has none for such models."""
        return self.task.sweep(self.model).item()


def endless(task: Task, model: nn.Module, seed: int, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches of a task's training rows, pass after pass, each in a fresh order."""
    generator = torch.Generator(task.frequency.device).manual_seed(seed)
    while True:
        yield from task.batches(model, generator, size)


def derive(text: str) -> int:
    """Return a seed that depends on a text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
