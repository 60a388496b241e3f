"""Intervals of the area under the ROC curve when users and items are both drawn."""

import numpy as np

from latent_factors.sections import Statistics
from latent_factors.stats import Bootstrap

CELLS = 2**21  # rows times replicates that are weighed at once


class Areas(Bootstrap):
    """A bootstrap over users, over items, and over the seeds within each replicate (the pigeonhole one, Owen 2007).

    Which items are new is a draw as which users ask is: a row counts as often as its user was drawn times as often as
    its item was. Time grows with rows times replicates, not with the square of the users.

    Args:
        users: (n,) user number of each test row.
        items: (n,) item number of each test row.
        settings: how many replicates B, which level, which seed.
        seeds: S, the runs of each model.
    """

    def __init__(self, users: np.ndarray, items: np.ndarray, settings: Statistics, seeds: int):
        super().__init__(users, settings, seeds)
        different, self.items = np.unique(items, return_inverse=True)
        number, generator = len(different), np.random.default_rng([settings.seed, 1])
        draws = generator.multinomial(number, np.full(number, 1 / number), size=settings.replicates)
        self._item_weights = draws.astype(np.float32)  # (B, I): how often each item was drawn

    def auc(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Return B + 1 values of the area under the ROC curve, averaged over seeds; the first is the estimate itself.

        scores is (S, n), label (n,) of zeros and ones. Ties count by half. A replicate without clicks, or without
        others, is NaN.
        """
        weights = [
            np.vstack([np.ones((1, own.shape[1]), np.float32), own]) for own in (self._weights, self._item_weights)
        ]
        areas = np.stack([self._areas(run, label > 0, *weights) for run in scores], 1)  # (B + 1, S)
        return self._over_seeds(areas[0], areas[1:])

    def _areas(self, scores: np.ndarray, clicked: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the area (B + 1,) of one run's scores (n,) under weights of users (B + 1, U) and items (B + 1, I).

        Σ_c w_c (o_<c + o_≤c) / 2 / (Σ w_c Σ w_o), o the weight of other rows that score less than click c, or no more.
        """
        order = np.argsort(scores, kind="stable")
        clicks, others = order[clicked[order]], order[~clicked[order]]
        less, most = (np.searchsorted(scores[others], scores[clicks], side) for side in ("left", "right"))
        blocks, found = -(-len(users) * len(order) // CELLS), []
        for pair in zip(np.array_split(users, blocks), np.array_split(items, blocks), strict=True):
            user, item = (np.ascontiguousarray(block.T) for block in pair)
            below = np.zeros((len(others) + 1, user.shape[1]), np.float32)
            np.cumsum(user[self.users[others]] * item[self.items[others]], 0, out=below[1:])
            click = user[self.users[clicks]] * item[self.items[clicks]]
            won = (click * (below[less] + below[most])).sum(0, dtype=np.float64) / 2
            with np.errstate(invalid="ignore"):
                found.append(won / (click.sum(0, dtype=np.float64) * below[-1]))
        return np.concatenate(found)
