"""Intervals, paired comparisons, and the correction for making many."""

import numpy as np
from statsmodels.stats.multitest import multipletests

from latent_factors.settings import Statistics


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

        values is (S, n); `rows`, a mask (n,), keeps some of them; `root` takes the square root of each seed's
        mean, so that squared errors become the RMSE. A replicate that drew no kept row is NaN.
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
        return np.append(observed.mean(), np.take_along_axis(redrawn, self._seeds, 1).mean(1))

    def interval(self, values: np.ndarray) -> tuple[float, float, float]:
        """Return the estimate and the percentile interval of B + 1 values, the first being the estimate."""
        tail = (1 - self.settings.level) / 2
        low, high = np.nanquantile(values[1:], [tail, 1 - tail])
        return float(values[0]), float(low), float(high)


def p_value(differences: np.ndarray) -> float:
    """Return the two-sided bootstrap p-value of "no difference" for B + 1 values, the first the estimate.

    p = 2 min(#{d ≤ 0}, #{d ≥ 0}) / B over the replicates, with one added to count and B, at most 1.
    """
    redrawn = differences[1:][np.isfinite(differences[1:])]
    fewer = min((redrawn <= 0).sum(), (redrawn >= 0).sum())
    return float(min(1.0, 2 * (fewer + 1) / (len(redrawn) + 1)))


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down rule."""
    return multipletests(p_values, method="holm")[1].tolist()
