"""Blocks of features that share what a search learns."""

import torch
from torch import Tensor

from latent_factors.errors import UserError


def frequency_blocks(frequency: Tensor, number: int) -> Tensor:
    """Cut N features into `number` blocks of equal size by falling training frequency (N,); return their blocks (N,).

    Features of one frequency go by id. Raises UserError when there are more blocks than features.
    """
    if number > len(frequency):
        raise UserError(
            f"there are {number} blocks for only {len(frequency)} features; lower search.<model>.shared.blocks in"
            " params.yaml"
        )
    order = frequency.argsort(descending=True, stable=True)
    block = torch.empty_like(order)
    block[order] = torch.arange(len(order), device=order.device) * number // len(order)
    return block


def random_blocks(frequency: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return blocks of the same sizes in which frequency plays no part: the control (N,)."""
    block = frequency_blocks(frequency, number)
    return block[torch.randperm(len(block), generator=generator, device=block.device)]
