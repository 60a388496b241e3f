"""DirectAU: alignment and uniformity on the sphere, optimised themselves (Wang et al. 2022)."""

from collections.abc import Callable

import torch
from torch import Tensor

from latent_factors.embedding import look_up
from latent_factors.models import Inputs, lightgcn
from latent_factors.models.losses import alignment, uniformity, unit
from latent_factors.sections import DirectAU


class Model(lightgcn.Model):
    """Alignment keeps users near their items, uniformity users from users and items from items; no negatives.

    The encoder is the table itself, or LightGCN where `layers` is above zero. A user or item that stands in a batch
    several times counts as often in uniformity, as in the paper's code, and once where `distinct` is set. Scores are
    dot products, as there, and cosines where `cosine` is set.
    """

    negatives = 0

    def __init__(self, embedding: torch.nn.Module, settings: DirectAU, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.gamma, self.distinct, self.cosine = settings.gamma, settings.distinct, settings.cosine

    def loss(self, ids: Tensor) -> Tensor:
        """Return align + γ (uniform(users) + uniform(items)) / 2 () of events (2, B): user, item."""
        sides = [side.unique(return_inverse=True, return_counts=True) for side in ids]
        different = torch.cat([side for side, _, _ in sides])
        units = unit(self.vectors(different)).split([len(side) for side, _, _ in sides])
        user, item = (look_up(own, place) for own, (_, place, _) in zip(units, sides, strict=True))  # (B, K) each
        apart = sum(
            uniformity(own, None if self.distinct else counts) for own, (_, _, counts) in zip(units, sides, strict=True)
        )
        return alignment(user, item) + self.gamma * apart / 2

    def vectors(self, ids: Tensor) -> Tensor:
        """Return the encoder's vectors (..., K) for ids (...)."""
        return super().vectors(ids) if self.layers else self.embedding(ids)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        table = unit(self.table()) if self.cosine else self.table()
        item = table[self.items]
        return lambda users: table[users] @ item.T
