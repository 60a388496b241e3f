"""Cut interactions into train, validation and test."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from latent_factors.data.table import Interactions
from latent_factors.errors import UserError
from latent_factors.sections import Split as SplitSettings

ROUNDING = 1e-9  # so that 0.1 of 30 rows are three


@dataclass(frozen=True)
class Parts:
    """Three disjoint sets of rows that together are all rows; each an ascending (n,) int64 array."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def __iter__(self):
        yield from (("train", self.train), ("validation", self.validation), ("test", self.test))

    def carve(self, share: float, seed: int) -> tuple["Parts", "Parts"]:
        """Cut a share of the training rows off, drawn with `seed`: parts whose train is the rest, and is what was cut.

        Raises UserError when either would be empty.
        """
        order = np.random.default_rng(seed).permutation(len(self.train))
        size = round(share * len(order))
        if not 0 < size < len(order):
            raise UserError(
                f"shared.alpha_share {share} of the search in params.yaml leaves {size} of {len(order)} training rows"
                " for α; choose a larger data set or another share"
            )
        held, rest = (np.sort(self.train[rows]) for rows in (order[:size], order[size:]))
        return replace(self, train=rest), replace(self, train=held)


def split(interactions: Interactions, settings: SplitSettings) -> Parts:
    """Cut the rows by `settings.kind`.

    - random: shares `validation` and `test` of the rows, drawn without replacement with `seed`.
    - random-by-user: the same shares of each user's rows, rounded down, but at least one row of each part where the
      user has three or more, and a test row where there are two.
    - leave-last-out: of each user the last event is test, the one before it validation.
    - global-time: the last share `test` of the events by time is test, the share `validation` before it
      is validation. Events of one second stay together, in the earlier part.
    - given: the column `split` says train, validation or test; where it gives no validation, the share `validation` of
      each user's training rows is drawn with `seed` as random-by-user draws it, or of all where there are no users.

    Raises UserError when times, users or the column are needed and missing, when a user has fewer than three events
    (leave-last-out), or when a part comes out empty.
    """
    part = _CUTS[settings.kind](interactions, settings)
    parts = Parts(*(np.flatnonzero(part == number) for number in range(3)))
    for name, rows in parts:
        if not len(rows):
            raise UserError(
                f"split.{name if name != 'train' else 'test'} in params.yaml leaves no {name} rows"
                f" of {len(interactions)}; choose a larger data set or other shares"
            )
    return parts


def _random(interactions: Interactions, settings: SplitSettings) -> np.ndarray:
    total = len(interactions)
    part = np.zeros(total, np.int8)
    order = np.random.default_rng(settings.seed).permutation(total)
    test, validation = round(settings.test * total), round(settings.validation * total)
    part[order[:test]] = 2
    part[order[test : test + validation]] = 1
    return part


def _random_by_user(interactions: Interactions, settings: SplitSettings) -> np.ndarray:
    users = _users(interactions, settings).codes
    events = np.bincount(users)
    test = _some(events, settings.test, events - 1)
    validation = _some(events, settings.validation, events - 1 - test)
    place = _places(users, events, settings.seed)
    return np.where(place < test[users], 2, place < (test + validation)[users]).astype(np.int8)


def _some(events: np.ndarray, share: float, most: np.ndarray) -> np.ndarray:
    """Return how many of each user's events are the share, rounded down, but one at least, and no more than `most`."""
    return np.minimum(np.maximum((share * events + ROUNDING).astype(int), 1), most)


def _places(users: np.ndarray, events: np.ndarray, seed: int) -> np.ndarray:
    """Return the place of each row (n,) among those of its user, in an order drawn with `seed`."""
    order = np.lexsort((np.random.default_rng(seed).random(len(users)), users))
    place = np.empty(len(users), int)
    place[order] = np.arange(len(users)) - np.repeat(np.cumsum(events) - events, events)
    return place


def _leave_last_out(interactions: Interactions, settings: SplitSettings) -> np.ndarray:
    times = _times(interactions, settings)
    users = _users(interactions, settings).codes
    events = np.bincount(users)
    if events.min() < 3:
        poorest = interactions.user.categories[int(events.argmin())]
        raise UserError(
            f"split.kind leave-last-out needs three ratings of each user, user {poorest} of {interactions.dataset}"
            f" has {events.min()}; set data.min_user_ratings in params.yaml to 3 or more"
        )
    order = np.lexsort((times, users))  # stable: events of one second keep their order in the file
    last = np.cumsum(events) - 1
    part = np.zeros(len(users), np.int8)
    part[order[last]] = 2
    part[order[last - 1]] = 1
    return part


def _global_time(interactions: Interactions, settings: SplitSettings) -> np.ndarray:
    times = _times(interactions, settings)
    ordered = np.sort(times)
    total = len(ordered)
    train_rows = round((1 - settings.validation - settings.test) * total)
    validation_rows = round((1 - settings.test) * total)
    train_end, validation_end = ordered[max(train_rows, 1) - 1], ordered[validation_rows - 1]
    return (times > train_end).astype(np.int8) + (times > validation_end)


def _given(interactions: Interactions, settings: SplitSettings) -> np.ndarray:
    if interactions.part is None:
        raise UserError(
            f"split.kind given needs a column split:token in {interactions.dataset}.inter; add it, or choose another"
            " split.kind in params.yaml"
        )
    names = ["train", "validation", "test"]
    unknown = [name for name in interactions.part.categories if name not in names]
    if unknown:
        line = interactions.line[int((interactions.part == unknown[0]).argmax())]
        raise UserError(
            f"{interactions.dataset}.inter, line {line}: split is {unknown[0]!r}, not one of {', '.join(names)};"
            " correct the line"
        )
    part = np.array([names.index(name) for name in interactions.part.categories], np.int8)[interactions.part.codes]
    if not (part == 1).any():
        train = np.flatnonzero(part == 0)
        part[train[_drawn(interactions, train, settings)]] = 1
    return part


def _drawn(interactions: Interactions, train: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """Return which of some rows (m,) are to validate, as positions among them or as a mask."""
    if interactions.user is None:
        return np.random.default_rng(settings.seed).permutation(len(train))[: round(settings.validation * len(train))]
    users = interactions.user.codes[train]
    events = np.bincount(users)
    return _places(users, events, settings.seed) < _some(events, settings.validation, events - 1)[users]


def _users(interactions: Interactions, settings: SplitSettings) -> pd.Categorical:
    if interactions.user is None:
        raise UserError(
            f"split.kind {settings.kind} needs users, and {interactions.dataset} has no column data.user names;"
            " set split.kind in params.yaml to random"
        )
    return interactions.user


def _times(interactions: Interactions, settings: SplitSettings) -> np.ndarray:
    return interactions.times(f"split.kind {settings.kind}", "set split.kind in params.yaml to random")


_CUTS = {
    "random": _random, "random-by-user": _random_by_user, "leave-last-out": _leave_last_out,
    "global-time": _global_time, "given": _given,
}
