"""What films are known for, and which users are fond of it."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from latent_factors.data.content import WORD
from latent_factors.data.histories import Histories
from latent_factors.data.items import Items


@dataclass(frozen=True)
class Traits:
    """Genres, decades and words of titles, A of them.

    Attributes:
        names: of each.
        has: (I, A) which items have it, bool.
    """

    names: list[str]
    has: Tensor


def traits(items: Items, films: int) -> Traits:
    """Return every genre, decade and word of four letters or more that `films` items have at least.

    An item of which nothing is known has none of them.
    """
    decade = items.year.dropna() // 10 * 10
    words = items.title.reset_index(drop=True).str.lower().str.findall(WORD).explode().dropna()
    words = words[words.str.len() >= 4]
    table = pd.concat([
        items.genres.reset_index(drop=True).add_prefix("genre "),
        pd.crosstab(items.year.reset_index(drop=True).index[items.year.notna()], decade.astype(int).to_numpy())
        .rename(columns="decade {}s".format),
        pd.crosstab(words.index, words.to_numpy()).add_prefix("title word "),
    ], axis=1).reindex(range(len(items.title))).fillna(0) > 0
    table = table.loc[:, table.sum() >= films]
    return Traits(list(table), torch.from_numpy(table.to_numpy(dtype=bool, copy=True)))


def fond(history: Histories, users: Tensor, has: Tensor, deviations: float) -> Tensor:
    """Return which users (U,), given by their row in `history`, are fond of which traits (U, A), bool.

    Of the n training items of a user, c have the trait; if p is its share of all training events, chance would give
    n p, with deviation √(n p (1 − p)). Whoever lies more than so many `deviations` above is fond of it. So a user with
    many items need not be fond of everything, nor is everyone fond of what everyone takes.
    """
    every = torch.bincount(history.items, minlength=history.catalogue).float()
    share = every @ has.float() / every.sum()  # (A,)
    taken = history.mask(users).float()
    number = taken.sum(1, keepdim=True)
    spread = (number * share * (1 - share)).sqrt()
    return taken @ has.float() - number * share > deviations * spread
