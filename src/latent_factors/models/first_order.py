"""The linear part that many models of clicks have."""

import torch
from torch import Tensor, nn

from latent_factors.embedding import Penalty, UniformTable
from latent_factors.models import Inputs
from latent_factors.models.fields import field_vectors


class FirstOrder(nn.Module):
    """w_0 + Σ_i w_i x_i; w_0 starts at the log-odds of a click in training, the weights at zero."""

    def __init__(self, inputs: Inputs):
        super().__init__()
        self.lists = inputs.lists
        self.weights = UniformTable(inputs.number, 1, inputs.unseen, scale=0.0)
        self.bias = nn.Parameter(torch.tensor(inputs.mean).logit())

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the sum (B,) for rows of ids (B, F) and values (B, M)."""
        return self.bias + field_vectors(self.weights, ids, values, self.lists).sum((-1, -2))

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return Σ_f u_f w_f² for the weights u (N,) of features."""
        return self.weights.penalties(weight)
