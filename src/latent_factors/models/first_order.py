"""The linear part that many models of clicks have."""

import torch
from torch import Tensor, nn

from latent_factors.embedding import UniformTable
from latent_factors.models import Inputs


class FirstOrder(nn.Module):
    """w_0 + Σ_i w_i x_i; w_0 starts at the log-odds of a click in training, the weights at zero."""

    def __init__(self, inputs: Inputs):
        super().__init__()
        self.weights = UniformTable(inputs.number, 1, inputs.unseen, scale=0.0)
        self.bias = nn.Parameter(torch.tensor(inputs.mean).logit())

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the sum (B,) for rows of ids and values (B, C)."""
        return self.bias + (self.weights(ids).squeeze(-1) * values).sum(-1)

    def penalty(self, weight: Tensor) -> Tensor:
        """Return Σ_f u_f w_f² for the weights u (N,) of features."""
        return self.weights.penalty(weight)
