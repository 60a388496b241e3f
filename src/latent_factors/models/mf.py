"""Biased matrix factorisation by stochastic gradients (Koren, Bell and Volinsky 2009)."""

from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.models.dot import BiasedDot
from latent_factors.settings import MF


class Model(BiasedDot):
    """min mean (r − r̂)² + λ Σ_f p_f ‖e_f‖² + λ_b Σ_f p_f b_f², p_f a feature's share of the training rows."""

    def __init__(self, embedding: nn.Module, settings: MF, inputs: Inputs):
        super().__init__(embedding, inputs)
        self.l2, self.l2_bias = settings.l2, settings.l2_bias

    @staticmethod
    def width(settings: MF) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def penalty(self, share: Tensor) -> Tensor:
        """Return the regulariser, a scalar, for shares p (N,)."""
        return self.l2 * self.embedding.penalty(share) + self.l2_bias * self.bias.penalty(share)
