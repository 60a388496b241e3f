"""AutoInt+: AutoInt beside a network (Song et al. 2019, section 5.5)."""

from torch import Tensor, nn

from latent_factors.models import Inputs, autoint
from latent_factors.models.dnn import DNN
from latent_factors.sections import AutoIntPlus


class Model(autoint.Model):
    """ŷ = ŷ_AutoInt + ŷ_DNN: attention and a network that share the vectors."""

    def __init__(self, embedding: nn.Module, settings: AutoIntPlus, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.dnn = DNN(inputs.fields * embedding.dim, settings.hidden)

    def interact(self, vectors: Tensor) -> Tensor:
        """Return the log-odds (B,) for the vectors of fields (B, F, K)."""
        return super().interact(vectors) + self.dnn(vectors)
