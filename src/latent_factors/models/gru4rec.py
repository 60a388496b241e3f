"""GRU4Rec: a gated recurrent unit reads the sequence (Hidasi et al. 2016)."""

from torch import Tensor, nn

from latent_factors.models import Inputs, sequential
from latent_factors.models.sequential import Drop
from latent_factors.sections import GRU4Rec


class Model(sequential.Model):
    """h_t = W GRU(e_1, …, e_t) + b, with K units, as wide as the vectors of items.

    The paper learns from a sample of items; here the softmax goes over all of them, which does better where the
    catalogue allows it (Hidasi and Karatzoglou 2018).
    """

    def __init__(self, embedding: nn.Module, settings: GRU4Rec, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.unit = nn.GRU(settings.dim, settings.dim, batch_first=True)
        self.out = nn.Linear(settings.dim, settings.dim)

    def read(self, items: Tensor, drop: Drop) -> Tensor:
        """Return the state (B, L, K) after each item of sequences (B, L)."""
        return self.out(drop(self.unit(drop(self.embedding(items)))[0]))
