"""Logistic regression: every value has one weight."""

from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.models.first_order import FirstOrder
from latent_factors.sections import LR


class Model(nn.Module):
    """ŷ = w_0 + Σ_i w_i x_i, the log-odds of a click."""

    def __init__(self, embedding: None, settings: LR, inputs: Inputs):
        super().__init__()
        self.first, self.l2 = FirstOrder(inputs), settings.l2

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the log-odds (B,) for rows of ids (B, F) and values (B, M)."""
        return self.first(ids, values)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_f u_f w_f² for the weights u (N,) of features."""
        return self.first.penalties(self.l2 * weight)
