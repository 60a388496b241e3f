"""ITDA: a dictionary made of activations themselves (Leask, Nanda and Al Moubayed 2025)."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from latent_factors.interpret.pursuit import pursue

HALVINGS, LEAST = 9, 1e-4  # how often the range of thresholds is halved, and its lower end


def enter(x: Tensor, active: int, threshold: float, batch: int, most: int | None = None) -> Tensor:
    """Return which vectors (n,) enter the dictionary, bool: those that the present one reconstructs badly.

    x (n, K) is passed once, in order, `batch` vectors at a time, and no further once more than `most` entered. A vector
    enters if k atoms leave more than `threshold` of its squared length. The paper adds one at a time; here those of one
    batch do not see each other.
    """
    enters, atoms = torch.zeros(len(x), dtype=torch.bool, device=x.device), x.new_zeros(0, x.shape[1])
    for rows in torch.arange(len(x), device=x.device).split(batch):
        own = x[rows]
        missed = (own - pursue(own, atoms, active)[1]).square().sum(1)
        enters[rows] = missed > threshold * own.square().sum(1)
        atoms = torch.cat([atoms, F.normalize(own[enters[rows]], dim=1)])
        if most is not None and len(atoms) > most:
            break
    return enters


def enter_at_most(x: Tensor, size: int, active: int, batch: int) -> Tensor:
    """Return which vectors (n,) enter at the smallest threshold τ at which no more than `size` do.

    Its log-odds log(τ / (1 − τ)) are found by halving, as some vectors need thresholds near 0 and some near 1: τ is
    sought from LEAST to 1 − LEAST. A batch is no larger than `size`: all of the first one enters.
    """
    high = math.log((1 - LEAST) / LEAST)
    low, found = -high, torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enters = enter(x, active, 1 / (1 + math.exp(-middle)), min(batch, size), size)
        if enters.sum() <= size:
            high, found = middle, enters
        else:
            low = middle
    return found
