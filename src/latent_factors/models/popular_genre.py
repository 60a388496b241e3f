"""Popular by genre: how often a user has taken the genres of an unseen item."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import PopularGenre


class Model(nn.Module):
    """s_uf = |G_f|^−a Σ_{g ∈ G_f} (n_ug + h n_g / n) / ((n_u + h) F_g^b).

    G_f are the genres of item f, and F_g training items have genre g. Of the n training events n_u are u's, n_g lie on
    items of genre g, and n_ug are both. With h large all users get the genres that are popular with everyone. a tells
    whether many genres add up (0) or average (1), b whether a genre counts by events (0) or by events an item (1).
    """

    def __init__(self, embedding: None, settings: PopularGenre, inputs: Inputs):
        super().__init__()
        self.history, self.damping, self.length = inputs.history, settings.damping, settings.length
        self.crowding, self.has = settings.crowding, _flags(inputs.content)
        self.share = nn.Parameter(torch.zeros(self.has.shape[1]))  # (G,) n_g / n

    def sweep(self) -> None:
        """Count."""
        events = self.history.items.bincount(minlength=len(self.has)).to(self.has.dtype)
        self.share.copy_(events @ self.has / events.sum())

    def newcomers(self, content: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, J) of items that have nothing but content."""
        genres, items = _flags(content), self.has.sum(0).clamp(min=1)
        weight = (genres / items**self.crowding).T / genres.sum(1).clamp(min=1) ** self.length  # (G, J)

        def score(users: Tensor) -> Tensor:
            mine = self.history.mask(users).to(self.has.dtype)
            taken = mine @ self.has + self.damping * self.share
            return taken / (mine.sum(1, keepdim=True) + self.damping) @ weight

        return score


def _flags(content: dict[str, Tensor]) -> Tensor:
    """Return which items have which genres (J, G), as 0 and 1."""
    return (content["genres"] > 0).to(content["genres"].dtype)
