"""Neighbours by content alone: an unseen item is scored by the seen items that are most like it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.models.content import weigh
from latent_factors.sections import ContentKNN


class Model(nn.Module):
    """s_uf = Σ_j w_fj over the user's items j that are among f's nearest, w_fj = x_f · x_j / (‖x_f‖ ‖x_j‖ + h).

    x is the content of an item, h the shrinkage.
    """

    def __init__(self, embedding: None, settings: ContentKNN, inputs: Inputs):
        super().__init__()
        self.history, self.settings = inputs.history, settings
        self.content = nn.Parameter(weigh(inputs.content, settings))  # (I, C)

    def sweep(self) -> None:
        """There is nothing to learn: content is as it is."""

    def newcomers(self, content: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, J) of items that have nothing but content."""
        own, seen = weigh(content, self.settings), self.content
        similarity = own @ seen.T / (own.norm(dim=1)[:, None] * seen.norm(dim=1) + self.settings.shrinkage)
        nearest = similarity.topk(min(self.settings.neighbours, len(seen)))
        weight = torch.zeros_like(similarity).scatter(1, nearest.indices, nearest.values)  # (J, I)
        return lambda users: self.history.mask(users).to(weight.dtype) @ weight.T
