"""Item-based nearest neighbours (Sarwar et al. 2001; shrinkage as in Bell and Koren 2007)."""

from collections.abc import Callable

import torch
from torch import Tensor

from latent_factors.models import Inputs, neighbours
from latent_factors.models.neighbours import events
from latent_factors.sections import ItemKNN


class Model(neighbours.Model):
    """s_ui = Σ_j w_ji over the user's items j, w_ji = c_ij / (√(n_i n_j) + h) where j is among i's nearest.

    c_ij counts the users who have both; h is the shrinkage; each item i keeps the weights of its nearest neighbours.
    """

    def __init__(self, embedding: None, settings: ItemKNN, inputs: Inputs):
        super().__init__(inputs.history, settings.neighbours)
        self.shrinkage = settings.shrinkage

    def sweep(self) -> None:
        """Count pairs and keep each item's nearest."""
        x = events(self.history)
        norm = torch.from_numpy(x.sum(0)).sqrt()
        self.keep(x.T.tocsr(), x, lambda pairs, rows: pairs / (norm[rows, None] * norm + self.shrinkage))

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        return self.score(self.table().T.tocsr())
