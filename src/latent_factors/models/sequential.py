"""What models share that read a sequence item by item and predict at every place what comes next."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.models.losses import softmax
from latent_factors.sections import GRU4Rec

Drop = Callable[[Tensor], Tensor]
"""What training does to activations: dropout; in use nothing."""


class Model(nn.Module, ABC):
    """s_i = h · e_i: a state h made of the items read so far, and the vectors of items, which also go in.

    The loss is the cross-entropy of the softmax over all items, at every place of a sequence at once. Whoever has no
    known item is read as if they had taken one unknown item, whose vector is zero.
    """

    def __init__(self, embedding: nn.Module, settings: GRU4Rec, inputs: Inputs):
        super().__init__()
        self.embedding, self.number = embedding, inputs.sequences.catalogue
        self.l2, self.dropout = settings.l2, settings.dropout

    @staticmethod
    def width(settings: GRU4Rec) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    @abstractmethod
    def read(self, items: Tensor, drop: Drop) -> Tensor:
        """Return the state (B, L, K) after each item of sequences (B, L), which knows nothing of the later ones."""

    def items(self) -> Tensor:
        """Return the vectors (I, K) of all items."""
        return self.embedding.whole()[: self.number]

    def loss(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss () over the items to be predicted in windows (B, L + 1): all true ones but the first."""
        targets = windows[:, 1:]
        true = targets < self.number
        states = self.read(windows[:, :-1], lambda values: drop(values, self.dropout, generator))
        return softmax(states[true], self.items(), targets[true])

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_i w_i ‖e_i‖² for weights w (N,)."""
        return self.embedding.penalties(self.l2 * weight)

    def state(self, histories: Tensor) -> Tensor:
        """Return the state (B, K) at the end of histories (B, L), whose product with items() are the scores."""
        lengths = (histories < self.number).sum(1).clamp(min=1)
        states = self.read(histories[:, : int(lengths.max())], lambda values: values)
        return states[torch.arange(len(histories), device=histories.device), lengths - 1]

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from histories (B, L) to the scores (B, I) of all items."""
        items = self.items()
        return lambda histories: self.state(histories) @ items.T


def drop(values: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Return values (...) of which a share is zero, drawn by a generator, and the others are larger by as much."""
    if not rate:
        return values
    kept = torch.rand(values.shape, generator=generator, device=values.device) >= rate
    return values * kept / (1 - rate)
