"""What stands for an item in a table of embeddings: the rows that are added up (Singh et al. 2024, section 3)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latent_factors.errors import UserError
from latent_factors.identifiers.pieces import NOTHING, pieces
from latent_factors.sections import Keys as KeysSection


@dataclass(frozen=True)
class Keys:
    """The vector of item i is Σ_w weights_iw E[ids_iw], E a table of so many rows.

    Attributes:
        rows: of the table.
        ids: (I, W) rows; where the weight is 0, of no account.
        weights: (I, W) float32.
    """

    rows: int
    ids: Tensor
    weights: Tensor

    @property
    def mean(self) -> float:
        """How many rows an item has on average."""
        return (self.weights != 0).sum(1).double().mean().item()

    @property
    def different(self) -> int:
        """How many items can be told apart."""
        shown = torch.where(self.weights != 0, self.ids, -1)
        return len(torch.unique(torch.cat([shown.to(self.weights.dtype), self.weights], 1), dim=0))


@dataclass(frozen=True)
class Coded:
    """What keys are made of.

    Attributes:
        codes: (I, L), each below `number`.
        number: K, the codes of a level.
        vectors: (I, C) the content.
        events: (I,) how often training holds each item.
    """

    codes: np.ndarray
    number: int
    vectors: Tensor
    events: np.ndarray


def make(keys: KeysSection, coded: Coded) -> Keys:
    """Return the keys of a kind.

    Raises UserError where a table has no room for them.
    """
    own, items = keys.own, len(coded.codes)
    if keys.kind == "plain":
        return single(np.arange(items), items)
    if keys.kind == "hashed":
        return single(scattered(np.arange(items), own.seed) % own.rows, own.rows)
    if keys.kind == "ngrams":
        return ngrams(coded.codes, coded.number, own.length, own.rows, own.seed)
    if keys.kind == "subwords":
        return subwords(coded.codes, coded.number, coded.events, own.rows)
    return content(coded.vectors)


def single(rows: np.ndarray, number: int) -> Keys:
    """Return keys of one row an item (I,)."""
    return _summed(rows[:, None], number)


def ngrams(codes: np.ndarray, number: int, length: int, rows: int, seed: int) -> Keys:
    """Return keys of `length` codes (I, L) at a time: c_1 … c_n, c_n+1 … c_2n, and so on, the last as long as it gets.

    Each of the S = ⌈L / n⌉ places has the same share of the rows: one for each of the Kⁿ sequences there can be, or, if
    that is too many, those that it is hashed to.

    Raises UserError for fewer rows than places.
    """
    starts = range(0, codes.shape[1], length)
    share = rows // len(starts)
    if not share:
        raise UserError(f"keys of {length} codes: {rows} rows for {len(starts)} places; raise rows in params.yaml")
    complete = min(number**length, share)
    columns = []
    for place, start in enumerate(starts):
        value = np.zeros(len(codes), np.int64)
        for code in codes[:, start : start + length].T:
            value = value * number + code
        own = value if number**length <= share else scattered(value, seed + place) % share
        columns.append(place * complete + own)
    return _summed(np.stack(columns, 1), complete * len(starts))


def subwords(codes: np.ndarray, number: int, events: np.ndarray, rows: int) -> Keys:
    """Return keys of the sub-words that `pieces` cuts codes (I, L) into, of which there are at most `rows`.

    Raises UserError for fewer rows than there are codes.
    """
    if rows < number * codes.shape[1]:
        raise UserError(
            f"sub-words: {rows} rows for {codes.shape[1]} levels of {number} codes; raise rows in params.yaml"
        )
    spelled, known = pieces(codes, number, events, rows)
    return _summed(spelled, known)


def content(vectors: Tensor) -> Keys:
    """Return keys whose sum is a linear map of content vectors (I, C): a row a direction."""
    number = vectors.shape[1]
    return Keys(number, torch.arange(number).expand(len(vectors), -1).contiguous(), vectors.float())


def scattered(values: np.ndarray, seed: int) -> np.ndarray:
    """Return numbers of 63 bits that look random but depend on values and seed alone (SplitMix64, Steele 2014)."""
    z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15 * (seed + 1) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def _summed(rows: np.ndarray, number: int) -> Keys:
    there = rows != NOTHING
    ids, weights = np.where(there, rows, 0), there.astype(np.float32)
    return Keys(number, torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(weights))
