"""DeepFM (Guo et al. 2017)."""

from torch import Tensor

from latent_factors.models import widedeep
from latent_factors.models.fields import field_vectors
from latent_factors.models.fm import pairs


class Model(widedeep.Model):
    """ŷ = ŷ_FM + ŷ_DNN (equation 1): a factorisation machine and a network that share the vectors."""

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the log-odds (B,) of a click for rows of ids (B, F) and values (B, M)."""
        vectors = field_vectors(self.embedding, ids, values, self.lists)
        return self.first(ids, values) + pairs(vectors) + self.dnn(vectors)
