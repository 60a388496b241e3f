"""The metrics, one definition each. Every function works on the last axis and keeps the others."""

import torch
from torch import Tensor


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error (1/n) Σ (r̂ − r)²; prediction (..., n), target (n,), in squared rating units."""
    return (prediction - target).square().mean(-1)


def rmse(prediction: Tensor, target: Tensor) -> Tensor:
    """Root mean squared error √mse; prediction (..., n), target (n,), in rating units."""
    return mse(prediction, target).sqrt()


def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error (1/n) Σ |r̂ − r|; prediction (..., n), target (n,), in rating units."""
    return (prediction - target).abs().mean(-1)


def auc(prediction: Tensor, label: Tensor) -> Tensor:
    """Area under the ROC curve, Σ_p Σ_q (1[ŷ_p > ŷ_q] + ½ 1[ŷ_p = ŷ_q]) / (n₁ n₀) over clicks p and others q.

    prediction (..., n), any increasing function of the probability; label (n,), 1 for a click, 0 for none. NaN
    where one of the two is missing.
    """
    clicks = prediction[..., label == 1].contiguous()
    others = prediction[..., label == 0].sort(-1).values
    below = torch.searchsorted(others, clicks) + torch.searchsorted(others, clicks, right=True)
    return below.double().mean(-1) / (2 * others.shape[-1])


def logloss(probability: Tensor, label: Tensor) -> Tensor:
    """Mean logloss −(1/n) Σ (y ln p + (1 − y) ln (1 − p)); probability (..., n), label (n,), in nats.

    Probabilities are kept away from 0 and 1 by the machine epsilon of their type, as scikit-learn does.
    """
    epsilon = torch.finfo(probability.dtype).eps
    p = probability.double().clamp(epsilon, 1 - epsilon)
    return -torch.where(label == 1, p, 1 - p).log().mean(-1)


def equal_bins(scores: Tensor, bins: int) -> Tensor:
    """Return the bin (..., n) of each score (..., n), from 0 for the smallest to bins − 1 for the largest.

    Bins differ by at most one row; rows of one score keep their order.
    """
    sizes = torch.tensor([len(rows) for rows in torch.arange(scores.shape[-1]).tensor_split(bins)])
    ascending = torch.arange(bins).repeat_interleave(sizes).expand(scores.shape)
    return torch.empty_like(ascending).scatter(-1, scores.argsort(dim=-1, stable=True), ascending)
