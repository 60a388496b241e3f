"""The fields of click data: what a column of an atomic file is to a model."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from latent_factors.data import atomic

KINDS = ("float", "token", "token_seq")  # in the order in which models take the fields
HOUR = 3600  # seconds
DAYS = ("Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday")  # from 1 January 1970 on


@dataclass(frozen=True)
class Field:
    """What a field holds in n rows: w values a row, each with the weight of its vector.

    Attributes:
        name: the column's name.
        kind: its type, one of KINDS.
        categories: the tokens, sorted; "" is a missing one. A numeric field has one, its own name.
        codes: (n, w) positions in `categories`; -1 stands for no value.
        values: (n, w) float32 weights, 0 where there is no value.
    """

    name: str
    kind: str
    categories: pd.Index
    codes: np.ndarray
    values: np.ndarray


def make_field(name: str, kind: str, column: pd.Series) -> Field:
    """Return the field of a column of `read_coded` of type `kind`: token, token_seq or float.

    - token: one value of weight 1; a missing one is a value of its own.
    - token_seq: the m values of a cell weigh 1/m each, so that the field's vector is their average. A value
      repeated in a cell counts once. Rows have as many columns as the longest cell.
    - float: one value whose weight is the number z, or log² z where z > 2 (AutoInt, section 5.1); a missing one
      weighs 0. The authors' code takes the integer part of log² z; the paper does not, nor do we, as that only
      throws away what tells apart numbers of like size.
    """
    return _MAKERS[kind](name, column)


def time_fields(seconds: np.ndarray) -> list[Field]:
    """Return the categorical fields `hour` and `weekday` (UTC) of times (n,) since 1970; NaN is missing."""
    known = ~np.isnan(seconds)
    hours = np.where(known, seconds, 0).astype(np.int64) // HOUR
    hour = np.array([f"{hour:02}" for hour in range(24)], object)[hours % 24]
    weekday = np.array(DAYS, object)[hours // 24 % 7]
    return [
        _token(name, pd.Series(pd.Categorical(np.where(known, tokens, None))))
        for name, tokens in (("hour", hour), ("weekday", weekday))
    ]


def _token(name: str, column: pd.Series) -> Field:
    tokens = atomic.tokens(column)
    ones = np.broadcast_to(np.float32(1), (len(column), 1))
    return Field(name, "token", tokens.categories, tokens.codes[:, None], ones)


def _token_seq(name: str, column: pd.Series) -> Field:
    held = atomic.tokens(column)
    place, cells = pd.factorize(held.categories.str.strip(" "), sort=True)  # each different cell is taken apart once
    cell = place[held.codes]
    pairs = pd.Series(cells, name="token").str.split(" +", regex=True).explode()
    pairs = pairs.rename_axis("cell").reset_index().drop_duplicates()
    tokens = pd.Categorical(pairs["token"])
    place = pairs.groupby("cell").cumcount()
    codes = np.full((len(cells), place.max() + 1), -1)
    codes[pairs["cell"], place] = tokens.codes
    held = codes >= 0
    values = (held / held.sum(1, keepdims=True)).astype(np.float32)
    return Field(name, "token_seq", tokens.categories, codes[cell], values[cell])


def _float(name: str, column: pd.Series) -> Field:
    number = column.to_numpy(np.float64)[:, None]
    held = ~np.isnan(number)
    squared_log = np.log(np.where(number > 2, number, 1)) ** 2
    values = np.where(held, np.where(number > 2, squared_log, number), 0).astype(np.float32)
    return Field(name, "float", pd.Index([name]), np.where(held, 0, -1).astype(np.int8), values)


_MAKERS = dict(zip(KINDS, (_float, _token, _token_seq), strict=True))
