"""From feature ids to vectors. A model gets its embedding as an argument and does not know its kind."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        return F.embedding(ids, self.weight)

    def penalty(self, weight: Tensor) -> Tensor:
        """Return Σ_f w_f ‖e_f‖² for weights w (N,)."""
        return (weight * self.weight.square().sum(1)).sum()
