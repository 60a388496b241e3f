"""LightGCN: vectors smoothed along the graph of users and items (He et al. 2020)."""

from collections.abc import Callable

from torch import Tensor, nn

from latent_factors.embedding import Penalty, look_up
from latent_factors.models import Inputs
from latent_factors.models.graph import Graph
from latent_factors.models.losses import bpr
from latent_factors.sections import LightGCN


class Model(nn.Module):
    """s_ui = ē_u · ē_i, Ē = (E + Â E + … + Â^L E) / (L + 1) (equations 3, 4 and 7), learned by BPR.

    Â_ui = 1 / √(n_u n_i) joins a user and an item of the training part.
    """

    negatives = 1

    def __init__(self, embedding: nn.Module, settings: LightGCN, inputs: Inputs):
        super().__init__()
        self.embedding, self.items, self.l2, self.layers = embedding, inputs.items, settings.l2, settings.layers
        self.graph = Graph.of(inputs.history, int(inputs.items[0]), inputs.number)

    @staticmethod
    def width(settings: LightGCN) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def table(self) -> Tensor:
        """Return the smoothed vectors Ē (N, K)."""
        layer = total = self.embedding.whole()
        for _ in range(self.layers):
            layer = self.graph.propagate(layer)
            total = total + layer
        return total / (self.layers + 1)

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean loss () of events with a negative each (3, B): user, item, other item."""
        user, item, other = look_up(self.table(), ids)  # (B, K) each
        return bpr((user * (item - other)).sum(-1))

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_f w_f ‖e_f‖² for weights w (N,), of the vectors before smoothing."""
        return self.embedding.penalties(self.l2 * weight)

    def vectors(self, ids: Tensor) -> Tensor:
        """Return the smoothed vectors (..., K), whose products are scores, for ids (...)."""
        return look_up(self.table(), ids)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        table = self.table()
        item = table[self.items]
        return lambda users: table[users] @ item.T

