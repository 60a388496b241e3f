"""The most frequent items for everyone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import Popular


class Model(nn.Module):
    """s_ui = n_i, the training events of item i."""

    def __init__(self, embedding: None, settings: Popular, inputs: Inputs):
        super().__init__()
        self.history = inputs.history
        self.count = nn.Parameter(torch.zeros(len(inputs.items)))

    def sweep(self) -> None:
        """Count."""
        self.count.copy_(self.history.items.bincount(minlength=len(self.count)))

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        return lambda users: self.count.repeat(len(users), 1)
