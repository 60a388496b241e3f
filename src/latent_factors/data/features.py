"""Number the feature values: one id space over all fields, ranked by training frequency."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Features:
    """The vocabulary of the training part.

    Each field takes a run of ids: first its values by falling training frequency (ties by token), then one
    id for every value unseen in training. N ids in all, F fields.

    Attributes:
        names: the fields.
        tokens: for each field, its values in order of id.
        starts: (F,) first id of each field.
        counts: (N,) training rows that hold each id; 0 for the unseen ones.
    """

    names: tuple[str, ...]
    tokens: tuple[pd.Index, ...]
    starts: np.ndarray
    counts: np.ndarray

    @property
    def number(self) -> int:
        """N, the number of ids."""
        return len(self.counts)

    def encode(self, columns: list[pd.Categorical]) -> np.ndarray:
        """Return the ids (n, F) of n rows given as one categorical a field."""
        ids = np.empty((len(columns[0]), len(columns)), np.int64)
        for field, (column, tokens, start) in enumerate(zip(columns, self.tokens, self.starts, strict=True)):
            rank = tokens.get_indexer(column.categories)
            rank[rank < 0] = len(tokens)
            ids[:, field] = start + rank[column.codes]
        return ids

    def blocks(self, field: int, number: int) -> np.ndarray:
        """Cut a field's values into `number` blocks of equal size by falling frequency.

        Returns (values of the field + 1,) block numbers by rank, 0 the most frequent; the unseen id lies in
        the last block.
        """
        size = len(self.tokens[field])
        return np.append(np.arange(size) * number // size, number - 1)


def rank_features(names: tuple[str, ...], columns: list[pd.Categorical], train: np.ndarray) -> Features:
    """Build the vocabulary from the rows `train` of one categorical a field."""
    tokens, counts = [], []
    for column in columns:
        occurrences = np.bincount(column.codes[train], minlength=len(column.categories))
        order = np.argsort(-occurrences, kind="stable")  # categories are sorted, so ties go by token
        order = order[occurrences[order] > 0]
        tokens.append(column.categories[order])
        counts.append(np.append(occurrences[order], 0))
    starts = np.cumsum([0, *map(len, counts[:-1])])
    return Features(names, tuple(tokens), starts, np.concatenate(counts))
