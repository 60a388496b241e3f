"""The interactions of a data set as one typed table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from latent_factors.data.atomic import read_coded, tokens
from latent_factors.errors import UserError
from latent_factors.paths import root
from latent_factors.sections import Data


@dataclass(frozen=True)
class Interactions:
    """Who rated what, how and when; row i is one event.

    Attributes:
        dataset: the data set's name.
        user, item: (n,) tokens, as pandas categoricals; None for click data without them.
        rating: (n,) float32; None where the data set has none and none was asked for.
        timestamp: (n,) float64, seconds; None where the data set has none.
        line: (n,) line of each event in the .inter file.
        dropped: how many events each rule took out, by name of the rule.
        part: (n,) what the column `split` says of each event; None where there is no such column.
    """

    dataset: str
    user: pd.Categorical | None
    item: pd.Categorical | None
    rating: np.ndarray | None
    timestamp: np.ndarray | None
    line: np.ndarray
    dropped: dict[str, int]
    part: pd.Categorical | None = None

    def __len__(self) -> int:
        return len(self.line)

    def times(self, user: str, remedy: str) -> np.ndarray:
        """Return the time of each event (n,), none missing.

        Raises UserError that names the setting of params.yaml that is their `user`, and says what else would do.
        """
        if self.timestamp is None:
            raise UserError(
                f"{user} needs times, and {self.dataset} has no column data.timestamp names; name it there, or {remedy}"
            )
        missing = int(np.isnan(self.timestamp).sum())
        if missing:
            raise UserError(
                f"{missing} of {len(self)} events of {self.dataset} have no time, which {user} needs; fill them in, or"
                f" {remedy}"
            )
        return self.timestamp


def load_interactions(dataset: str, data: Data, rated: bool = True, repeats: bool = False) -> Interactions:
    """Read data/<dataset>/<dataset>.inter.

    A pair of user and item that occurs twice is refused, or (`data.duplicates: last`) kept once: its latest event, by
    timestamp where there is one, else by line. Whoever can use `repeats` gets all of them with `keep`. Users and items
    with fewer ratings than `data.min_user_ratings` and `data.min_item_ratings` are then dropped, repeatedly until all
    have enough. With `rated=False` the data set need not have ratings.

    Raises UserError for a missing file or column, a missing token or rating, a repeated pair, nothing left.
    """
    path = root() / "data" / dataset / f"{dataset}.inter"
    table = read_coded(path)
    wanted = {data.user: "data.user", data.item: "data.item"} | ({data.rating: "data.rating"} if rated else {})
    require(table, path, wanted, data)
    table["line"] = np.arange(2, len(table) + 2)
    kept = table if repeats and data.duplicates == "keep" else _deduplicated(table, path, data)
    dense = _dense(kept, data)
    if dense.empty:
        raise UserError(
            f"{path} has no rating left; lower data.min_user_ratings or data.min_item_ratings in params.yaml"
        )
    stamps = dense[data.timestamp].to_numpy(np.float64) if data.timestamp in dense else None
    return Interactions(
        dataset=dataset,
        user=tokens(dense[data.user]),
        item=tokens(dense[data.item]),
        rating=dense[data.rating].to_numpy(np.float32) if data.rating in dense else None,
        timestamp=stamps,
        line=dense["line"].to_numpy(),
        dropped={"repeated pairs": len(table) - len(kept), "too few ratings": len(kept) - len(dense)},
        part=tokens(dense["split"]) if table.attrs["types"].get("split") == "token" else None,
    )


def require(table: pd.DataFrame, path: Path, wanted: dict[str, str], data: Data) -> None:
    """Raise UserError unless the columns `wanted`, each with its key in params.yaml, are there and without gaps.

    Ratings and times must be numbers where they are there.
    """
    types = table.attrs["types"]
    for name, key in wanted.items():
        if name not in types:
            raise UserError(
                f"{path} has no column {name} (it has {', '.join(types)}); name the right one as {key} in params.yaml"
            )
        empty = table[name].isna().to_numpy()
        if empty.any():
            raise UserError(f"{path}, line {int(empty.argmax()) + 2}: {name} is empty; fill it in or delete the line")
    for name, key in ((data.rating, "data.rating"), (data.timestamp, "data.timestamp")):
        if name in types and types[name] != "float":
            raise UserError(f"{path}, line 1: {name} is of type {types[name]}; {key} must name a float column")


def _deduplicated(table: pd.DataFrame, path: Path, data: Data) -> pd.DataFrame:
    pair = [data.user, data.item]
    repeated = table.duplicated(pair).to_numpy()
    if not repeated.any():
        return table
    if data.duplicates != "last":
        row = table.iloc[int(repeated.argmax())]
        raise UserError(
            f"{path}, line {row['line']}: user {row[data.user]} rated item {row[data.item]} before"
            f" ({int(repeated.sum())} such lines); set data.duplicates in params.yaml to last to keep the latest"
        )
    order = [data.timestamp, "line"] if data.timestamp in table else ["line"]
    return table.sort_values(order, kind="stable").drop_duplicates(pair, keep="last").sort_values("line")


def _dense(table: pd.DataFrame, data: Data) -> pd.DataFrame:
    while True:
        users = _occurrences(table[data.user]) >= data.min_user_ratings
        items = _occurrences(table[data.item]) >= data.min_item_ratings
        if (users & items).all():
            return table
        table = table[users & items]


def _occurrences(column: pd.Series) -> np.ndarray:
    """Return how often the value of each row stands in its column."""
    codes = column.array.codes
    return np.bincount(codes)[codes]
