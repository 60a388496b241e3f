"""Losses of models that learn from events, with sampled negatives or without."""

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def bpr(lead: Tensor) -> Tensor:
    """Return the mean of −ln σ(s_ui − s_uj) for the lead (B,) of each event over its negative.

    Rendle et al. 2009, equation BPR-Opt without its penalty.
    """
    return F.softplus(-lead).mean()


def bce(scores: Tensor) -> Tensor:
    """Return the mean of −ln σ(s_0) − Σ_m ln(1 − σ(s_m)) over events; scores (1 + M, B), the event's first.

    He et al. 2017, equation 7.
    """
    return F.softplus(-scores[0]).mean() + F.softplus(scores[1:]).sum(0).mean()


def alignment(user: Tensor, item: Tensor) -> Tensor:
    """Return the mean of ‖u − i‖² () over pairs of unit vectors (B, K).

    Alignment of Wang et al. 2022.
    """
    return (user - item).square().sum(-1).mean()


def uniformity(unit: Tensor) -> Tensor:
    """Return log of the mean of exp(−2 ‖x − y‖²) () over all pairs of unit vectors (B, K); 0 without a pair.

    Uniformity of Wang et al. 2022.
    """
    return _Uniformity.apply(2 * unit) if len(unit) > 1 else unit.new_zeros(())


def covariance(points: Tensor) -> Tensor:
    """Return Σ_{k ≠ l} C_kl² () for the covariance C (K, K) of the coordinates of points (N, K).

    Of Cogswell et al. 2016, taken up by Hsieh et al. 2017, whose published code sums C_kl with its sign, so that one
    pair of coordinates that rise together makes up for one that does not.
    """
    centred = points - points.mean(0)
    squares = (centred.T @ centred / len(points)).square()
    return squares.sum() - squares.diagonal().sum()


class _Uniformity(Function):
    """The same of z = 2x, as −2 ‖x − y‖² = z_x · z_y − 4: one product gives all pairs, twice, and each with itself."""

    @staticmethod
    def forward(context, z: Tensor) -> Tensor:
        number, near = len(z), (z @ z.T).exp_()
        near.fill_diagonal_(0)
        total = near.sum()
        context.save_for_backward(z, near, total)
        return (total / (number * (number - 1))).log() - 4

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> Tensor:
        z, near, total = context.saved_tensors
        return (near @ z) * (2 * gradient / total)
