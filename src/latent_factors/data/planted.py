"""Made interactions whose truth is known: frequent features have a higher rank than rare ones."""

import numpy as np
import pandas as pd


def vectors(number: int, ranks: list[int], generator: np.random.Generator) -> np.ndarray:
    """Return vectors (number, max rank) in blocks of equal size; only the first d_b entries of block b are not zero.

    They are N(0, 1 / √max rank), so that a product of two of the highest rank has variance 1.
    """
    width = max(ranks)
    block = np.arange(number) * len(ranks) // number
    held = np.arange(width) < np.array(ranks)[block, None]
    return generator.normal(0, width**-0.25, (number, width)) * held


def pairs(users: int, items: int, rows: int, blocks: int, fall: float, generator: np.random.Generator) -> np.ndarray:
    """Draw distinct pairs (rows, 2) of a user and an item; from block to block both get rarer by the factor `fall`."""
    log = [-np.log(fall) * (np.arange(number) * blocks // number) for number in (users, items)]
    weight = log[0][:, None] + log[1] + generator.gumbel(size=(users, items))  # the largest are draws by weight
    cells = np.argpartition(weight.ravel(), -rows)[-rows:]
    return np.column_stack(np.divmod(generator.permutation(cells), items))


def ratings(
    users: int, items: int, rows: int, ranks: list[int], noise: float, fall: float, seed: int
) -> pd.DataFrame:
    """Return columns user_id, item_id, rating: a product of planted vectors and N(0, noise²) around 3.

    ranks: d_b of each block, of users and of items alike, the most frequent first.
    """
    generator = np.random.default_rng(seed)
    p, q = vectors(users, ranks, generator), vectors(items, ranks, generator)
    taken = pairs(users, items, rows, len(ranks), fall, generator)
    product = (p[taken[:, 0]] * q[taken[:, 1]]).sum(1)
    return _table(taken, 3 + product + generator.normal(0, noise, rows))


def clicks(users: int, items: int, rows: int, ranks: list[int], scale: float, fall: float, seed: int) -> pd.DataFrame:
    """Return columns user_id, item_id, rating: 5 with the odds that `scale` times such a product gives, else 1."""
    generator = np.random.default_rng(seed)
    p, q = vectors(users, ranks, generator), vectors(items, ranks, generator)
    taken = pairs(users, items, rows, len(ranks), fall, generator)
    odds = scale * (p[taken[:, 0]] * q[taken[:, 1]]).sum(1)
    return _table(taken, np.where(generator.random(rows) < 1 / (1 + np.exp(-odds)), 5.0, 1.0))


def _table(taken: np.ndarray, rating: np.ndarray) -> pd.DataFrame:
    names = {"user_id": [f"u{user}" for user in taken[:, 0]], "item_id": [f"i{item}" for item in taken[:, 1]]}
    return pd.DataFrame(names | {"rating": rating})
