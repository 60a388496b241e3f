"""How far held-out events lie from those of training: as far as any others, where they were drawn at random."""

import numpy as np
from scipy.sparse import csr_matrix

BLOCK = 10_000  # events at a time


def unmet(user: np.ndarray, item: np.ndarray, train: np.ndarray, held: np.ndarray) -> float:
    """Return the share of held-out events whose item no user of the training part had with any of their own user's.

    `user` and `item` are the numbers (n,) of all events, `train` and `held` the rows of two parts. A random draw from
    the events leaves as large a share as any other; a larger one tells of a part that was chosen otherwise.
    """
    ones = np.ones(len(train), np.float32)
    had = csr_matrix((ones, (user[train], item[train])), (user.max() + 1, item.max() + 1))
    met = had.T @ had  # (I, I) users who had both
    counts = [
        np.asarray(had[user[rows]].multiply(met[item[rows]]).sum(1)).ravel()
        for rows in np.array_split(held, -(-len(held) // BLOCK))
    ]
    return float((np.concatenate(counts) == 0).mean())
