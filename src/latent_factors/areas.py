"""Intervals of the area under the ROC curve where there are many users."""

import numpy as np

from latent_factors.stats import Bootstrap

CELLS = 2**22  # rows times replicates that are weighed at once


class Areas(Bootstrap):
    """A bootstrap over users whose time grows with rows times replicates, not with the square of the users."""

    def auc(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Return B + 1 values of the area under the ROC curve, averaged over seeds; the first is the estimate itself.

        scores is (S, n), label (n,) of zeros and ones. A redraw counts a row as often as its user was drawn, and ties
        count by half.
        """
        number = self._weights.shape[1]
        weights = np.vstack([np.ones((1, number), np.float32), self._weights])  # (B + 1, U)
        areas = np.stack([self._areas(run, label > 0, weights) for run in scores], 1)  # (B + 1, S)
        return self._over_seeds(areas[0], areas[1:])

    def _areas(self, scores: np.ndarray, clicked: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the area (B + 1,) of one run's scores (n,) under weights of users (B + 1, U).

        Σ_c w_c (o_<c + o_≤c) / 2 / (Σ w_c Σ w_o), o the weight of other rows that score less than click c, or no more.
        """
        order = np.argsort(scores, kind="stable")
        clicks, others = order[clicked[order]], order[~clicked[order]]
        less, most = (np.searchsorted(scores[others], scores[clicks], side) for side in ("left", "right"))
        found = []
        for block in np.array_split(weights, -(-len(weights) * len(order) // CELLS)):
            weight = np.ascontiguousarray(block.T)
            below = np.zeros((len(others) + 1, len(block)), np.float32)
            np.cumsum(weight[self.users[others]], 0, out=below[1:])
            click = weight[self.users[clicks]]
            won = (click * (below[less] + below[most])).sum(0, dtype=np.float64) / 2
            found.append(won / (click.sum(0, dtype=np.float64) * below[-1]))
        return np.concatenate(found)
