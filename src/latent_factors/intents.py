"""What prototypes have to do with genres: how much the one tells of the other."""

import numpy as np


def information(prototype: np.ndarray, genres: np.ndarray) -> float:
    """Return how many bits the prototype of an item tells of its genre.

    I(P; G) = Σ_pg p(p, g) log2(p(p, g) / (p(p) p(g))), with a prototype (I,) for each item and genres (I, G) of bool.
    An item with several genres counts in equal parts for each, one without counts for none; without any it is 0.
    """
    counts = genres.sum(1)
    known = counts > 0
    if not known.any():
        return 0.0
    table = np.zeros((int(prototype.max()) + 1, genres.shape[1]))
    np.add.at(table, prototype[known], genres[known] / counts[known, None])
    joint = table / table.sum()
    alone = joint.sum(1, keepdims=True) * joint.sum(0)
    some = joint > 0
    return float((joint[some] * np.log2(joint[some] / alone[some])).sum())


def redealt(prototype: np.ndarray, genres: np.ndarray, blocks: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the bits (draws,) left by chance: items swap prototypes (I,) at random within their block (I,).

    Blocks of items about as popular keep what both have to do with popularity.
    """
    generator, sorted_items = np.random.default_rng(seed), np.argsort(blocks, kind="stable")
    bits = np.empty(draws)
    for draw in range(draws):
        shuffled = np.lexsort((generator.random(len(blocks)), blocks))
        dealt = np.empty_like(prototype)
        dealt[sorted_items] = prototype[shuffled]
        bits[draw] = information(dealt, genres)
    return bits


def lift(prototype: np.ndarray, genres: np.ndarray) -> np.ndarray:
    """Return the share of each genre among the items of each prototype over its share among all items (P, G).

    Prototypes are numbered as in `prototype` (I,); one without items has NaN. Genres (I, G) of bool.
    """
    counts = np.bincount(prototype).astype(float)
    table = np.zeros((len(counts), genres.shape[1]))
    np.add.at(table, prototype, genres)
    with np.errstate(invalid="ignore", divide="ignore"):
        return table / counts[:, None] / genres.mean(0)
