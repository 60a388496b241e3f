"""Codes without an encoder: orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993), many at a time."""

import torch
from torch import Tensor

SPENT = 1e-6  # of a unit vector; what is left of an atom in the span of those chosen is rounding


def pursue(x: Tensor, atoms: Tensor, active: int) -> tuple[Tensor, Tensor]:
    """Choose k atoms for each vector, one after the other: the one most like what is not reconstructed yet.

    x is (n, K), atoms (h, K) of length 1. After every choice the vector is projected on all atoms chosen so far.
    Returns the atoms' numbers (n, k), k at most h and K, and the reconstruction (n, K). With no atom that is 0.
    """
    residual, span = x.clone(), x.new_zeros(len(x), 0, x.shape[1])
    chosen = torch.zeros(len(x), 0, dtype=torch.long, device=x.device)
    for _ in range(min(active, *atoms.shape)):
        likeness = (residual @ atoms.T).abs().scatter(1, chosen, -1)
        place = likeness.argmax(1, keepdim=True)
        chosen = torch.cat([chosen, place], 1)
        fresh = atoms[place[:, 0]]
        for _ in range(2):  # once more takes out what rounding left
            fresh = fresh - ((span @ fresh[:, :, None]).mT @ span)[:, 0]
        length = fresh.norm(dim=1, keepdim=True)
        fresh = torch.where(length > SPENT, fresh / length.clamp(min=SPENT), 0)
        residual = residual - (residual * fresh).sum(1, keepdim=True) * fresh
        span = torch.cat([span, fresh[:, None]], 1)
    return chosen, x - residual
