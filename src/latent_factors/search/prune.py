"""From a table to the part of it that is kept: which entries are worth their place (Cheng, Shen and Huang 2020)."""

import torch
from torch import Tensor

from latent_factors.errors import UserError


def keep_largest(size: Tensor, rate: float, second: Tensor | None = None) -> Tensor:
    """Return which entries stay (N, K), bool, when the share `rate` of the smallest |size| (N, K) goes.

    Of equal entries, such as those that a search has set to zero, those with the larger |second| (N, K) stay.

    Raises UserError for a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise UserError(f"a prune rate of {rate} lies outside [0, 1); give the share of the table's entries that goes")
    return keep_budget(size, size.numel() - round(rate * size.numel()), second)


def keep_budget(size: Tensor, budget: int, second: Tensor | None = None) -> Tensor:
    """Return which entries stay (N, K), bool, when the `budget` largest |size| (N, K), then |second|, may.

    Raises UserError for a budget below 1 or larger than the table.
    """
    if not 1 <= budget <= size.numel():
        raise UserError(
            f"a budget of {budget} parameters does not fit a table of {size.numel()}; give a number from 1 to that"
        )
    order = (size if second is None else second).abs().flatten().argsort(descending=True, stable=True)
    order = order[size.abs().flatten()[order].argsort(descending=True, stable=True)]
    mask = torch.zeros(size.numel(), dtype=torch.bool, device=size.device)
    mask[order[:budget]] = True
    return mask.view_as(size)


def keep_above(size: Tensor, threshold: float) -> Tensor:
    """Return which entries stay (N, K), bool: those whose |size| exceeds a threshold."""
    return size.abs() > threshold


def group_size(table: Tensor, block: Tensor) -> Tensor:
    """Return for each entry of a table (N, K) the root mean square of its column within its block (N,): (N, K).

    Pruned by it, a block keeps or loses a dimension as a whole.
    """
    rows = torch.bincount(block)[:, None]
    sums = table.new_zeros(len(rows), table.shape[1]).index_add(0, block, table.square())
    return (sums / rows).sqrt()[block]
