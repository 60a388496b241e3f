"""What searches begin with: a model trained at full width, and rows that it has not seen."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.embedding import SoftSelection
from latent_factors.fit import Adam, Task, derive, train
from latent_factors.sections import Section


def warm_start(
    name: str, build: Callable[..., nn.Module], task: Task, block: Tensor, point: Section, share: float, seed: int
) -> tuple[Adam, Task, list[dict]]:
    """Train a model around a soft selection, α = 1, to the end of its patience, on all but a share of the rows.

    `build(inputs, wrap)` makes the untrained model around `wrap` of its table. Returns its trainer, the task of the
    rows kept from it, and a row an epoch.
    """
    rest, held = task.carve(share, derive(f"{seed}/carve"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(rest.inputs, lambda table: SoftSelection(table, block)).to(task.frequency.device)
    model.embedding.alpha.requires_grad_(False)
    start = Adam(name, model, rest, point, seed)
    _, rows = train(f"{name}  warm start", start, rest, point.epochs, point.patience)
    return start, held, rows
