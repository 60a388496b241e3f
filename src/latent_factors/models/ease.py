"""EASE, a shallow linear autoencoder in closed form (Steck 2019)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import EASE


class Model(nn.Module):
    """Scores X B, B minimising ‖X − X B‖² + λ ‖B‖² under diag B = 0; X the users by items (equation 1)."""

    def __init__(self, embedding: None, settings: EASE, inputs: Inputs):
        super().__init__()
        self.history, self.l2 = inputs.history, settings.l2
        self.weight = nn.Parameter(torch.zeros(inputs.history.catalogue, inputs.history.catalogue))

    def sweep(self) -> None:
        """Solve: with P = (XᵀX + λ I)⁻¹, B_ij = −P_ij / P_jj off the diagonal (equation 8)."""
        users = torch.arange(len(self.history.counts), device=self.weight.device)
        x = self.history.mask(users).float()
        gram = (x.T @ x).double()
        gram.diagonal().add_(self.l2)
        precision = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        self.weight.copy_(-precision / precision.diagonal())
        self.weight.fill_diagonal_(0)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        return lambda users: self.history.mask(users).float() @ self.weight
