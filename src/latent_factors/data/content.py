"""What an item tells of itself before anyone has taken it: genres, words of its title, its year, as numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from latent_factors.data.items import Items

WORD = r"[^\W\d_]+"
LEAST_FILMS = 2  # a word of one title tells nothing of another


@dataclass(frozen=True)
class Vocabulary:
    """What the items that training sees teach of content; whatever they do not have is unknown.

    Attributes:
        genres: the genres, sorted.
        words: the words of titles, in lower case, that two titles or more have, with ln(items / items that have it).
        years: the least, the largest, the mean and the deviation of their years.
    """

    genres: pd.Index
    words: pd.Series
    years: tuple[float, float, float, float]

    @classmethod
    def of(cls, items: Items) -> "Vocabulary":
        """Read the vocabulary off the items of the training part."""
        spread = _words(items.title).drop_duplicates()
        held = spread["word"].value_counts().sort_index()
        held = held[held >= LEAST_FILMS]
        has = items.genres.columns[items.genres.any()]
        year = items.year.dropna() if items.year.notna().any() else pd.Series([0.0])
        years = (year.min(), year.max(), year.mean(), max(year.std(ddof=0), 1.0))
        return cls(has.sort_values(), np.log(len(items.title) / held), tuple(map(float, years)))

    def encode(self, items: Items, device: torch.device) -> dict[str, Tensor]:
        """Return `genres` (n, G) and `words` (n, V), rows of length 1, or 0 without any, and `year` (n, 1).

        A word weighs ln(items / items that have it). Years are in deviations from the mean; one that lies outside those
        of training is moved to their end, as nothing was learned of it, and one that is missing to the mean.
        """
        genres = items.genres.reindex(columns=self.genres, fill_value=False).to_numpy(np.float32, copy=True)
        found = _words(items.title).drop_duplicates()
        found = found[found["word"].isin(self.words.index)]
        words = np.zeros((len(items.title), len(self.words)), np.float32)
        words[found["item"], self.words.index.get_indexer(found["word"])] = self.words[found["word"]]
        low, high, mean, deviation = self.years
        year = ((items.year.clip(low, high) - mean) / deviation).fillna(0).to_numpy(np.float32, copy=True)[:, None]
        blocks = {"genres": _unit(genres), "words": _unit(words), "year": torch.from_numpy(year)}
        return {name: block.to(device) for name, block in blocks.items()}


def _words(titles: pd.Series) -> pd.DataFrame:
    """Return a row a word: `item`, the place of its title, and `word`."""
    found = titles.reset_index(drop=True).str.lower().str.findall(WORD).explode().dropna()
    return pd.DataFrame({"item": found.index, "word": found.to_numpy(object)})


def _unit(block: np.ndarray) -> Tensor:
    return F.normalize(torch.from_numpy(block), dim=1)
