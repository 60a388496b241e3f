"""How long a call takes."""

import time
from collections.abc import Callable


def clock(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
