"""A first-order Markov chain: what follows an item, from how often it did."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import Markov


class Model(nn.Module):
    """s_i = (c_ji + h p_i) / (c_j + h) for the last item j, c_ji how often i follows it in training and c_j = Σ_i c_ji.

    p_i is the share of training events that item i has: h events more follow j, and go by popularity (a Dirichlet
    prior). After an unknown item s_i = p_i.
    """

    def __init__(self, embedding: None, settings: Markov, inputs: Inputs):
        super().__init__()
        sequences, self.damping = inputs.sequences, settings.damping
        number = sequences.catalogue
        owner = torch.arange(len(sequences.counts), device=sequences.items.device).repeat_interleave(sequences.counts)
        follows = owner[1:] == owner[:-1]
        pairs = (sequences.items[:-1] * number + sequences.items[1:])[follows]
        self.pairs, self.found = pairs.unique(return_counts=True)  # (m,) j I + i, ascending
        self.share = sequences.items.bincount(minlength=number).float() / len(sequences.items)  # (I,)
        self.count = nn.Parameter(torch.zeros(len(self.pairs)))  # (m,)

    def sweep(self) -> None:
        """Count."""
        self.count.copy_(self.found)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from histories (B, L) to the scores (B, I) of all items."""
        number, device = len(self.share), self.share.device
        pairs = self.pairs.cpu().numpy()
        starts = np.searchsorted(pairs, np.arange(number + 2) * number)  # an unknown item, I, has no pairs
        table = csr_array(
            (self.count.detach().cpu().numpy(), pairs % number, starts), shape=(number + 1, number)
        )

        def score(histories: Tensor) -> Tensor:
            end = (histories < number).sum(1, keepdim=True).clamp(min=1) - 1
            last = histories.gather(1, end)[:, 0]
            rows = torch.from_numpy(table[last.cpu().numpy()].toarray()).to(device)
            return (rows + self.damping * self.share) / (rows.sum(1, keepdim=True) + self.damping)

        return score
