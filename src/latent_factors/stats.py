"""Intervals, paired comparisons, and the correction for making many."""

import numpy as np
from statsmodels.stats.multitest import multipletests

from latent_factors.sections import Statistics

FAR = 1e9
USERS = 256  # clicks of so many users are counted at once


class Bootstrap:
    """A bootstrap over users, and over the seeds within each replicate.

    Ratings of one user are alike, so users are redrawn, with all their test rows. The same draws serve every
    quantity of one instance: replicates of two models are paired, and their difference is the paired one.

    Args:
        users: (n,) user number of each test row.
        settings: how many replicates B, which level, which seed.
        seeds: S, the runs of each model.
    """

    def __init__(self, users: np.ndarray, settings: Statistics, seeds: int):
        generator = np.random.default_rng(settings.seed)
        self.users, self.settings = users, settings
        number = int(users.max()) + 1
        present = np.bincount(users, minlength=number) > 0
        draws = generator.multinomial(present.sum(), present / present.sum(), size=settings.replicates)
        self._weights = draws.astype(np.float32)  # (B, U): how often each user was drawn
        self._seeds = generator.integers(seeds, size=(settings.replicates, seeds))

    def mean(self, values: np.ndarray, rows: np.ndarray | None = None, root: bool = False) -> np.ndarray:
        """Return B + 1 values of the mean over rows, averaged over seeds; the first is the estimate itself.

        values is (S, n), or (1, n) for a model without chance; `rows`, a mask (n,), keeps some of them; `root` takes
        the square root of each seed's mean, so that squared errors become the RMSE. A replicate that drew no kept row
        is NaN.
        """
        users = self.users if rows is None else self.users[rows]
        values = values if rows is None else values[:, rows]
        number = self._weights.shape[1]
        counts = np.bincount(users, minlength=number).astype(np.float32)
        sums = np.stack([np.bincount(users, weights=row, minlength=number) for row in values], 1).astype(np.float32)
        with np.errstate(invalid="ignore"):
            redrawn = (self._weights @ sums) / (self._weights @ counts)[:, None]  # (B, S)
        observed = values.mean(1, dtype=np.float64)
        if root:
            redrawn, observed = np.sqrt(redrawn), np.sqrt(observed)
        return self._over_seeds(observed, redrawn)

    def by_group(self, values: np.ndarray, group: np.ndarray, number: int) -> np.ndarray:
        """Return (B + 1, G) values of the mean over the rows of each of G = `number` groups, averaged over seeds.

        values and group, which says where each seed puts a row, are (S, n). The first values are the estimates
        themselves; a replicate that drew no row of a group is NaN there.
        """
        users = self._weights.shape[1]
        cells = self.users.astype(np.int64) * number + group  # (S, n)

        def total(weights: np.ndarray) -> np.ndarray:
            rows = zip(cells, weights, strict=True)
            sums = [np.bincount(own, weights=row, minlength=users * number) for own, row in rows]
            return np.reshape(sums, (len(cells), users, number)).astype(np.float32)

        sums, counts = total(values), total(np.ones_like(values))
        with np.errstate(invalid="ignore"):
            redrawn = (self._weights @ sums) / (self._weights @ counts)  # (S, B, G)
        observed = sums.sum(1, dtype=np.float64) / counts.sum(1, dtype=np.float64)
        redrawn = np.take_along_axis(redrawn, (self._seeds % len(cells)).T[:, :, None], 0).mean(0)
        return np.vstack([observed.mean(0), redrawn])

    def _over_seeds(self, observed: np.ndarray, redrawn: np.ndarray) -> np.ndarray:
        """Return the mean of S observed values and of the redrawn (B, S), with the seeds redrawn too."""
        return np.append(observed.mean(), np.take_along_axis(redrawn, self._seeds % len(observed), 1).mean(1))

    def auc(self, scores: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Return B + 1 values of the area under the ROC curve, averaged over seeds; the first is the estimate itself.

        scores is (S, n), label (n,) of zeros and ones. A redraw counts a row as often as its user was drawn.
        """
        number, clicked = self._weights.shape[1], label > 0
        weights = np.vstack([np.ones((1, number), np.float32), self._weights])  # (B + 1, U)
        clicks, others = (np.bincount(self.users[rows], minlength=number) for rows in (clicked, ~clicked))
        pairs = (weights @ clicks) * (weights @ others)
        areas = []
        for run in scores:
            between = _wins(run, clicked, self.users, number)
            areas.append(((weights @ between) * weights).sum(1, dtype=np.float64) / pairs)
        observed, *redrawn = np.stack(areas, 1)
        return self._over_seeds(observed, np.array(redrawn))

    def over_seeds(self, values: np.ndarray) -> np.ndarray:
        """Return B + 1 values of the mean of S values, a seed each; the first is the mean.

        Few seeds redrawn would tell too narrow an interval: these are draws of Student's t around the mean. With one
        seed nothing is known of the spread, and the draws lie as far as a float goes.
        """
        number = len(values)
        if number == 1:
            return np.append(values, np.resize([-FAR, FAR], self.settings.replicates))
        draws = np.random.default_rng(self.settings.seed).standard_t(number - 1, self.settings.replicates)
        return np.append(values.mean(), values.mean() + draws * values.std(ddof=1) / number**0.5)

    def interval(self, values: np.ndarray) -> tuple[float, float, float]:
        """Return the estimate and the percentile interval of B + 1 values, the first being the estimate."""
        tail = (1 - self.settings.level) / 2
        low, high = np.nanquantile(values[1:], [tail, 1 - tail])
        return float(values[0]), float(low), float(high)


def _wins(scores: np.ndarray, clicked: np.ndarray, users: np.ndarray, number: int) -> np.ndarray:
    """Return how many pairs of a user's clicks and a user's other rows the clicks win (U, U), ties by half.

    scores, clicked and users are (n,). One sort: a click wins against all others below its place.
    """
    order = np.argsort(scores[~clicked], kind="stable")
    below, owners = scores[~clicked][order], users[~clicked][order]
    columns = np.argsort(owners, kind="stable")
    present, starts = np.unique(owners[columns], return_index=True)
    own, clicks = users[clicked].astype(np.int64), scores[clicked]
    places = [np.searchsorted(below, clicks, side) for side in ("left", "right")]  # past those below, and those level
    between = np.zeros((number, number), np.float32)
    for first in range(0, number, USERS):
        size = min(USERS, number - first)
        rows = (own >= first) & (own < first + size)
        wins = np.zeros(size * (len(below) + 1))
        for place in places:
            wins += np.bincount((own[rows] - first) * (len(below) + 1) + place[rows], minlength=len(wins)) / 2
        wins = wins.reshape(size, -1)[:, ::-1].cumsum(1)[:, ::-1][:, 1:]  # (size, n of others): clicks placed past each
        between[first : first + size, present] = np.add.reduceat(wins[:, columns], starts, axis=1)
    return between


def p_value(differences: np.ndarray, bound: float = 0.0) -> float:
    """Return the two-sided bootstrap p-value of "the difference is `bound`" for B + 1 values, the first the estimate.

    p = 2 min(#{d ≤ bound}, #{d ≥ bound}) / B over the replicates, with one added to count and B, at most 1.
    """
    redrawn = differences[1:][np.isfinite(differences[1:])] - bound
    fewer = min((redrawn <= 0).sum(), (redrawn >= 0).sum())
    return float(min(1.0, 2 * (fewer + 1) / (len(redrawn) + 1)))


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down rule."""
    return multipletests(p_values, method="holm")[1].tolist()
