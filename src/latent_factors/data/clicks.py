"""Click data: the events of a data set with their label, and everything that describes them, as fields."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.extensions import take

from latent_factors.data.atomic import read_coded, tokens
from latent_factors.data.fields import Field, make_field, time_fields
from latent_factors.data.table import Interactions, require
from latent_factors.errors import UserError
from latent_factors.paths import root
from latent_factors.sections import Clicks, Data


@dataclass(frozen=True)
class ClickData:
    """Events that are clicks or none; row i is one event.

    Attributes:
        events: n events. A pair of user and item may occur more than once, in another context.
        label: (n,) float32, 1 for a click, 0 for none.
        fields: in the order of the files' columns.
    """

    events: Interactions
    label: np.ndarray
    fields: list[Field]


def load_clicks(dataset: str, data: Data, clicks: Clicks) -> ClickData:
    """Read data/<dataset>/<dataset>.inter and join .user and .item where they exist.

    The column `data.rating` makes the label: above `clicks.positive_above` a click, below `clicks.negative_below`
    none; rows between are dropped. Every other column is a field but those of `clicks.skip` and of type float_seq;
    `data.timestamp` gives the fields `hour` and `weekday`, unless the data set has columns of these names. Of two
    lines that describe one user or item, the first counts.

    Raises UserError for a missing file or column, an empty rating, a column that stands in two files, no clicks or
    nothing but clicks.
    """
    path = root() / "data" / dataset / f"{dataset}.inter"
    table = read_coded(path)
    types = table.attrs["types"]
    require(table, path, {data.rating: "data.rating"}, data)
    table["line"] = np.arange(2, len(table) + 2)
    rating = table[data.rating]
    told = (rating > clicks.positive_above) | (rating < clicks.negative_below)
    kept = table if told.all() else table[told].reset_index(drop=True)
    label = (kept[data.rating] > clicks.positive_above).to_numpy()
    _require_both(label, rating, path, data)

    user, item = (tokens(kept[name]) if name in kept else None for name in (data.user, data.item))
    events = Interactions(
        dataset=dataset, user=user, item=item, rating=kept[data.rating].to_numpy(np.float32),
        timestamp=kept[data.timestamp].to_numpy() if data.timestamp in kept else None,
        line=kept["line"].to_numpy(), dropped={"neither click nor none": len(table) - len(kept)},
    )
    return ClickData(events, label.astype(np.float32), describe_rows(kept, types, dataset, data, clicks))


def describe_rows(
    table: pd.DataFrame, types: dict[str, str], dataset: str, data: Data, clicks: Clicks
) -> list[Field]:
    """Return the fields of rows of an .inter file, as `read_coded` has them, and of what .user and .item add to them.

    `types` are those of the columns. Raises UserError for a missing column, or one that stands in two files.
    """
    types, folder = dict(types), root() / "data" / dataset
    for key, suffix in ((data.user, "user"), (data.item, "item")):
        if key in types and (folder / f"{dataset}.{suffix}").is_file():
            table = _describe(table, types, folder / f"{dataset}.{suffix}", key, clicks)
    return _fields(table, types, data, clicks)


def _require_both(label: np.ndarray, rating: pd.Series, path: Path, data: Data) -> None:
    for wanted, word, key in ((True, "above", "positive_above"), (False, "below", "negative_below")):
        if not (label == wanted).any():
            raise UserError(
                f"{path}: no {data.rating} lies {word} clicks.{key} (they go from {rating.min():g} to"
                f" {rating.max():g}); set clicks.{key} in params.yaml to a value between"
            )


def _describe(table: pd.DataFrame, types: dict[str, str], path: Path, key: str, clicks: Clicks) -> pd.DataFrame:
    """Join the columns of a .user or .item file, and add their types to `types`."""
    described = read_coded(path)
    own = {name: kind for name, kind in described.attrs["types"].items() if name not in clicks.skip}
    if key not in own:
        raise UserError(f"{path} has no column {key}, which {path.stem}.inter has; rename its first column to {key}")
    twice = [name for name in own if name in types and name != key]
    if twice:
        raise UserError(f"{path}: another file has a column {twice[0]} too; rename one, or add it to clicks.skip")
    types |= own
    described = described.dropna(subset=key).drop_duplicates(key)
    rows = pd.Index(described[key]).get_indexer(table[key].array.categories)
    place = np.append(rows, -1)[table[key].array.codes]  # the last one is that of a missing key
    columns = {name: take(described[name].array, place, allow_fill=True) for name in own if name != key}
    return pd.concat([table, pd.DataFrame(columns)], axis=1)


def _fields(table: pd.DataFrame, types: dict[str, str], data: Data, clicks: Clicks) -> list[Field]:
    fields = []
    for name, kind in types.items():
        if name in (*clicks.skip, data.rating) or kind == "float_seq":
            continue
        column = table.pop(name)  # the room of its cells is free again once its field is made
        if name == data.timestamp:
            fields += [field for field in time_fields(column.to_numpy()) if field.name not in types]
        else:
            fields.append(make_field(name, kind, column))
    return fields
