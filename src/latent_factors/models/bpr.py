"""Matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009)."""

from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.models.dot import BiasedDot
from latent_factors.models.losses import bpr
from latent_factors.settings import BPR


class Model(BiasedDot):
    """s_ui = p_u · q_i + b_i, learned from −ln σ(s_ui − s_uj), j an item that u has not.

    A user's bias and the mean cancel in the difference; they stay at zero.
    """

    negatives = 1

    def __init__(self, embedding: nn.Module, settings: BPR, inputs: Inputs):
        super().__init__(embedding, inputs)
        self.l2, self.l2_bias = settings.l2, settings.l2_bias

    @staticmethod
    def width(settings: BPR) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean loss () of events with a negative each (B, 3): user, item, other item."""
        user, item, other = self.embedding(ids).unbind(1)  # (B, K) each
        bias = self.bias(ids[:, 1:])[..., 0]  # (B, 2)
        return bpr((user * (item - other)).sum(-1) + bias[:, 0] - bias[:, 1])

    def penalty(self, weight: Tensor) -> Tensor:
        """Return Σ_f w_f (λ ‖e_f‖² + λ_b b_f²) for weights w (N,)."""
        return self.l2 * self.embedding.penalty(weight) + self.l2_bias * self.bias.penalty(weight)
