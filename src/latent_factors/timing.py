"""How long a call takes."""

import statistics
import time
from collections.abc import Callable


def clock(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def beside(one: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median seconds of each of two calls made in turn, so that a slow minute slows both."""
    times: tuple[list[float], list[float]] = [], []
    for _ in range(repeats):
        for own, function in zip(times, (one, other), strict=True):
            own.append(clock(function))
    return statistics.median(times[0]), statistics.median(times[1])
