"""Read what is known of users and items, for models that recommend by it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latent_factors.data.atomic import read_atomic
from latent_factors.data.attributes import Attributes, Side
from latent_factors.data.features import rank_features
from latent_factors.data.fields import Field, make_field
from latent_factors.data.items import YEARS
from latent_factors.errors import UserError
from latent_factors.paths import root
from latent_factors.sections import Data

AGES = (18, 25, 35, 45, 50, 56)  # where the age groups of MovieLens 1M begin
ZIP = 2  # leading characters of a postal code


def describe(
    dataset: str, data: Data, tokens: tuple[pd.Index, pd.Index], events: Tensor, min_count: int
) -> Attributes:
    """Read data/<dataset>/<dataset>.user and .item for the users and items of the training part, named by `tokens`.

    `events` (n, 2) are the training events, as numbers of a user and of an item in `tokens`. Every column of tokens is
    a field: ages in groups, postal codes by how they begin, a year beside its decade, a title by its words. A value
    that fewer than `min_count` users or items hold is rare; a field without other values is left out. Without a .user
    file users have no attributes.

    Raises UserError for a missing .item file, or one without attributes.
    """
    folder, sides, counts, first = root() / "data" / dataset, [], [], 0
    for place, (key, suffix) in enumerate(((data.user, "user"), (data.item, "item"))):
        path = folder / f"{dataset}.{suffix}"
        fields = list(_fields(_table(path, key, tokens[place]), key)) if suffix == "item" or path.is_file() else []
        side, taken = _side(fields, tokens[place], events[:, place], min_count, first)
        sides.append(side)
        counts.append(taken)
        first += len(taken)
    if not sides[1].names:
        raise UserError(
            f"{path} tells nothing that {min_count} items share, and two-tower models recommend by attributes; add"
            " columns such as genres or a year, or train another model"
        )
    return Attributes(*sides, torch.cat(counts))


def _table(path: Path, key: str, tokens: pd.Index) -> pd.DataFrame:
    """Return the columns of a file for some tokens, and a last row of a stranger, of whom nothing is known."""
    if not path.is_file():
        raise UserError(
            f"{path} is missing, and two-tower models recommend by attributes of items; add it with a column"
            f" {key}:token and others such as genres or a year, or train another model"
        )
    table = read_atomic(path)
    if key not in table:
        raise UserError(f"{path} has no column {key}; rename its first column to {key}")
    return table.drop_duplicates(key).set_index(key, drop=False).reindex(tokens.append(pd.Index([""])))


def _fields(table: pd.DataFrame, key: str) -> Iterator[Field]:
    for name, kind in table.attrs["types"].items():
        column = table[name].reset_index(drop=True)
        if name == key or kind not in ("token", "token_seq"):
            continue
        if name in YEARS:
            yield _field("decade", "token", column.str[:-1])
        if kind == "token_seq" and ("title" in name or "name" in name):
            column = column.str.lower().str.replace(r"[^\w\s]", "", regex=True)
        elif name == "age":
            column = _groups(column)
        elif name.startswith("zip"):
            column = column.str[:ZIP]
        yield _field(name, kind, column)


def _groups(age: pd.Series) -> pd.Series:
    """Return the first year of the group of each age, 0 below them all."""
    years = pd.to_numeric(age, errors="coerce")
    begins = np.append(0, AGES)[np.searchsorted(AGES, years.fillna(0), side="right")]
    return pd.Series(begins).astype(str).where(years.notna(), None)


def _field(name: str, kind: str, column: pd.Series) -> Field:
    """Return a field in which a missing cell holds no value."""
    field = make_field(name, kind, pd.Series(pd.Categorical(column.where(column != "", None))))
    missing = field.categories.get_indexer([""])[0]
    return replace(field, codes=np.where(field.codes == missing, -1, field.codes)) if missing >= 0 else field


def _side(fields: list[Field], tokens: pd.Index, owners: Tensor, min_count: int, first: int) -> tuple[Side, Tensor]:
    """Return the attributes of users or items, and how many events hold each id; ids begin at `first`.

    `owners` (n,) is the row of each event.
    """
    rows, device = np.arange(len(tokens)), owners.device
    fields = [field for field in fields if np.bincount(field.codes[field.codes >= 0]).max(initial=0) >= min_count]
    if not fields:
        none = torch.empty(0, dtype=torch.long, device=device)
        return Side((), none.expand(len(tokens) + 1, 0), none, none), none.float()
    names = tuple(field.name for field in fields)
    ranked = rank_features(names, fields, rows, min_count)
    defaults = ranked.starts + [len(common) for common in ranked.tokens]
    ends = np.cumsum([field.codes.shape[1] for field in fields])[:-1]
    columns = [
        _front(ids, default) for ids, default in zip(np.split(ranked.encode(fields), ends, 1), defaults, strict=True)
    ]
    field = np.arange(len(fields)).repeat([own.shape[1] for own in columns])
    side = Side(
        names, *(torch.from_numpy(part).to(device) for part in (first + np.hstack(columns), field, first + defaults))
    )
    taken = torch.bincount(owners, minlength=len(tokens) + 1).float()
    counts = torch.zeros(ranked.number, device=device)
    counts.index_add_(0, (side.ids - first).flatten(), (side.held * taken[:, None]).flatten())
    empty = ~(side.held[:, None] & side.member).any(2)  # (R, F)
    return side, counts.index_add_(0, side.defaults - first, (empty * taken[:, None]).sum(0))


def _front(ids: np.ndarray, default: int) -> np.ndarray:
    """Return a field's ids (R, w) with the default, which is the largest, behind; as many columns as rows need."""
    ids = np.sort(ids, 1)
    return ids[:, : max(1, (ids != default).sum(1).max())]
