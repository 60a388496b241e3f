"""The metrics, one definition each. Every function works on the last axis and keeps the others."""

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
