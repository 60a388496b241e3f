"""From feature ids to vectors. A model gets its embedding as an argument and does not know its kind."""

import torch
from torch import Tensor, nn
from torch.autograd import Function

Penalty = tuple[nn.Parameter, Tensor]
"""A table (N, K) and the coefficients c (N, 1) of its penalty Σ_f c_f ‖e_f‖²."""


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

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return the penalty Σ_f w_f ‖e_f‖² for weights w (N,): that of the table itself."""
        return self.table.penalties(weight)

    @torch.no_grad()
    def folded(self) -> Tensor:
        """Return the scaled table (N, K)."""
        return self.table.weight * self.alpha[self.block]


class MaskedTable(nn.Module):
    """A table E ⊙ M: entries where the mask M (N, K) is False are zero and stay so."""

    def __init__(self, weight: Tensor, mask: Tensor):
        super().__init__()
        self.dim = weight.shape[1]
        self.weight = nn.Parameter(weight * mask)
        self.register_buffer("mask", mask)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the masked vectors (..., K) of ids (...)."""
        return look_up(self.weight * self.mask, ids)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return the penalty Σ_f w_f ‖e_f‖² for weights w (N,)."""
        return [(self.weight, weight[:, None])]


def look_up(table: Tensor, ids: Tensor) -> Tensor:
    """Return the rows (..., K) of a table (N, K) for ids (...); differentiable, twice too."""
    return _LookUp.apply(table, ids)


class _LookUp(Function):
    """Rows of a table. The gradient is one index_add, three times faster on a CPU than that of F.embedding."""

    @staticmethod
    def forward(context, table: Tensor, ids: Tensor) -> Tensor:
        context.save_for_backward(ids)
        context.number = len(table)
        rows = table.view(-1) if table.shape[1] == 1 else table
        return rows.index_select(0, ids.reshape(-1)).view(*ids.shape, table.shape[1])

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        (ids,) = context.saved_tensors
        width = gradient.shape[-1]
        rows = gradient.reshape(-1) if width == 1 else gradient.reshape(-1, width)
        sums = rows.new_zeros(context.number, *rows.shape[1:]).index_add(0, ids.reshape(-1), rows)
        return sums.view(-1, width), None


@torch.no_grad()
def add_gradients(penalties: list[Penalty]) -> None:
    """Add the gradients of penalties, 2 c_f e_f, to those that tables have: one pass, where autograd takes seven."""
    for table, coefficient in penalties:
        table.grad.addcmul_(table, coefficient, value=2)
