"""Item identifiers: every item as a short sequence of tokens, one kind of scheme a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from latent_factors.errors import UserError

END = 0  # the token behind the last of an identifier that is shorter than others
NONE = -1  # the code of an item that has none in a column


@dataclass(frozen=True)
class Column:
    """One level of a scheme before its codes are tokens.

    Attributes:
        name: of the level.
        codes: (I,) whole numbers, NONE for an item that has none here.
        space: columns of one space share their tokens; a column without a space has tokens of its own.
    """

    name: str
    codes: np.ndarray
    space: str = ""


@dataclass(frozen=True)
class Identifiers:
    """The identifiers of I items, no two alike.

    Attributes:
        scheme: what made them.
        tokens: (I, T) tokens from 1 to V − 1; END beyond the end of an identifier.
        vocabulary: V, END counted.
        levels: the names of the levels.
        collisions: how many items needed a number, as another item had the same code.

    Raises UserError for a token outside the vocabulary, an item without a token, and two items with the same tokens.
    """

    scheme: str
    tokens: Tensor
    vocabulary: int
    levels: tuple[str, ...]
    collisions: int = 0

    def __post_init__(self):
        outside = (self.tokens < 0) | (self.tokens >= self.vocabulary)
        if outside.any():
            item, level = outside.nonzero()[0].tolist()
            raise UserError(
                f"identifiers {self.scheme}: token {int(self.tokens[item, level])} of item {item} is outside the"
                f" vocabulary of {self.vocabulary}; make them with the vocabulary that they are read with"
            )
        ended = self.tokens == END
        gap = ended[:, :-1] & ~ended[:, 1:]
        if ended[:, 0].any() or gap.any():
            item = int((ended[:, 0] | gap.any(1)).nonzero()[0])
            raise UserError(f"identifiers {self.scheme}: item {item} has no token before its end; give it one")
        order = torch.from_numpy(np.lexsort(self.tokens.numpy().T[::-1]))
        same = (self.tokens[order[1:]] == self.tokens[order[:-1]]).all(1)
        if same.any():
            place = int(same.nonzero()[0])
            one, other = sorted(order[place : place + 2].tolist())
            raise UserError(
                f"identifiers {self.scheme}: items {one} and {other} have the same tokens; add a level that tells them"
                " apart"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def lengths(self) -> Tensor:
        """How many tokens each item has (I,)."""
        return (self.tokens != END).sum(1)

    def report(self) -> dict[str, float]:
        """Return what an identifier costs: mean and largest length, vocabulary, and items that needed a number."""
        return {
            "mean length": self.lengths.double().mean().item(), "longest": int(self.lengths.max()),
            "vocabulary": self.vocabulary - 1, "collisions": self.collisions,
        }


def compose(scheme: str, columns: Sequence[Column]) -> Identifiers:
    """Return the identifiers that columns of codes spell.

    An item's codes close up where one is missing. An item without any code gets a token that says so, the same for all
    such items. Items that then are alike are numbered, by a token behind the others: 0 for the first of them.
    """
    rows, vocabulary = _tokens(columns)
    names = [column.name for column in columns]
    blank = (rows == END).all(1)
    if blank.any():
        rows[blank, 0] = vocabulary
        vocabulary += 1
    number = _numbers(rows)
    collisions = int((number != NONE).sum())
    if collisions:
        names.append("number")
        rows = np.column_stack([rows, np.where(number == NONE, END, vocabulary + number)])
        vocabulary += int(number.max()) + 1
    return Identifiers(scheme, torch.from_numpy(_closed_up(rows)), vocabulary, tuple(names), collisions)


def _tokens(columns: Sequence[Column]) -> tuple[np.ndarray, int]:
    """Return the tokens (I, D) of columns, END where there is no code, and the vocabulary so far."""
    rows = np.zeros((len(columns[0].codes), len(columns)), np.int64)
    spaces = [column.space or f" {place}" for place, column in enumerate(columns)]
    vocabulary = END + 1
    for space in dict.fromkeys(spaces):
        places = [place for place, own in enumerate(spaces) if own == space]
        codes = np.column_stack([columns[place].codes for place in places])
        known, rank = np.unique(codes[codes != NONE], return_inverse=True)
        tokens = np.zeros(codes.shape, np.int64)
        tokens[codes != NONE] = vocabulary + rank
        rows[:, places] = tokens
        vocabulary += len(known)
    return rows, vocabulary


def _numbers(rows: np.ndarray) -> np.ndarray:
    """Return the number of each row among those like it (I,), NONE for one that is like no other."""
    _, group, size = np.unique(_closed_up(rows), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    number = np.empty(len(rows), np.int64)
    number[order] = np.arange(len(rows)) - np.repeat(np.cumsum(size) - size, size)
    return np.where(size[group] > 1, number, NONE)


def _closed_up(rows: np.ndarray) -> np.ndarray:
    """Return rows of tokens with END at their end only, and no column that is END throughout."""
    closed = np.take_along_axis(rows, np.argsort(rows == END, axis=1, kind="stable"), 1)
    return np.ascontiguousarray(closed[:, : max(1, int((closed != END).sum(1).max()))])
