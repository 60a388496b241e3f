"""Losses of models that learn from events, with sampled negatives or without."""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

FAR = -1e4  # takes an item out of a softmax; not −∞, which has no gradient where nothing else is left


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


def batch_softmax(scores: Tensor, user: Tensor, item: Tensor, copies: Tensor, log_q: Tensor, taken: Tensor) -> Tensor:
    """Return the mean over events of −ln (e^s_ui / q_i / (e^s_ui / q_i + Σ_j e^s_uj / q_j)), j the batch's other items.

    `scores` (U, I) are those of the different users and items of a batch, `user` and `item` (B,) the place of each
    event there, `copies` (I,) how often each item stands in the batch: it counts as often in the sum. `log_q` (I,) is
    the logarithm of how often training draws it: a popular item stands in many batches, and its correction takes that
    out again (Yi et al. 2019). Items that a user has `taken` (U, I) are no negatives of theirs.
    """
    corrected = scores - log_q
    others = (corrected + (copies.log() + FAR * taken)).logsumexp(1)  # (U,)
    return F.softplus(others[user] - corrected[user, item]).mean()


def info_nce(anchors: Tensor, views: Tensor, temperature: float) -> Tensor:
    """Return the mean over rows of −ln (e^(cos(a, v) / τ) / Σ_v' e^(cos(a, v') / τ)) for rows a, v of (N, K) each.

    The view in an anchor's own row should be nearer to it than all other rows.
    """
    scores = F.normalize(anchors, dim=-1) @ F.normalize(views, dim=-1).T / temperature
    return F.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


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
