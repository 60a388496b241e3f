"""A linear map from content to the factors of iALS, whose users then score items that training never saw."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs, ials
from latent_factors.models.content import weigh
from latent_factors.sections import ContentLinear


class Model(ials.Model):
    """s_uf = p_u · (q̄ + Wᵀ (x_f − x̄)), W minimising Σ_i ‖q_i − q̄ − Wᵀ (x_i − x̄)‖² + ρ ‖W‖² over the seen items.

    p and q are those of iALS; x̄ and q̄ are means over the seen items.
    """

    def __init__(self, embedding: nn.Module, settings: ContentLinear, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.settings = settings
        seen = weigh(inputs.content, settings).double()
        self.centre = seen.mean(0)
        self.centred = seen - self.centre  # (I, C)
        gram = self.centred.T @ self.centred
        gram.diagonal().add_(settings.ridge)
        self.solver_of_map = torch.linalg.cholesky(gram)

    def newcomers(self, content: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, J) of items that have nothing but content."""
        item = self.embedding(self.items).double()
        mean = item.mean(0)
        weight = torch.cholesky_solve(self.centred.T @ (item - mean), self.solver_of_map)  # (C, K)
        placed = (mean + (weigh(content, self.settings).double() - self.centre) @ weight).float()  # (J, K)
        return lambda users: self.embedding(users) @ placed.T
