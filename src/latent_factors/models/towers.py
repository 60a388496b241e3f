"""Two towers: networks over the attributes of users and of items, whose outputs meet in a cosine (Yi et al. 2019)."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.data.attributes import Side
from latent_factors.embedding import Penalty, UniformTable
from latent_factors.models import Inputs
from latent_factors.models.losses import batch_softmax
from latent_factors.sections import Towers


class Model(nn.Module):
    """s_ui = cos(f(x_u), g(x_i)) / τ, x the concatenated vectors of the own id and of each field of attributes.

    A field's vector is the mean over the values it holds, or that of its default. f and g are networks with ReLU. The
    loss is the softmax over the items of a batch, corrected for how often each item is drawn.
    """

    negatives = 0

    def __init__(self, embedding: nn.Module, settings: Towers, inputs: Inputs):
        super().__init__()
        known = inputs.attributes(settings.min_count)
        self.embedding, self.history, self.settings = embedding, inputs.history, settings
        self.first, self.stranger = int(inputs.items[0]), inputs.number - 1
        self.user, self.item, self.counts = known.user, known.item, known.counts
        self.attributes = UniformTable(len(known.counts), settings.dim, torch.nonzero(known.counts.cpu() == 0)[:, 0])
        self.user_tower, self.item_tower = (
            _tower(settings.dim * (1 + len(side.names)), settings.hidden) for side in (known.user, known.item)
        )
        taken = torch.bincount(inputs.history.items, minlength=inputs.history.catalogue).float()
        self.log_q = (taken / taken.sum()).log() if settings.log_q else torch.zeros_like(taken)

    @staticmethod
    def width(settings: Towers) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def users(self, rows: Tensor) -> Tensor:
        """Return the unit vectors (B, d) of users by number (B,)."""
        return self._encode(self.user, self.user_tower, rows, self.embedding(rows))

    def items(self, rows: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return the unit vectors (B, d) of items by number in the catalogue (B,).

        Where there is a mask `kept` (B, 1 + W), only the own id and the values that it keeps are seen.
        """
        ids = rows + self.first
        if kept is None:
            return self._encode(self.item, self.item_tower, rows, self.embedding(ids))
        own = self.embedding(ids.where(kept[:, 0], self.stranger))
        return self._encode(self.item, self.item_tower, rows, own, kept[:, 1:])

    def loss(self, ids: Tensor) -> Tensor:
        """Return the corrected softmax loss () of events (2, B): user, item."""
        users, user = ids[0].unique(return_inverse=True)
        items, item, copies = (ids[1] - self.first).unique(return_inverse=True, return_counts=True)
        vectors, taken = self.users(users) / self.settings.temperature, self.history.among(users, items)
        return batch_softmax(vectors, self.items(items), user, item, copies, self.log_q[items], taken)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_f w_f ‖e_f‖² over ids, of weights w (N,), and over values of attributes; none of the networks."""
        share = self.counts**self.settings.l2_power / len(self.history.items)
        l2 = self.settings.l2
        return self.embedding.penalties(l2 * weight) + self.attributes.penalties(l2 * share)

    def table(self) -> Tensor:
        """Return the unit vectors (N, d) of every user and item, strangers too."""
        rows = torch.arange(self.stranger + 1, device=self.counts.device)
        return torch.cat([self.users(rows[: self.first]), self.items(rows[: len(rows) - self.first])])

    def vectors(self, ids: Tensor) -> Tensor:
        """Return the unit vectors (..., d) of ids (...)."""
        return self.table()[ids]

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        table = self.table()
        item = table[self.first : self.stranger] / self.settings.temperature
        return lambda users: table[users] @ item.T

    def _encode(self, side: Side, tower: nn.Module, rows: Tensor, own: Tensor, kept: Tensor | None = None) -> Tensor:
        if not side.names:
            return F.normalize(tower(own), dim=-1)
        held = side.held[rows] if kept is None else side.held[rows] & kept
        held = (held[:, None] & side.member).to(own.dtype)  # (B, F, W)
        total = held.sum(-1, keepdim=True)
        mean = (held / total.clamp(min=1)) @ self.attributes(side.ids[rows])  # (B, F, K)
        fields = mean + (total == 0) * self.attributes(side.defaults)
        return F.normalize(tower(torch.cat([own[:, None], fields], 1).flatten(1)), dim=-1)


def _tower(width: int, hidden: list[int]) -> nn.Sequential:
    """Return layers of `hidden` widths with ReLU between them."""
    layers = [part for sizes in pairwise([width, *hidden]) for part in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*layers[:-1])
