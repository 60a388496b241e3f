"""Independent work in as many processes as there are threads, one thread each.

Steps of models this small are too short for threads to share: two runs side by side end sooner than one after another.
Each waits for its turn, as another stage may do the same at that time.
"""

import multiprocessing
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from latent_factors.fit import set_up
from latent_factors.lifetime import end_with_parent
from latent_factors.sections import Compute
from latent_factors.turns import turn

Item, Result = TypeVar("Item"), TypeVar("Result")

# A forked process need not import torch again. With one thread it never enters OpenMP, which would not survive a fork;
# torch's own loader of data does the same.
START = "fork" if sys.platform == "linux" else "spawn"

_work: Callable | None = None  # of this process
_turns = 1


def spread(work: Callable[[Item], Result], items: list[Item], compute: Compute) -> list[Result]:
    """Return what `work`, which must pickle, makes of each item, in their order.

    A GPU is not shared, and a single item keeps all threads: then everything happens here.
    """
    workers = 1 if set_up(compute).type == "cuda" else min(compute.threads, len(items))
    if workers == 1:
        return list(map(work, items))
    alone, context = compute.model_copy(update={"threads": 1}), multiprocessing.get_context(START)
    with ProcessPoolExecutor(workers, context, _begin, (work, alone, compute.threads)) as pool:
        return [pickle.loads(result) for result in pool.map(_one, items)]


def _begin(work: Callable, compute: Compute, turns: int) -> None:
    global _work, _turns
    end_with_parent()
    set_up(compute)
    _work, _turns = work, turns


def _one(item: Item) -> bytes:
    """Do one item; as bytes, tensors come back by value and not as open files of shared memory."""
    with turn(_turns):
        return pickle.dumps(_work(item))
