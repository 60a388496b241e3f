"""Identifiers that are numbers: random ones, those in order of users' sequences, and one token an item."""

import numpy as np

from latent_factors.identifiers import Column
from latent_factors.identifiers.known import Sequences


def independent(items: int) -> list[Column]:
    """Return one token an item (Hua et al. 2023, IID)."""
    return [Column("item", np.arange(items))]


def drawn(items: int, base: int, seed: int) -> list[Column]:
    """Return the digits, in some base, of numbers drawn without replacement (Hua et al. 2023, RID)."""
    return digits(np.random.default_rng(seed).permutation(items), base)


def sequential(sequences: Sequences, order: str, base: int, seed: int) -> list[Column]:
    """Return the digits of numbers given along the users' sequences, to items not met before (Hua et al. 2023, SID).

    So items that a user took in a row are neighbours, and share their first digits. Users come by `order`: time (who
    began first), random, short-first, long-first; those alike in that as they are numbered.
    """
    lengths = np.diff(sequences.starts)
    keys = {
        "time": lambda: sequences.first, "random": lambda: np.random.default_rng(seed).random(len(lengths)),
        "short-first": lambda: lengths, "long-first": lambda: -lengths,
    }
    met = sequences.in_order(np.argsort(keys[order](), kind="stable"))
    met = np.append(met, np.arange(sequences.catalogue))  # an item that no sequence holds comes last
    items, place = np.unique(met, return_index=True)
    number = np.empty(sequences.catalogue, np.int64)
    number[items[np.argsort(place)]] = np.arange(sequences.catalogue)
    return digits(number, base)


def digits(numbers: np.ndarray, base: int) -> list[Column]:
    """Return the digits of different numbers (I,) in some base, the first the most significant, as many for each.

    A place of digits has tokens of its own: a 7 that stands for hundreds is not the 7 that stands for ones.
    """
    width = max(1, int(np.ceil(np.log(numbers.max() + 1) / np.log(base) - 1e-9)))
    return [
        Column(f"digit {place + 1}", numbers // base ** (width - 1 - place) % base) for place in range(width)
    ]
