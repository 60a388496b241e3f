"""RP3β: walks of three steps along the graph, popular ends weighed down (Paudel et al. 2016)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import RP3Beta


class Model(nn.Module):
    """s_ui = Σ_j w_ji over the user's items j, w_ji = n_i^−β Σ_v p_jv^α p_vi^α where i is among the best of j.

    A walk from item j goes to one of its users v with p_jv = 1 / n_j and on to one of their items with p_vi = 1 / n_v.
    The first step, from the user to j, is the same for all items of a user. Each item keeps the largest weights of the
    items that it leads to.
    """

    def __init__(self, embedding: None, settings: RP3Beta, inputs: Inputs):
        super().__init__()
        self.history, self.alpha, self.beta = inputs.history, settings.alpha, settings.beta
        best = torch.zeros(inputs.history.catalogue, min(settings.neighbours, inputs.history.catalogue))
        self.weight = nn.Parameter(best)  # (I, n) w_ji, by j and the rank of i
        self.register_buffer("neighbour", best.long())  # (I, n) the i

    def sweep(self) -> None:
        """Walk from every item and keep its best ends."""
        x = self.history.mask(torch.arange(len(self.history.counts), device=self.weight.device)).float()
        user, item = x.sum(1).clamp(min=1), x.sum(0)  # n_v, n_i
        walks = (x * user[:, None] ** -self.alpha).T @ x  # (I, I) Σ_v p_vj^α p_vi^0, both have v
        walks = item[:, None] ** -self.alpha * walks * item**-self.beta
        walks.fill_diagonal_(0)
        weight, neighbour = walks.topk(self.weight.shape[1])
        self.weight.copy_(weight)
        self.neighbour.copy_(neighbour)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        weight = self.weight.new_zeros(len(self.weight), len(self.weight)).scatter(1, self.neighbour, self.weight)
        return lambda users: self.history.mask(users).float() @ weight
