"""RP3β: walks of three steps along the graph, popular ends weighed down (Paudel et al. 2016)."""

from collections.abc import Callable

import torch
from torch import Tensor

from latent_factors.models import Inputs, neighbours
from latent_factors.models.neighbours import events
from latent_factors.sections import RP3Beta


class Model(neighbours.Model):
    """s_ui = Σ_j w_ji over the user's items j, w_ji = n_i^−β Σ_v p_jv^α p_vi^α where i is among the best of j.

    A walk from item j goes to one of its users v with p_jv = 1 / n_j and on to one of their items with p_vi = 1 / n_v.
    The first step, from the user to j, is the same for all items of a user. Each item j keeps the largest weights of
    the items that it leads to.
    """

    def __init__(self, embedding: None, settings: RP3Beta, inputs: Inputs):
        super().__init__(inputs.history, settings.neighbours)
        self.alpha, self.beta = settings.alpha, settings.beta

    def sweep(self) -> None:
        """Walk from every item and keep its best ends."""
        x = events(self.history)
        item = torch.from_numpy(x.sum(0))  # n_i
        last = x.copy()
        last.data /= x.sum(1).repeat(self.history.counts.cpu().numpy()) ** self.alpha  # p_vi^α
        self.keep(x.T.tocsr(), last, lambda ends, rows: item[rows, None] ** -self.alpha * ends * item**-self.beta)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        return self.score(self.table())
