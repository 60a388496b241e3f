"""Item-based nearest neighbours of a user's last items: what `itemknn` has, the latest first."""

from collections.abc import Callable

import torch
from scipy.sparse import csr_array
from torch import Tensor

from latent_factors.models import Inputs, neighbours
from latent_factors.models.neighbours import events
from latent_factors.sections import ItemKNNLast


class Model(neighbours.Model):
    """s_i = Σ_j δ^(a_j) w_ji over the last L items j, a_j = 0 for the last one, 1 for the one before it, and so on.

    w_ji = c_ij / (√(n_i n_j) + h) where j is among the nearest of i, as in `itemknn`; c_ij counts the users who have
    both, in whatever order. δ = 1 forgets the order, a small δ all but the last item.
    """

    def __init__(self, embedding: None, settings: ItemKNNLast, inputs: Inputs):
        super().__init__(inputs.history, settings.neighbours)
        self.shrinkage, self.decay = settings.shrinkage, settings.decay

    def sweep(self) -> None:
        """Count pairs and keep each item's nearest."""
        x = events(self.history)
        x.sum_duplicates()
        x.data[:] = 1  # a user who has an item several times is one
        norm = torch.from_numpy(x.sum(0)).sqrt()
        self.keep(x.T.tocsr(), x, lambda pairs, rows: pairs / (norm[rows, None] * norm + self.shrinkage))

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from histories (B, L) to the scores (B, I) of all items."""
        table, number, device = self.table().T.tocsr(), self.history.catalogue, self.weight.device

        def score(histories: Tensor) -> Tensor:
            known = (histories < number).cpu()
            age = known.sum(1, keepdim=True) - 1 - torch.arange(histories.shape[1])
            row, _ = cells = known.nonzero(as_tuple=True)
            places = row.numpy(), histories.cpu()[cells].numpy()
            recent = csr_array((self.decay ** age[cells].float().numpy(), places), shape=(len(histories), number))
            return torch.from_numpy((recent @ table).toarray()).to(device)

        return score
