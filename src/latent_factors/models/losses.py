"""Losses of models that learn from events and sampled negatives."""

from torch import Tensor
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
