"""CML whose items stand where a network over their content puts them (Campo et al. 2018)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs, cml
from latent_factors.models.content import weigh
from latent_factors.sections import CMLTower


class Model(cml.Model):
    """q_i = [W₂ relu(W₁ x_i + b₁) + b₂], x_i the content of item i, and [·] the nearest point of the unit ball.

    The loss of CML trains the network itself, so an item that training never saw has a place like any other.
    """

    def __init__(self, embedding: nn.Module, settings: CMLTower, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.settings = settings
        self.register_buffer("content", weigh(inputs.content, settings), persistent=False)  # (I, C)
        self.tower = nn.Sequential(
            nn.Linear(self.content.shape[1], settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, settings.dim)
        )

    def place(self, content: Tensor) -> Tensor:
        """Return where content (J, C) puts items (J, K), be it outside the ball."""
        return self.tower(content)

    def points(self) -> Tensor:
        """Return where everyone stands (N, K)."""
        table, first = super().points(), int(self.items[0])
        return torch.cat([table[:first], inside(self.place(self.content)), table[first + len(self.items) :]])

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ times the squares of the network's weights."""
        return [(layer.weight, layer.weight.new_full((1, 1), self.settings.l2)) for layer in self.tower[::2]]

    def unseen_points(self, content: dict[str, Tensor]) -> Tensor:
        """Return where items stand that have nothing but content (J, K)."""
        return inside(self.place(weigh(content, self.settings)))

    def newcomers(self, content: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, J) of items that have nothing but content."""
        return self._nearness(self.unseen_points(content))


def inside(points: Tensor) -> Tensor:
    """Return the nearest points of the unit ball to points (J, K)."""
    return points / points.norm(dim=1, keepdim=True).clamp(min=1)
