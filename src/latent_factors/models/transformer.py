"""The parts of a small transformer whose attention knows how many items lie between two places."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.models.sequential import Drop


class Attention(nn.Module):
    """softmax(Q Kᵀ / √(K/H) + B) V over H heads; B, what may be seen and how far away it is, comes from outside."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.memory, self.out = (
            nn.Linear(dim, width, bias=False) for width in (dim, 2 * dim, dim)
        )

    def split(self, x: Tensor) -> Tensor:
        """Return (B, Q, d) as (B, H, Q, d / H)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def remember(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, H, M, d / H) of a memory (B, M, d)."""
        keys, values = self.memory(x).chunk(2, -1)
        return self.split(keys), self.split(values)

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor], bias: Tensor) -> Tensor:
        """Return what places (B, Q, d) read from a memory; bias broadcasts to (B, H, Q, M), −∞ for what is not seen."""
        keys, values = memory
        query = self.split(self.query(x) * keys.shape[-1] ** -0.5)
        weight = (query @ keys.transpose(-1, -2) + bias).softmax(-1)
        return self.out((weight @ values).transpose(-3, -2).flatten(-2))


class Feed(nn.Module):
    """W₂ relu(W₁ x)."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.rise, self.fall = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., d) of (..., d)."""
        return self.fall(F.relu(self.rise(x)))


class Encoder(nn.Module):
    """A layer: x + attention of x to itself, then x + feed; each of what was normalised before."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.own, self.feed = Attention(dim, heads), Feed(dim, hidden)
        self.before_own, self.before_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, bias: Tensor, drop: Drop) -> Tensor:
        """Return (B, M, d) of (B, M, d)."""
        normal = self.before_own(x)
        x = x + drop(self.own(normal, self.own.remember(normal), bias))
        return x + drop(self.feed(self.before_feed(x)))


class Decoder(nn.Module):
    """A layer: x + attention to the tokens before, then x + attention to the memory, then x + feed."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.own, self.across, self.feed = Attention(dim, heads), Attention(dim, heads), Feed(dim, hidden)
        self.before_own, self.before_across, self.before_feed = (nn.LayerNorm(dim) for _ in range(3))

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, own: Tensor | float, memory: tuple[Tensor, Tensor],
        across: Tensor, drop: Drop,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the places (B, G, Q, d) of G prefixes a user after this layer, and the keys and values they add.

        A prefix reads its own `past` (B, G, H, t, d / H), then its places through the bias `own`; all prefixes of a
        user read the same memory (B, H, M, d / H), through the bias `across`, which broadcasts to (B, H, G Q, M).
        """
        normal = self.before_own(x)
        fresh = self.own.remember(normal)
        known = fresh if past is None else tuple(torch.cat(pair, -2) for pair in zip(past, fresh, strict=True))
        x = x + drop(self.own(normal, known, own))
        flat = self.across(self.before_across(x).flatten(1, 2), memory, across)
        x = x + drop(flat.view_as(x))
        return x + drop(self.feed(self.before_feed(x))), known
