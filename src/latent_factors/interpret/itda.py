"""ITDA: a dictionary made of activations themselves (Leask, Nanda and Al Moubayed 2025)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from latent_factors.interpret.pursuit import pursue

HALVINGS = 7


def enter(x: Tensor, active: int, threshold: float, batch: int) -> Tensor:
    """Return which vectors (n,) enter the dictionary, bool: those that the present one reconstructs badly.

    x (n, K) is passed once, in order, `batch` vectors at a time. A vector enters if k atoms leave more than `threshold`
    of its squared length. The paper adds one at a time; here those of one batch do not see each other.
    """
    enters, atoms = torch.zeros(len(x), dtype=torch.bool, device=x.device), x.new_zeros(0, x.shape[1])
    for rows in torch.arange(len(x), device=x.device).split(batch):
        own = x[rows]
        missed = (own - pursue(own, atoms, active)[1]).square().sum(1)
        enters[rows] = missed > threshold * own.square().sum(1)
        atoms = torch.cat([atoms, F.normalize(own[enters[rows]], dim=1)])
    return enters


def enter_at_most(x: Tensor, size: int, active: int, batch: int) -> Tensor:
    """Return which vectors (n,) enter at the smallest threshold at which no more than `size` do, found by halving.

    A batch is no larger than `size`: all of the first one enters.
    """
    low, high, found = 0.0, 1.0, torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enters = enter(x, active, middle, min(batch, size))
        if enters.sum() <= size:
            high, found = middle, enters
        else:
            low = middle
    return found
