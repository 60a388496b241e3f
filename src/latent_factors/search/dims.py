"""Dimensions of blocks without a search of each entry: at random, and by a power law of frequency."""

import numpy as np
import torch
from torch import Tensor

from latent_factors.errors import UserError


def random_dims(sizes: list[int], budget: int, most: int, generator: np.random.Generator) -> list[int]:
    """Draw dimensions for L blocks of some sizes that never rise from a block to the next, rarer one.

    Their proportions are uniform draws in falling order; `to_budget` makes them fit the budget.
    """
    return to_budget(sizes, np.sort(generator.random(len(sizes)))[::-1], budget, most)


def mde_dims(sizes: list[int], queries: list[float], power: float, budget: int, most: int) -> list[int]:
    """Return the dimensions of blocks by mixed-dimension embeddings (Ginart et al. 2019, section 4).

    d_b = λ (k_b / n_b)^α for n_b features that are asked for k_b times, brought `to_budget`.
    """
    return to_budget(sizes, (np.array(queries, float) / np.array(sizes)) ** power, budget, most)


def to_budget(sizes: list[int], shares: np.ndarray, budget: int, most: int) -> list[int]:
    """Return dimensions d_b = λ s_b of blocks with n_b features, λ such that Σ n_b d_b is `budget`, then rounded down.

    All lie between 1 and `most`; what a block at a bound leaves over goes to the others, and what rounding leaves
    over to the blocks that it cut most.

    Raises UserError when the budget is too small for one dimension each, or larger than `most` for all.
    """
    size = np.array(sizes)
    if not size.sum() <= budget <= most * size.sum():
        raise UserError(
            f"a budget of {budget} parameters does not fit {size.sum()} features of 1 to {most} dimensions; give a"
            f" number from {size.sum()} to {most * size.sum()}"
        )
    low, high = 0.0, most / shares.min()
    for _ in range(200):  # Σ n_b clip(λ s_b) rises with λ
        middle = (low + high) / 2
        low, high = (middle, high) if (size * np.clip(middle * shares, 1, most)).sum() < budget else (low, middle)
    wanted = np.clip(high * shares, 1, most)
    dims = np.floor(wanted + 1e-9).astype(int)
    for block in np.argsort(dims - wanted, kind="stable"):
        if size[block] > budget - (size * dims).sum():
            break
        dims[block] = min(dims[block] + 1, most)
    return dims.tolist()


def first_columns(dims: Tensor, dim: int, width: int) -> Tensor:
    """Return the mask (L, width), bool, that leaves block b the first d_b columns of each of its vectors of `dim`.

    dims (L,); a model such as NeuMF has several vectors a feature, side by side in `width` columns.
    """
    return (torch.arange(dim, device=dims.device) < dims[:, None]).repeat(1, width // dim)
