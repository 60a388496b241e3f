"""Learned similarity: an MLP on the concatenated vectors (He et al. 2017, section 3.3; shape of DNIS)."""

from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.settings import MLP


class Model(nn.Module):
    """r̂ = μ + h(e_u ‖ e_i), h an MLP FK → FK → FK/2 → 1 with ReLU (Cheng et al. 2020, in their code).

    It has no biases of users and items: the vectors have to carry them.
    """

    def __init__(self, embedding: nn.Module, settings: MLP, inputs: Inputs):
        super().__init__()
        self.embedding, self.mean, self.l2 = embedding, inputs.mean, settings.l2
        width = inputs.fields * embedding.dim
        self.net = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, width // 2), nn.ReLU(),
            nn.Linear(width // 2, 1),
        )

    @staticmethod
    def width(settings: MLP) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def forward(self, ids: Tensor) -> Tensor:
        """Return the predictions (B,) for rows of ids (B, F)."""
        return self.mean + self.net(self.embedding(ids).flatten(-2)).squeeze(-1)

    def penalty(self, share: Tensor) -> Tensor:
        """Return λ Σ_f p_f ‖e_f‖² for shares p (N,)."""
        return self.l2 * self.embedding.penalty(share)
