"""Directions that nobody trained a sparse autoencoder for: what its latents must be better than."""

import warnings
from collections.abc import Callable

import torch
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.nn import functional as F

Lit = Callable[[Tensor], Tensor]
"""From vectors (n, K) to which units they light (n, h), bool."""
SWEEPS = 400  # of FastICA, at most


def neurons(x: Tensor, units: int, seed: int) -> Tensor:
    """Return both ends of each coordinate of vectors x (n, K): (2K, K)."""
    return _both_ends(torch.eye(x.shape[1], device=x.device))


def components(x: Tensor, units: int, seed: int) -> Tensor:
    """Return both ends of each principal component of vectors x (n, K): (2 min(n, K), K)."""
    return _both_ends(torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh)


def independent(x: Tensor, units: int, seed: int) -> Tensor:
    """Return both ends of each direction that FastICA separates in vectors x (n, K): (2 min(n, K), K)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as far as it came is good enough to be judged
        solver = FastICA(whiten="unit-variance", max_iter=SWEEPS, random_state=seed).fit(x.double().cpu().numpy())
    return _both_ends(torch.from_numpy(solver.components_).to(x))


def chance(x: Tensor, units: int, seed: int) -> Tensor:
    """Return `units` directions drawn uniformly from the sphere (units, K)."""
    generator = torch.Generator(x.device).manual_seed(seed)
    return F.normalize(torch.randn(units, x.shape[1], generator=generator, device=x.device), dim=1)


CONTROLS = {"neurons": neurons, "PCA": components, "ICA": independent, "random directions": chance}


def lights(x: Tensor, directions: Tensor, counts: Tensor) -> Lit:
    """Return what tells which directions (h, K) a vector lights: those along which it reaches far enough.

    Far enough is what so many of the vectors x (n, K) do, by `counts` (h,). With the counts of an autoencoder's latents
    in some order, units of a control are lit as often as latents, and as unevenly; one that nobody lights is dead too.
    """
    reach = (x @ directions.T).sort(0, descending=True).values
    reach = torch.cat([reach, reach.new_full((1, len(directions)), -torch.inf)])
    bound = torch.where(counts > 0, reach.gather(0, counts[None])[0], torch.inf)
    return lambda given: given @ directions.T > bound


def dealt(counts: Tensor, units: int, seed: int) -> Tensor:
    """Return `units` of some counts (h,) in random order, all of them before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(len(counts), generator=generator) for _ in range(-(-units // len(counts)))])
    return counts[order[:units].to(counts.device)]


def _both_ends(directions: Tensor) -> Tensor:
    return torch.cat([directions, -directions])
