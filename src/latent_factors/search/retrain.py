"""After a search: keep a part of the table, and train on with all else at zero."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from latent_factors.embedding import MaskedTable
from latent_factors.fit import Adam, Task, train
from latent_factors.sections import Section


def pruned(
    model: nn.Module, table: Tensor, mask: Tensor, build: Callable[..., nn.Module], task: Task, mean: float
) -> nn.Module:
    """Return `model` with another table (N, K) in place of its embedding, entries outside `mask` (N, K) at zero.

    `build(inputs, wrap)` makes it anew of all training rows of `task`, which matters to a graph where the old one knew
    only a part of them; `mean` is the mean target that the old one was trained with.
    """
    with torch.random.fork_rng(devices=[]):
        new = build(replace(task.inputs, mean=mean), lambda _: MaskedTable(table, mask)).to(table.device)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("embedding.")}
    new.load_state_dict(state, strict=False)
    return new


def retrain(name: str, model: nn.Module, task: Task, point: Section, seed: int) -> list[dict]:
    """Train a pruned model on, all its weights, the mask kept; return a row an epoch."""
    return train(f"{name}  retraining", Adam(name, model, task, point, seed), task, point.epochs, point.patience)[1]
