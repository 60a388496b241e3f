"""Damped user and item biases (Koren 2010, Factor in the Neighbors, section 2.1)."""

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import Biases

MOST_SWEEPS = 1000
STILL = 1e-6  # stars: no bias moves by more, so the alternation has ended


class Model(nn.Module):
    """r̂ = μ + b_u + b_i, minimising Σ (r − r̂)² + λ_u Σ b_u² + λ_i Σ b_i² over the training rows."""

    def __init__(self, embedding: None, settings: Biases, inputs: Inputs):
        super().__init__()
        self.damping = (settings.user_damping, settings.item_damping)
        self.mean = nn.Parameter(torch.tensor(inputs.mean))
        self.bias = nn.Parameter(torch.zeros(inputs.number))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the predictions (B,) for rows of ids (B, 2)."""
        return self.mean + self.bias[ids].sum(-1)

    def sweep(self, ids: Tensor, target: Tensor) -> None:
        """Fit to all training rows, ids (n, 2) and target (n,), by solving for one side at a time.

        With the other side fixed, the best bias of a user is Σ (r − μ − b_i) / (n_u + λ_u).
        """
        counts = torch.bincount(ids.flatten(), minlength=len(self.bias))
        for _ in range(MOST_SWEEPS):
            before = self.bias.clone()
            for side in (1, 0):  # items first: they explain more
                own, other = ids[:, side], ids[:, 1 - side]
                rest = torch.zeros_like(self.bias).index_add_(0, own, target - self.mean - self.bias[other])
                self.bias[own] = (rest / (counts + self.damping[side]))[own]
            if (self.bias - before).abs().max() < STILL:
                break
