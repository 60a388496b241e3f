"""After a search: keep a part of the table, and train on with all else at zero."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from latent_factors.embedding import MaskedTable
from latent_factors.fit import Adam, Task, train
from latent_factors.search.dnis import Found
from latent_factors.sections import Section


def pruned(found: Found, build: Callable[..., nn.Module], task: Task, mask: Tensor) -> nn.Module:
    """Return a model with what was found: α folded into the table, entries outside `mask` (N, K) at zero.

    It is made of all training rows of `task`, those that trained α too, which matters to a graph.
    """
    folded, inputs = found.selection.folded(), replace(task.inputs, mean=found.mean)
    with torch.random.fork_rng(devices=[]):
        model = build(inputs, lambda _: MaskedTable(folded, mask)).to(task.frequency.device)
    state = {name: value for name, value in found.model.state_dict().items() if not name.startswith("embedding.")}
    model.load_state_dict(state, strict=False)
    return model


def retrain(name: str, model: nn.Module, task: Task, point: Section, seed: int) -> list[dict]:
    """Train a pruned model on, all its weights, the mask kept; return a row an epoch."""
    return train(f"{name}  retraining", Adam(name, model, task, point, seed), task, point.epochs, point.patience)[1]
