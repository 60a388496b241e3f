"""Wide & Deep learning (Cheng et al. 2016)."""

from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.models.dnn import DNN
from latent_factors.models.fields import field_vectors
from latent_factors.models.first_order import FirstOrder
from latent_factors.settings import WideDeep


class Model(nn.Module):
    """ŷ = w_0 + Σ_i w_i x_i + h(v_1 ‖ … ‖ v_F), h a network (equation 3).

    The wide part has no cross products, which the paper picks by hand for its own data; and Adam trains both
    parts, not FTRL and AdaGrad.
    """

    def __init__(self, embedding: nn.Module, settings: WideDeep, inputs: Inputs):
        super().__init__()
        self.embedding, self.first, self.widths = embedding, FirstOrder(inputs), inputs.widths
        self.dnn = DNN(inputs.fields * embedding.dim, settings.hidden)
        self.l2, self.l2_bias = settings.l2, settings.l2_bias

    @staticmethod
    def width(settings: WideDeep) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the log-odds (B,) of a click for rows of ids and values (B, C)."""
        vectors = field_vectors(self.embedding(ids), values, self.widths)
        return self.first(ids, values) + self.dnn(vectors)

    def penalty(self, weight: Tensor) -> Tensor:
        """Return Σ_f u_f (λ ‖v_f‖² + λ_b w_f²) for the weights u (N,) of features."""
        return self.l2 * self.embedding.penalty(weight) + self.l2_bias * self.first.penalty(weight)
