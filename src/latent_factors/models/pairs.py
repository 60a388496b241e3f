"""What pairwise ranking asks of a table: the lead of one item over another, in one pass over memory on a CPU."""

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from latent_factors.embedding import UniformTable

compiled = njit(cache=True, fastmath={"reassoc", "contract"})


def leads(embedding: nn.Module, ids: Tensor) -> Tensor:
    """Return e_u · (e_i − e_j) (B,) for ids (3, B) of users u, items i and other items j."""
    if isinstance(embedding, UniformTable) and ids.device.type == "cpu":
        return _Leads.apply(embedding.weight, ids)
    user, item, other = embedding(ids)  # (B, K) each
    return (user * (item - other)).sum(-1)


class _Leads(Function):
    """The leads of a table. Tensors would pass over (B, K) numbers some fifteen times, forth and back."""

    @staticmethod
    def forward(context, table: Tensor, ids: Tensor) -> Tensor:
        ids = ids.contiguous()
        context.save_for_backward(table, ids)
        values = table.new_empty(ids.shape[1])
        _forward(table.numpy(), ids.numpy(), values.numpy())
        return values

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        table, ids = context.saved_tensors
        sums = torch.zeros_like(table)
        _backward(table.numpy(), ids.numpy(), gradient.contiguous().numpy(), sums.numpy())
        return sums, None


@compiled
def _forward(table, ids, values):
    number, dim = table.shape
    for row in range(ids.shape[1]):
        user, item, other = ids[0, row], ids[1, row], ids[2, row]
        if min(user, item, other) < 0 or max(user, item, other) >= number:
            raise IndexError("an id lies outside the table")
        u, i, j = np.uintp(user), np.uintp(item), np.uintp(other)  # unsigned: no check for counting from the end
        total = table.dtype.type(0)
        for k in range(np.uintp(dim)):
            total += table[u, k] * (table[i, k] - table[j, k])
        values[row] = total


@compiled
def _backward(table, ids, gradient, sums):
    for row in range(ids.shape[1]):
        u, i, j, weight = np.uintp(ids[0, row]), np.uintp(ids[1, row]), np.uintp(ids[2, row]), gradient[row]
        for k in range(np.uintp(table.shape[1])):
            own, lead = weight * table[u, k], table[i, k] - table[j, k]
            sums[u, k] += weight * lead
            sums[i, k] += own
            sums[j, k] -= own
