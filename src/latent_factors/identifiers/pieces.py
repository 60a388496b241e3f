"""Sub-words over sequences of codes: byte-pair merges (Sennrich et al. 2016), the codes of every level an alphabet."""

import numpy as np

NOTHING = -1  # behind the last piece of an item


def pieces(codes: np.ndarray, number: int, events: np.ndarray, rows: int) -> tuple[np.ndarray, int]:
    """Return the pieces (I, L) that spell each item, NOTHING behind the last, and how many different ones there are.

    codes is (I, L), each below `number`; to begin with, code c of level l is piece l · number + c. As long as there are
    fewer than `rows` pieces, the two that most often follow one another become one, an item counting once an event
    (I,). What no event holds is not merged. Ties go to the smaller pieces.
    """
    levels = codes.shape[1]
    spelled, known = codes + number * np.arange(levels), number * levels
    while known < rows:
        left, right = spelled[:, :-1], spelled[:, 1:]
        item, place = np.nonzero(right != NOTHING)
        which = np.unique(left[item, place] * rows + right[item, place], return_inverse=True)[1]
        counts = np.bincount(which, weights=events[item], minlength=1)
        best = int(counts.argmax())
        if counts[best] == 0:
            break
        spelled, known = _merged(spelled, item[which == best], place[which == best], known), known + 1
    return spelled, known


def _merged(spelled: np.ndarray, item: np.ndarray, place: np.ndarray, new: int) -> np.ndarray:
    """Return sequences in which the piece at a place of some items and the one after it are `new`."""
    spelled = spelled.copy()
    spelled[item, place] = new
    spelled[item, place + 1] = NOTHING
    gap = spelled[item] == NOTHING
    spelled[item] = np.take_along_axis(spelled[item], np.argsort(gap, axis=1, kind="stable"), 1)
    return spelled
