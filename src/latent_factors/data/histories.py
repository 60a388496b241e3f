"""Who has which items: the interactions of users as rows of item numbers, as sets and in order."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Histories:
    """The items of U users out of a catalogue of I.

    Attributes:
        starts: (U + 1,) where each user's items begin in `items`.
        items: (n,) item numbers below I, ascending within a user.
        catalogue: I.
    """

    starts: Tensor
    items: Tensor
    catalogue: int

    @classmethod
    def of(cls, users: Tensor, items: Tensor, number: int, catalogue: int) -> "Histories":
        """Gather pairs (n,) of users below `number` and items below `catalogue`; for `others` none may occur twice."""
        order = (users * catalogue + items).argsort()
        counts = torch.bincount(users, minlength=number)
        return cls(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), items[order], catalogue)

    @cached_property
    def counts(self) -> Tensor:
        """How many items each user has (U,)."""
        return self.starts.diff()

    def cells(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the items of some users (B,) as pairs of a row below B and an item (m,) each."""
        counts = self.counts[users]
        rows = torch.arange(len(users), device=users.device).repeat_interleave(counts)
        shift = self.starts[users] - (counts.cumsum(0) - counts)
        return rows, self.items[torch.arange(len(rows), device=users.device) + shift[rows]]

    def mask(self, users: Tensor) -> Tensor:
        """Return the items of some users (B,) as a bool matrix (B, I)."""
        mask = torch.zeros(len(users), self.catalogue, dtype=torch.bool, device=users.device)
        mask[self.cells(users)] = True
        return mask

    def among(self, users: Tensor, items: Tensor) -> Tensor:
        """Return which of some different items (J,) some users (B,) have, as a bool matrix (B, J)."""
        place = torch.full((self.catalogue,), len(items), device=items.device)  # beside all columns
        place[items] = torch.arange(len(items), device=items.device)
        rows, own = self.cells(users)
        mask = torch.zeros(len(users), len(items) + 1, dtype=torch.bool, device=users.device)
        mask[rows, place[own]] = True
        return mask[:, :-1]

    def others(self, users: Tensor, generator: torch.Generator) -> Tensor:
        """Draw for each of some users (...) an item that is not among theirs, uniformly, without rejection.

        With a user's items p_0 < p_1 < …, the r-th other item is r plus the number of j with p_j − j ≤ r, which one
        binary search finds for all draws at once. A user with the whole catalogue gets an arbitrary item.
        """
        free = self.catalogue - self.counts[users]
        r = (torch.rand(users.shape, generator=generator, dtype=torch.float64, device=users.device) * free).long()
        keys, order = (users * (self.catalogue + 1) + r).flatten().sort()  # sorted, they are found in half the time
        found = torch.searchsorted(self._gaps, keys, right=True)
        below = torch.empty_like(found).scatter_(0, order, found).view_as(r) - self.starts[users]
        return (r + below).clamp(max=self.catalogue - 1)

    @cached_property
    def _gaps(self) -> Tensor:
        """The ascending keys u (I + 1) + p_j − j (n,)."""
        owner = torch.arange(len(self.counts), device=self.items.device).repeat_interleave(self.counts)
        place = torch.arange(len(self.items), device=self.items.device) - self.starts[owner]
        return owner * (self.catalogue + 1) + self.items - place


@dataclass(frozen=True)
class ItemSequences:
    """What U users took, in order, out of a catalogue of I.

    Where sequences stand side by side they are filled up to the right with I, which is no item.

    Attributes:
        starts: (U + 1,) where each user's items begin in `items`.
        items: (n,) item numbers below I, the oldest of a user first.
        catalogue: I.
        length: L, how many items in a row a model sees at most.
    """

    starts: Tensor
    items: Tensor
    catalogue: int
    length: int

    @classmethod
    def of(cls, users: Tensor, items: Tensor, number: int, catalogue: int, length: int) -> "ItemSequences":
        """Gather pairs (n,) of ascending users below `number` and items, in order within a user."""
        counts = torch.bincount(users, minlength=number)
        return cls(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), items, catalogue, length)

    @cached_property
    def counts(self) -> Tensor:
        """How many items each user has (U,)."""
        return self.starts.diff()

    def last(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last L items of some users (B, L) and how many they are (B,)."""
        end, lengths = self.starts[users + 1], self.counts[users].clamp(max=self.length)
        return self._cut(end - lengths, lengths, self.length), lengths

    def windows(self, generator: torch.Generator) -> Tensor:
        """Cut every sequence into windows (W, L + 1), in each of which all items but the first are to be predicted.

        A window begins with the last item of the one before it, so every item but a user's first is predicted once. A
        sequence that needs several windows has its first cut at a place that is drawn each time.
        """
        wanted = (self.counts - 1).clamp(min=0)  # (U,) items to be predicted
        drawn = torch.rand(len(wanted), generator=generator, device=wanted.device, dtype=torch.float64)
        first = torch.where(wanted > self.length, 1 + (drawn * self.length).long(), wanted)
        number = (wanted > 0) + (wanted - first + self.length - 1) // self.length
        owner = torch.arange(len(number), device=number.device).repeat_interleave(number)
        place = torch.arange(len(owner), device=number.device) - (number.cumsum(0) - number)[owner]
        begin = (first[owner] + (place - 1) * self.length).clamp(min=0)
        end = torch.minimum(first[owner] + place * self.length, wanted[owner])
        return self._cut(self.starts[owner] + begin, end - begin + 1, self.length + 1)

    def _cut(self, begin: Tensor, lengths: Tensor, width: int) -> Tensor:
        """Return runs of `lengths` (B,) items from where they begin (B,), filled up to a width (B, width)."""
        place = torch.arange(width, device=begin.device)
        inside = place < lengths[:, None]
        return self.items[torch.where(inside, begin[:, None] + place, 0)].masked_fill(~inside, self.catalogue)
