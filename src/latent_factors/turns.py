"""Turns: over all stages that are made side by side, no more runs train at a time than one stage has threads.

Twice as many, and each takes more than twice as long: what one had in a core's cache, the other drove out.
"""

import contextlib
import time
from collections.abc import Iterator

from filelock import FileLock, Timeout

from latent_factors.paths import root
from latent_factors.times import note_turn

PAUSE = 0.05  # seconds between two looks for a free turn


@contextlib.contextmanager
def turn(threads: int) -> Iterator[None]:
    """Hold one of the project's `threads` turns, as soon as one is free; a process that dies gives its own back."""
    folder = root() / "build" / "turns"
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / str(number)) for number in range(threads)]
    asked = time.monotonic()
    while not any(map(_take, locks)):
        time.sleep(PAUSE)
    began = time.monotonic()
    try:
        yield
    finally:
        for lock in locks:
            lock.release()
        note_turn(began, asked, time.monotonic())


def _take(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
