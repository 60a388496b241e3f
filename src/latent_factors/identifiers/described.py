"""Identifiers that say what an item is: the words of its title, or its categories from common to rare."""

import numpy as np
import pandas as pd

from latent_factors.data.items import Items
from latent_factors.errors import UserError
from latent_factors.identifiers import NONE, Column


def title(items: Items, words: int) -> list[Column]:
    """Return the first words of each title, in lower case (Hua et al. 2023, TID); a word is one token everywhere.

    Raises UserError where no item has a title.
    """
    if (items.title == items.title.index.astype(str)).all():
        raise UserError("identifiers title: no item has a title; name another scheme in params.yaml")
    pieces = items.title.str.lower().str.findall(r"\w+").reset_index(drop=True)
    table = np.column_stack([pieces.str.get(place).to_numpy(object) for place in range(words)])
    codes = pd.factorize(table.ravel(), sort=True)[0].reshape(table.shape)
    return [Column(f"word {place + 1}", codes[:, place], "words") for place in range(words)]


def semantic(items: Items, depth: int) -> list[Column]:
    """Return each item's categories, at most `depth`, the one that most items have first, and its year.

    A path from common to rare stands for the tree of categories of Hua et al. (2023, SemID), which films do not have.
    A category has the same token at every depth. An item that tells nothing is one of a class of its own.
    """
    has = items.genres.to_numpy(bool)
    common = np.argsort(-has.sum(0), kind="stable")
    has = has[:, common]
    path = np.full((len(has), depth), NONE)
    rows, codes = has.nonzero()
    place = has.cumsum(1)[rows, codes] - 1
    kept = place < depth
    path[rows[kept], place[kept]] = codes[kept]
    columns = [Column(f"category {place + 1}", path[:, place], "categories") for place in range(depth)]
    if items.year.notna().any():
        columns.append(Column("year", items.year.fillna(NONE).to_numpy(np.int64)))
    return columns
