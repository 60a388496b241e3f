"""Matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009)."""

from torch import Tensor

from latent_factors.models import mf
from latent_factors.models.losses import bpr


class Model(mf.Model):
    """s_ui = p_u · q_i + b_i, learned from −ln σ(s_ui − s_uj), j an item that u has not; penalty as in `mf`.

    A user's bias and the mean cancel in the difference; they stay at zero.
    """

    negatives = 1

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean loss () of events with a negative each (B, 3): user, item, other item."""
        user, item, other = self.embedding(ids).unbind(1)  # (B, K) each
        bias = self.bias(ids[:, 1:])[..., 0]  # (B, 2)
        return bpr((user * (item - other)).sum(-1) + bias[:, 0] - bias[:, 1])
