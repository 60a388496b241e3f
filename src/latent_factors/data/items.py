"""What is known of items beside their ratings: titles, genres, years, as far as a data set tells."""

from dataclasses import dataclass

import pandas as pd

from latent_factors.data.atomic import read_atomic
from latent_factors.paths import root

GENRES = ("class", "genre", "genres", "categories", "category", "attributes")
YEARS = ("release_year", "year")


@dataclass(frozen=True)
class Items:
    """A description of items, each table in the order of the tokens asked for.

    Attributes:
        title: the title; the token where there is none.
        genres: a column a genre, True where the item has it; no columns where the data set has no genres.
        year: the year, NaN where unknown.
    """

    title: pd.Series
    genres: pd.DataFrame
    year: pd.Series


def describe_items(dataset: str, tokens: pd.Index) -> Items:
    """Read data/<dataset>/<dataset>.item for the items named; a data set without that file has tokens for titles.

    The title is the first token_seq column with "title" or "name" in its name, genres and year the first
    column of GENRES and of YEARS.
    """
    path = root() / "data" / dataset / f"{dataset}.item"
    blank = pd.Series(tokens.astype(str), index=tokens, name="title")
    if not path.is_file():
        return Items(blank, pd.DataFrame(index=tokens), pd.Series(float("nan"), index=tokens, name="year"))
    table = read_atomic(path)
    types = table.attrs["types"]
    table = table.drop_duplicates(table.columns[0]).set_index(table.columns[0]).reindex(tokens)
    named = [name for name, kind in types.items() if kind == "token_seq" and ("title" in name or "name" in name)]
    title = table[named[0]].fillna(blank).rename("title") if named else blank
    genre = next((name for name in GENRES if name in table), None)
    year = next((name for name in YEARS if name in table), None)
    return Items(
        title=title,
        genres=table[genre].fillna("").str.get_dummies(" ").astype(bool) if genre else pd.DataFrame(index=tokens),
        year=pd.to_numeric(table[year], errors="coerce") if year else pd.Series(float("nan"), index=tokens),
    )
