"""How alike two models are, from what they hold of the same users."""

import torch
from torch import Tensor


def jaccard(one: Tensor, other: Tensor) -> Tensor:
    """Return |A ∩ B| / |A ∪ B| (...) of two sets, given as bool (..., n); 1 for two empty ones.

    Of the activations that entered two dictionaries it is the similarity of Leask et al. 2025.
    """
    either = (one | other).sum(-1)
    return torch.where(either > 0, (one & other).sum(-1) / either.clamp(min=1), 1.0)


def linear_cka(one: Tensor, other: Tensor) -> Tensor:
    """Return ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) () of centred vectors X (n, K) and Y (n, L) of the same n users.

    Linear centred kernel alignment of Kornblith et al. 2019; the norms are Frobenius'. Neither a rotation nor a scale
    of either changes it.
    """
    x, y = (own.double() - own.double().mean(0) for own in (one, other))
    return (y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())
