"""Two views of an item that show different parts of it (Yao et al. 2021)."""

import torch
from torch import Tensor

Groups = tuple[Tensor, Tensor]
"""The fields (F,) that the first view keeps, and those that the second keeps, bool."""


def all_fields(related: Tensor, generator: torch.Generator) -> Groups:
    """Keep every field in both views."""
    kept = torch.ones(len(related), dtype=torch.bool, device=related.device)
    return kept, kept


def random_fields(related: Tensor, generator: torch.Generator) -> Groups:
    """Mask a random half of the fields in the first view and the other half in the second: RFM."""
    order = torch.randperm(len(related), generator=generator, device=related.device)
    return _apart(order, related)


def correlated_fields(related: Tensor, generator: torch.Generator) -> Groups:
    """Mask a field drawn uniformly, and those that tell most of it, in the first view, the rest in the second: CFM."""
    seed = torch.randint(len(related), (), generator=generator, device=related.device)
    return _apart(related[seed], related)


PATTERNS = {"none": all_fields, "rfm": random_fields, "cfm": correlated_fields}


def by_relation(information: Tensor) -> Tensor:
    """Return for each field all fields (F, F), itself first, then by falling mutual information (F, F) with it."""
    own = torch.eye(len(information), dtype=torch.bool, device=information.device)
    told = information.round(decimals=9).masked_fill(own, torch.inf)  # what rounding alone tells apart is equal
    return told.sort(dim=1, descending=True, stable=True).indices


def drop(several: Tensor, shape: tuple[int, ...], rate: float, generator: torch.Generator) -> Tensor:
    """Return which values (..., W) are kept: those of fields of `several` values (W,) are dropped at a rate."""
    drawn = torch.rand(*shape, len(several), generator=generator, device=several.device)
    return ~several | (drawn >= rate)


def _apart(order: Tensor, related: Tensor) -> Groups:
    """Mask the first half of an order of fields, the larger one, in the first view and the rest in the second."""
    masked = torch.zeros(len(related), dtype=torch.bool, device=related.device)
    masked[order[: (len(order) + 1) // 2]] = True
    return ~masked, masked
