"""Dimensions of blocks without a search of each entry: at random, and by a power law of frequency."""

import numpy as np
import torch
from torch import Tensor

from latent_factors.errors import UserError


def random_dims(blocks: int, most: int, generator: np.random.Generator) -> list[int]:
    """Draw dimensions from 1 to `most` for L blocks that never rise from a block to the next, rarer one."""
    return sorted(generator.integers(1, most + 1, blocks).tolist(), reverse=True)


def mde_dims(sizes: list[int], queries: list[float], power: float, budget: int, most: int) -> list[int]:
    """Return the dimensions of blocks by mixed-dimension embeddings (Ginart et al. 2019, section 4).

    d_b = λ (k_b / n_b)^α for n_b features that are asked for k_b times, λ such that Σ n_b d_b = `budget`; rounded,
    from 1 to `most`. What a block at a bound leaves over goes to the others.

    Raises UserError when the budget is too small for one dimension each, or larger than `most` for all.
    """
    size, rate = np.array(sizes), (np.array(queries, float) / np.array(sizes)) ** power
    if not size.sum() <= budget <= most * size.sum():
        raise UserError(
            f"a budget of {budget} parameters does not fit {size.sum()} features of 1 to {most} dimensions; give a"
            f" number from {size.sum()} to {most * size.sum()}"
        )
    low, high = 0.0, most * size.sum() / rate.min()
    for _ in range(200):  # Σ n_b clip(λ r_b) rises with λ
        middle = (low + high) / 2
        low, high = (middle, high) if (size * np.clip(middle * rate, 1, most)).sum() < budget else (low, middle)
    return np.clip(np.round(high * rate), 1, most).astype(int).tolist()


def first_columns(dims: Tensor, dim: int, width: int) -> Tensor:
    """Return the mask (L, width), bool, that leaves block b the first d_b columns of each of its vectors of `dim`.

    dims (L,); a model such as NeuMF has several vectors a feature, side by side in `width` columns.
    """
    return (torch.arange(dim, device=dims.device) < dims[:, None]).repeat(1, width // dim)
