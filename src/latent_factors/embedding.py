"""From feature ids to vectors. A model gets its embedding as an argument and does not know its kind."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function

Penalty = tuple[nn.Parameter, Tensor]
"""A table (N, K) and the coefficients c (N, 1) of its penalty Σ_f c_f ‖e_f‖²."""

NARROW = 32  # columns; from here on index_add is as fast


class UniformTable(nn.Module):
    """A table E of N rows and K columns: every feature has the same number of dimensions.

    Rows start as N(0, (0.1/√K)²), so that a dot product of two rows starts with deviation 0.01/√K
    whatever K is. Rows of `unseen` ids start, and for want of gradients stay, at zero.
    """

    def __init__(self, number: int, dim: int, unseen: Tensor, scale: float = 0.1):
        super().__init__()
        self.dim = dim
        weight = torch.randn(number, dim) * (scale / dim**0.5)
        weight[unseen] = 0
        self.weight = nn.Parameter(weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (..., K) of ids (...)."""
        return look_up(self.weight, ids)

    def whole(self) -> Tensor:
        """Return the vectors (N, K) of all ids."""
        return self.weight

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return the penalty Σ_f w_f ‖e_f‖² for weights w (N,)."""
        return [(self.weight, weight[:, None])]


class SoftSelection(nn.Module):
    """ẽ_f = e_f ⊙ α_b(f): a table E whose rows are scaled by those of their blocks (Cheng, Shen and Huang 2020).

    Attributes:
        alpha: (L, K), a row a block, in [0, 1]; starts at 1, where it changes nothing.
        block: (N,) the block of each feature.
    """

    def __init__(self, table: UniformTable, block: Tensor):
        super().__init__()
        self.table, self.dim = table, table.dim
        self.alpha = nn.Parameter(torch.ones(int(block.max()) + 1, table.dim))
        self.register_buffer("block", block)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the scaled vectors (..., K) of ids (...)."""
        return self.table(ids) * look_up(self.alpha, self.block[ids])

    def whole(self) -> Tensor:
        """Return the scaled vectors (N, K) of all ids."""
        return self.table.whole() * look_up(self.alpha, self.block)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return the penalty Σ_f w_f ‖e_f‖² for weights w (N,): that of the table itself."""
        return self.table.penalties(weight)

    def folded(self) -> Tensor:
        """Return the scaled table (N, K), α multiplied in for good."""
        return self.whole().detach()


class MaskedTable(nn.Module):
    """A table E ⊙ M: entries where the mask M (N, K) is False are zero and stay so."""

    def __init__(self, weight: Tensor, mask: Tensor):
        super().__init__()
        self.dim = weight.shape[1]
        self.weight = nn.Parameter(weight * mask)
        self.register_buffer("mask", mask)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the masked vectors (..., K) of ids (...)."""
        return look_up(self.whole(), ids)

    def whole(self) -> Tensor:
        """Return the masked vectors (N, K) of all ids."""
        return self.weight * self.mask

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return the penalty Σ_f w_f ‖e_f‖² for weights w (N,)."""
        return [(self.weight, weight[:, None])]


def look_up(table: Tensor, ids: Tensor) -> Tensor:
    """Return the rows (..., K) of a table (N, K) for ids (...); differentiable, twice too."""
    return _LookUp.apply(table, ids)


class _LookUp(Function):
    """Rows of a table. Its gradient sums the rows of each id, on a CPU three times faster than F.embedding's does."""

    @staticmethod
    def forward(context, table: Tensor, ids: Tensor) -> Tensor:
        flat = ids.reshape(-1)
        context.save_for_backward(flat)
        context.number = len(table)
        rows = table.view(-1) if table.shape[1] == 1 else table
        return rows.index_select(0, flat).view(*ids.shape, table.shape[1])

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        (ids,) = context.saved_tensors
        rows = gradient.reshape(len(ids), gradient.shape[-1])
        differentiable = torch.is_grad_enabled()  # for a derivative of this one
        if 1 < rows.shape[1] < NARROW and rows.device.type == "cpu" and not differentiable:
            return _sums_of_narrow(rows, ids, context.number), None
        rows = rows.view(-1) if rows.shape[1] == 1 else rows
        sums = rows.new_zeros(context.number, *rows.shape[1:]).index_add(0, ids, rows)
        return sums.view(context.number, -1), None


def _sums_of_narrow(rows: Tensor, ids: Tensor, number: int) -> Tensor:
    """Return the sums (N, K) of the rows (B, K) of each id (B,): a product with a matrix of one-hot columns (N, B).

    With few columns that takes half the time of index_add, and one thread, which waits for no other.
    """
    from scipy.sparse import csc_array  # only narrow tables need it, and it takes a third of a second to import

    one, start = np.ones(len(ids), rows.numpy().dtype), np.arange(len(ids) + 1)
    return torch.from_numpy(csc_array((one, ids.numpy(), start), shape=(number, len(ids))) @ rows.numpy())


@torch.no_grad()
def add_gradients(penalties: list[Penalty]) -> None:
    """Add the gradients of penalties, 2 c_f e_f, to those that tables have: one pass, where autograd takes seven."""
    for table, coefficient in penalties:
        table.grad.addcmul_(table, coefficient, value=2)
