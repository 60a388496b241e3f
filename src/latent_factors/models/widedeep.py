"""Wide & Deep learning (Cheng et al. 2016)."""

from torch import Tensor, nn

from latent_factors.models import Inputs, fm
from latent_factors.models.dnn import DNN
from latent_factors.models.fields import field_vectors
from latent_factors.sections import WideDeep


class Model(fm.Model):
    """ŷ = w_0 + Σ_i w_i x_i + h(v_1 ‖ … ‖ v_F), h a network (equation 3); parts and penalty as in `fm`, no pairs.

    The wide part has no cross products, which the paper picks by hand for its own data; and Adam trains both
    parts, not FTRL and AdaGrad.
    """

    def __init__(self, embedding: nn.Module, settings: WideDeep, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.dnn = DNN(inputs.fields * embedding.dim, settings.hidden)

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the log-odds (B,) of a click for rows of ids (B, F) and values (B, M)."""
        vectors = field_vectors(self.embedding, ids, values, self.lists)
        return self.first(ids, values) + self.dnn(vectors)
