"""Factorisation machine of degree two (Rendle 2010)."""

from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.models.fields import field_vectors
from latent_factors.models.first_order import FirstOrder
from latent_factors.sections import FM


class Model(nn.Module):
    """ŷ = w_0 + Σ_i w_i x_i + Σ_f Σ_g>f ⟨v_f, v_g⟩ (equation 1), v_f the weighted sum of the vectors of field f.

    Values of one field form no pairs with each other: a field is one vector, as in the models compared with this.
    """

    def __init__(self, embedding: nn.Module, settings: FM, inputs: Inputs):
        super().__init__()
        self.embedding, self.first, self.lists = embedding, FirstOrder(inputs), inputs.lists
        self.l2, self.l2_bias = settings.l2, settings.l2_bias

    @staticmethod
    def width(settings: FM) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the log-odds (B,) of a click for rows of ids (B, F) and values (B, M)."""
        vectors = field_vectors(self.embedding, ids, values, self.lists)
        return self.first(ids, values) + pairs(vectors)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return Σ_f u_f (λ ‖v_f‖² + λ_b w_f²) for the weights u (N,) of features."""
        return self.embedding.penalties(self.l2 * weight) + self.first.penalties(self.l2_bias * weight)


def pairs(vectors: Tensor) -> Tensor:
    """Return Σ_f Σ_g>f ⟨v_f, v_g⟩ (...) of vectors (..., F, K) in O(F K): ½ (‖Σ_f v_f‖² − Σ_f ‖v_f‖²) (lemma 3.1)."""
    return (vectors.sum(-2).square().sum(-1) - vectors.square().sum((-1, -2))) / 2
