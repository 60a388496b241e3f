"""Biased matrix factorisation by stochastic gradients (Koren, Bell and Volinsky 2009)."""

from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.models.dot import BiasedDot
from latent_factors.sections import MF


class Model(BiasedDot):
    """min mean (r − r̂)² + Σ_f w_f (λ ‖e_f‖² + λ_b b_f²), w_f = n_f^ν / n."""

    def __init__(self, embedding: nn.Module, settings: MF, inputs: Inputs):
        super().__init__(embedding, inputs)
        self.l2, self.l2_bias = settings.l2, settings.l2_bias

    @staticmethod
    def width(settings: MF) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return Σ_f w_f (λ ‖e_f‖² + λ_b b_f²) for weights w (N,)."""
        return self.embedding.penalties(self.l2 * weight) + self.bias.penalties(self.l2_bias * weight)
