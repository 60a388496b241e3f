"""What models share that score by the neighbours of a user's items: weights between items, of which few are kept."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from latent_factors.data.histories import Histories

CELLS = 2**25  # of the weights between items that are dense at a time: 128 MiB


class Model(nn.Module):
    """A matrix of weights between items (I, I), of which each row keeps the n largest off the diagonal.

    It is counted and multiplied event by event, which a large catalogue allows: most pairs of items have no user in
    common.
    """

    def __init__(self, history: Histories, neighbours: int):
        super().__init__()
        self.history = history
        kept = torch.zeros(history.catalogue, min(neighbours, history.catalogue))
        self.weight = nn.Parameter(kept)  # (I, n) by row and rank
        self.register_buffer("neighbour", kept.long())  # (I, n) the columns

    def keep(self, left: csr_array, right: csr_array, weigh: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Keep the largest of each row of `weigh(left @ right)`, which takes blocks (B, I) and their rows (B,)."""
        number, width = self.weight.shape
        for rows in torch.arange(number).split(max(1, CELLS // number)):
            block = weigh(torch.from_numpy((left[rows.numpy()] @ right).toarray()), rows)
            block[torch.arange(len(rows)), rows] = 0
            weight, neighbour = block.topk(width)
            self.weight[rows], self.neighbour[rows] = weight.to(self.weight), neighbour.to(self.neighbour)

    def table(self) -> csr_array:
        """Return the weights kept as a sparse matrix (I, I)."""
        number, width = self.weight.shape
        weight, neighbour = (own.detach().cpu().numpy().ravel() for own in (self.weight, self.neighbour))
        starts = np.arange(0, number * width + 1, width)
        table = csr_array((weight, neighbour, starts), shape=(number, number), copy=True)
        table.eliminate_zeros()  # in place
        return table

    def score(self, table: csr_array) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I): the sum of a table's rows of a user's items."""
        x, device = events(self.history), self.weight.device
        return lambda users: torch.from_numpy((x[users.cpu().numpy()] @ table).toarray()).to(device)


def events(history: Histories) -> csr_array:
    """Return who has what as a sparse matrix (U, I) of ones."""
    items, starts = history.items.cpu().numpy(), history.starts.cpu().numpy()
    return csr_array((np.ones(len(items), np.float32), items, starts), shape=(len(starts) - 1, history.catalogue))
