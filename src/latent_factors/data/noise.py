"""Events that nobody made: some interactions replaced by random ones."""

from dataclasses import replace

import numpy as np
import pandas as pd

from latent_factors.data.table import Interactions


def disturb(interactions: Interactions, rows: np.ndarray, share: float, seed: int) -> Interactions:
    """Return the interactions with a share of some rows (m,), drawn with `seed`, given other items.

    The user of a row stays. The new item is drawn uniformly from all items that the user has in no row, neither before
    nor after; so every user keeps the number of their events, and what they have elsewhere is not touched.
    """
    generator = np.random.default_rng(seed)
    drawn = np.sort(generator.permutation(rows)[: round(share * len(rows))])
    number = len(interactions.item.categories)
    user, item = interactions.user.codes.astype(np.int64) * number, interactions.item.codes.astype(np.int64)
    before, open_rows = user + item, drawn
    while len(open_rows):
        item[open_rows] = generator.integers(number, size=len(open_rows))
        pairs = user[drawn] + item[drawn]
        first = np.zeros(len(drawn), bool)
        first[np.unique(pairs, return_index=True)[1]] = True
        open_rows = drawn[~first | np.isin(pairs, before)]
    return replace(interactions, item=pd.Categorical.from_codes(item, interactions.item.categories))
