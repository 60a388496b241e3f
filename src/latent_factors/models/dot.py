"""The prediction rule that matrix factorisation has, however it is trained."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.embedding import UniformTable
from latent_factors.models import Inputs


class BiasedDot(nn.Module):
    """r̂ = μ + b_u + b_i + p_u · q_i (Koren, Bell and Volinsky 2009, equation 4)."""

    def __init__(self, embedding: nn.Module, inputs: Inputs):
        super().__init__()
        self.embedding, self.items = embedding, inputs.items
        self.bias = UniformTable(inputs.number, 1, inputs.unseen, scale=0.0)
        self.mean = nn.Parameter(torch.tensor(inputs.mean))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the predictions (...) for rows of ids (..., 2): a user's and an item's."""
        user, item = self.embedding(ids).unbind(-2)  # (B, K) each
        return self.mean + self.bias(ids).sum((-1, -2)) + (user * item).sum(-1)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items, up to a constant of each user."""
        item, bias = self.embedding(self.items), self.bias(self.items)[:, 0]
        return lambda users: torch.addmm(bias, self.embedding(users), item.T)
