"""Independent work in as many processes as there are threads, one thread each.

Steps of models this small are too short for threads to share: two runs side by side end sooner than one after another.
"""

import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from latent_factors.fit import set_up
from latent_factors.sections import Compute

Item, Result = TypeVar("Item"), TypeVar("Result")

_work: Callable | None = None  # of this process


def spread(work: Callable[[Item], Result], items: list[Item], compute: Compute) -> list[Result]:
    """Return what `work`, which must pickle, makes of each item, in their order.

    A GPU is not shared, and a single item keeps all threads: then everything happens here.
    """
    workers = 1 if set_up(compute).type == "cuda" else min(compute.threads, len(items))
    if workers == 1:
        return list(map(work, items))
    alone, context = compute.model_copy(update={"threads": 1}), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (pickle.dumps(work), alone)) as pool:
        return [pickle.loads(result) for result in pool.map(_one, items)]


def _begin(work: bytes, compute: Compute) -> None:
    """Unpack the work; as bytes, tensors come by value and not as open files of shared memory."""
    global _work
    set_up(compute)
    _work = pickle.loads(work)


def _one(item: Item) -> bytes:
    return pickle.dumps(_work(item))
