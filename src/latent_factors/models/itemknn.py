"""Item-based nearest neighbours (Sarwar et al. 2001; shrinkage as in Bell and Koren 2007)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import ItemKNN


class Model(nn.Module):
    """s_ui = Σ_j w_ji over the user's items j, w_ji = c_ij / (√(n_i n_j) + h) where j is among i's nearest.

    c_ij counts the users who have both; h is the shrinkage; each item keeps the weights of its nearest neighbours.
    """

    def __init__(self, embedding: None, settings: ItemKNN, inputs: Inputs):
        super().__init__()
        self.history, self.shrinkage = inputs.history, settings.shrinkage
        nearest = torch.zeros(inputs.history.catalogue, min(settings.neighbours, inputs.history.catalogue))
        self.weight = nn.Parameter(nearest)  # (I, n) w_ji, by i and the rank of j
        self.register_buffer("neighbour", nearest.long())  # (I, n) the j

    def sweep(self) -> None:
        """Count pairs and keep each item's nearest."""
        users = torch.arange(len(self.history.counts), device=self.weight.device)
        x = self.history.mask(users).float()
        pairs = x.T @ x
        norm = pairs.diagonal().sqrt()
        similarity = pairs / (norm[:, None] * norm + self.shrinkage)
        similarity.fill_diagonal_(0)
        weight, neighbour = similarity.topk(self.weight.shape[1])
        self.weight.copy_(weight)
        self.neighbour.copy_(neighbour)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        weight = self.weight.new_zeros(len(self.weight), len(self.weight)).scatter(1, self.neighbour, self.weight)
        return lambda users: self.history.mask(users).float() @ weight.T
