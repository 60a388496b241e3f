"""What metric learning asks of an event's negatives: the closest, and how many come too close."""

import torch
from numba import njit
from torch import Tensor

compiled = njit(cache=True, fastmath={"reassoc", "contract"})


@torch.no_grad()
def closest(points: Tensor, ids: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the negative closest to each user (B,), and which share of the negatives are impostors (B,).

    ids is (2 + W, B): users u, items i, then W negatives j. An impostor has m + d_ui² − d_uj² > 0. No gradient passes.
    """
    if points.device.type == "cpu":
        return _on_processor(points.detach(), ids.contiguous(), margin)
    return _by_products(points, ids, margin)


def _on_processor(points: Tensor, ids: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """One pass over memory, where tensors would write (W, B, K) numbers down to read them once."""
    nearest, share = torch.empty_like(ids[0]), points.new_empty(ids.shape[1])
    _find(points.numpy(), ids.numpy(), margin, nearest.numpy(), share.numpy())
    return nearest, share


def _by_products(points: Tensor, ids: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """‖u − v‖² = ‖u‖² + ‖v‖² − 2 u · v, of which a user's own ‖u‖² changes nothing."""
    products = torch.einsum("bk,wbk->wb", points[ids[0]], points[ids[1:]])
    distance = points.square().sum(1)[ids[1:]] - 2 * products  # (1 + W, B), less ‖u‖²
    nearest = ids[2:].gather(0, distance[1:].argmin(0)[None])[0]
    return nearest, (margin + distance[0] - distance[1:] > 0).to(points.dtype).mean(0)


@compiled
def _find(points, ids, margin, nearest, share):
    for row in range(ids.shape[1]):
        least, impostors, own = 0.0, 0, 0.0
        for place in range(1, ids.shape[0]):
            if min(ids[0, row], ids[place, row]) < 0 or max(ids[0, row], ids[place, row]) >= points.shape[0]:
                raise IndexError("an id lies outside the table")
            total = points.dtype.type(0)
            for k in range(points.shape[1]):
                gap = points[ids[0, row], k] - points[ids[place, row], k]
                total += gap * gap
            if place == 1:
                own = total
                continue
            if place == 2 or total < least:
                least, nearest[row] = total, ids[place, row]
            impostors += margin + own - total > 0
        share[row] = impostors / (ids.shape[0] - 2)
