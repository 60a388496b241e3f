"""The prediction rule that matrix factorisation has, however it is trained."""

import torch
from torch import Tensor, nn

from latent_factors.embedding import UniformTable
from latent_factors.models import Inputs


class BiasedDot(nn.Module):
    """r̂ = μ + b_u + b_i + p_u · q_i (Koren, Bell and Volinsky 2009, equation 4)."""

    def __init__(self, embedding: nn.Module, inputs: Inputs):
        super().__init__()
        self.embedding = embedding
        self.bias = UniformTable(inputs.number, 1, inputs.unseen, scale=0.0)
        self.mean = nn.Parameter(torch.tensor(inputs.mean))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the predictions (B,) for rows of ids (B, 2): a user's and an item's."""
        user, item = self.embedding(ids).unbind(-2)  # (B, K) each
        return self.mean + self.bias(ids).sum((-1, -2)) + (user * item).sum(-1)
