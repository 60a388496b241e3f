"""Hold out items by when they came out: a recommender must rank what nobody has taken yet."""

from dataclasses import replace

import numpy as np

from latent_factors.data.splits import Parts, split
from latent_factors.data.table import Interactions
from latent_factors.sections import Releases, Split


def split_by_release(interactions: Interactions, year: np.ndarray, settings: Releases) -> Parts:
    """Cut the events by the release `year` (I,) of their items, whose order is that of the items' categories.

    The last items, which hold the share `test` of the events, are test, those before them, which hold the share
    `validation`, are validation. Items of one year stay together, in the earlier part; so all events of an item lie in
    one part. An item whose year is not known (NaN) is as old as can be.

    Raises UserError when a part comes out empty.
    """
    known = np.where(np.isnan(year), -np.inf, year) if not np.isnan(year).all() else first_events(interactions)
    cut = Split(kind="global-time", validation=settings.validation, test=settings.test, seed=0)
    return split(replace(interactions, timestamp=known[interactions.item.codes]), cut)


def first_events(interactions: Interactions) -> np.ndarray:
    """Return the time of each item's first event, or its first line where events have no times (I,).

    That stands for the release where no year is known at all.
    """
    times = interactions.line.astype(float) if interactions.timestamp is None else interactions.timestamp
    first = np.full(len(interactions.item.categories), np.inf)
    np.minimum.at(first, interactions.item.codes, times)
    return first
