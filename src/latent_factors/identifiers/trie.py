"""A trie over identifiers, level by level as tensors: which tokens may follow which prefixes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latent_factors.errors import UserError
from latent_factors.identifiers import Identifiers


@dataclass(frozen=True)
class Level:
    """The M prefixes of t tokens, in the order of their tokens, and what may follow them.

    Attributes:
        tokens: (M, C) the tokens that may follow, ascending; −1 beyond the last.
        below: (M, C) which prefix of t + 1 tokens each makes; 0 beyond the last.
        parent, slot: (M',) for each prefix of t + 1 tokens the prefix it goes on from, and the column of its token.
        open: (M'',) the prefixes below which something is yet to be chosen.
        held: (M',) how many items lie below each prefix of t + 1 tokens.
        span: the least token that may follow any of them, and the largest plus one.
    """

    tokens: Tensor
    below: Tensor
    parent: Tensor
    slot: Tensor
    open: Tensor
    held: Tensor
    span: tuple[int, int]

    def to(self, device: torch.device) -> "Level":
        """Return the same on a device."""
        names = ("tokens", "below", "parent", "slot", "open", "held")
        return Level(**{name: getattr(self, name).to(device) for name in names}, span=self.span)


@dataclass(frozen=True)
class Trie:
    """All identifiers, as T levels; a prefix of T tokens is an item. END closes a shorter one and is a token here.

    Attributes:
        levels: T of them.
        items: (I,) the item of each whole identifier, in the order of their tokens.
        nodes: (I, T + 1) the prefix of each item at each level, the last its place in `items`.
        slots: (I, T) the column of its next token there.
        vocabulary: V.
    """

    levels: tuple[Level, ...]
    items: Tensor
    nodes: Tensor
    slots: Tensor
    vocabulary: int

    @classmethod
    def of(cls, identifiers: Identifiers) -> "Trie":
        """Build the trie of identifiers."""
        tokens = identifiers.tokens.numpy()
        order = np.lexsort(tokens.T[::-1])
        rows = tokens[order]  # (I, T), so that the items of a prefix stand in a row
        fresh = np.zeros((len(rows), rows.shape[1] + 1), bool)
        fresh[0] = True
        fresh[1:, 1:] = np.logical_or.accumulate(rows[1:] != rows[:-1], axis=1)
        node = fresh.cumsum(0) - 1  # (I, T + 1), by place in the order
        levels, slots = [], np.empty_like(rows)
        for depth in range(rows.shape[1]):
            level, slot = _level(node[:, depth], node[:, depth + 1], rows[:, depth], fresh[:, depth + 1])
            levels.append(level)
            slots[order, depth] = slot
        nodes = np.empty_like(node)
        nodes[order] = node
        return cls(
            tuple(levels), torch.from_numpy(order), torch.from_numpy(nodes), torch.from_numpy(slots),
            identifiers.vocabulary,
        )

    def to(self, device: torch.device) -> "Trie":
        """Return the same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("items", "nodes", "slots")}
        return Trie(tuple(level.to(device) for level in self.levels), **moved, vocabulary=self.vocabulary)

    def find(self, prefixes: Tensor) -> Tensor:
        """Return the number (B,) of each prefix (B, t) among those of its length: of whole ones, the place in `items`.

        Raises UserError for a token outside the vocabulary, and for one that no identifier has there.
        """
        node = prefixes.new_zeros(len(prefixes))
        for level, token in zip(self.levels, prefixes.T, strict=False):
            if ((token < 0) | (token >= self.vocabulary)).any():
                wrong = int(token[(token < 0) | (token >= self.vocabulary)][0])
                raise UserError(f"token {wrong} is outside the vocabulary of {self.vocabulary}; give tokens below that")
            match = level.tokens[node] == token[:, None]
            if not match.any(1).all():
                wrong = prefixes[~match.any(1)][0].tolist()
                raise UserError(f"no item has an identifier that begins with {wrong}; give one that an item has")
            node = level.below[node, match.byte().argmax(1)]
        return node

    def mask(self, prefixes: Tensor) -> Tensor:
        """Return which tokens may follow prefixes (B, t) as a bool matrix (B, V).

        Raises UserError as `find` does.
        """
        allowed = self.levels[prefixes.shape[1]].tokens[self.find(prefixes)]
        mask = torch.zeros(len(prefixes), self.vocabulary + 1, dtype=torch.bool, device=prefixes.device)
        return mask.scatter(1, allowed % (self.vocabulary + 1), True)[:, :-1]  # −1 goes to the column cut off


def _level(node: np.ndarray, child: np.ndarray, token: np.ndarray, fresh: np.ndarray) -> tuple[Level, np.ndarray]:
    """Return a level, and the column of each item's token there (I,), from items in the order of their tokens."""
    edge = np.flatnonzero(fresh)  # the first item of each child
    parent = node[edge]
    children = np.bincount(parent)
    place = np.arange(len(edge)) - np.repeat(children.cumsum() - children, children)
    tokens = np.full((len(children), children.max()), -1)
    below = np.zeros_like(tokens)
    tokens[parent, place], below[parent, place] = token[edge], child[edge]
    arrays = (tokens, below, parent, place, np.flatnonzero(np.bincount(node) > 1), np.bincount(child))
    span = (int(token.min()), int(token.max()) + 1)
    return Level(*(torch.from_numpy(array) for array in arrays), span), place[child]
