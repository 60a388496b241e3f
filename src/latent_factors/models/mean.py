"""The global mean: what every other model has to beat."""

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import Mean


class Model(nn.Module):
    """r̂ = μ."""

    def __init__(self, embedding: None, settings: Mean, inputs: Inputs):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(inputs.mean))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the predictions (B,) for rows of ids (B, 2)."""
        return self.mean.expand(ids.shape[:-1])

    def sweep(self, ids: Tensor, target: Tensor) -> None:
        """Fit to all training rows: ids (n, 2), target (n,)."""
        self.mean.copy_(target.mean())
