"""Number the feature values: one id space over all fields, ranked by training frequency."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd


class Column(Protocol):
    """A field of n rows, such as a pandas categorical.

    Attributes:
        categories: the tokens, sorted.
        codes: (n,) or (n, w) positions in `categories`; -1 stands for no value.
    """

    categories: pd.Index
    codes: np.ndarray


@dataclass(frozen=True)
class Features:
    """The vocabulary of the training part.

    Each field takes a run of ids: first its values by falling training frequency (ties by token), then one
    id for every value rare or unseen in training. N ids in all, F fields.

    Attributes:
        names: the fields.
        tokens: for each field, its values in order of id.
        starts: (F,) first id of each field.
        counts: (N,) how often each id stands in the training rows; 0 for the unseen ones.
    """

    names: tuple[str, ...]
    tokens: tuple[pd.Index, ...]
    starts: np.ndarray
    counts: np.ndarray

    @property
    def number(self) -> int:
        """N, the number of ids."""
        return len(self.counts)

    def encode(self, columns: Sequence[Column], kind: type[np.integer] = np.int64) -> np.ndarray:
        """Return the ids (n, C) of n rows, the columns of a field side by side; no value gets its field's last id."""
        widths = [np.shape(column.codes)[1:] for column in columns]
        ends = np.cumsum([width[0] if width else 1 for width in widths])
        ids = np.empty((len(columns[0].codes), ends[-1]), kind)
        fields = zip(columns, self.tokens, self.starts, np.split(ids, ends[:-1], 1), strict=True)
        for column, tokens, start, own in fields:
            rank = np.append(tokens.get_indexer(column.categories), -1)  # the last one is that of code -1
            rank[rank < 0] = len(tokens)
            own[:] = (start + rank).astype(kind)[column.codes].reshape(own.shape)
        return ids

    def blocks(self, field: int, number: int) -> np.ndarray:
        """Cut a field's values into `number` blocks of equal size by falling frequency.

        Returns (values of the field + 1,) block numbers by rank, 0 the most frequent; the last id, of values
        rare or unseen, lies in the last block.
        """
        size = len(self.tokens[field])
        return np.append(np.arange(size) * number // size, number - 1)


def rank_features(
    names: tuple[str, ...], columns: Sequence[Column], train: np.ndarray, min_count: int = 1
) -> Features:
    """Build the vocabulary from the rows `train`; values that stand there less than `min_count` times are rare."""
    tokens, counts = [], []
    for column in columns:
        codes = column.codes[train]
        occurrences = np.bincount(codes[codes >= 0], minlength=len(column.categories))
        order = np.argsort(-occurrences, kind="stable")  # categories are sorted, so ties go by token
        common = order[occurrences[order] >= min_count]
        tokens.append(column.categories[common])
        counts.append(np.append(occurrences[common], occurrences.sum() - occurrences[common].sum()))
    starts = np.cumsum([0, *map(len, counts[:-1])])
    return Features(names, tuple(tokens), starts, np.concatenate(counts))
