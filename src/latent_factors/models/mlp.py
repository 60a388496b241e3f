"""Learned similarity: an MLP on the concatenated vectors (He et al. 2017, section 3.3)."""

from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.sections import MLP

HIDDEN = (128, 64)


class Model(nn.Module):
    """r̂ = μ + h(e_u ‖ e_i), h an MLP FK → 128 → 64 → 1 with ReLU: the baseline of DNIS (Cheng et al. 2020, code).

    The hidden widths do not depend on K, so that K alone says how much is known of a feature. There are no biases
    of users and items: the vectors have to carry them.
    """

    def __init__(self, embedding: nn.Module, settings: MLP, inputs: Inputs):
        super().__init__()
        self.embedding, self.mean, self.l2 = embedding, inputs.mean, settings.l2
        first, second = HIDDEN
        self.net = nn.Sequential(
            nn.Linear(inputs.fields * embedding.dim, first), nn.ReLU(),
            nn.Linear(first, second), nn.ReLU(),
            nn.Linear(second, 1),
        )

    @staticmethod
    def width(settings: MLP) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def forward(self, ids: Tensor) -> Tensor:
        """Return the predictions (B,) for rows of ids (B, F)."""
        return self.mean + self.net(self.embedding(ids).flatten(-2)).squeeze(-1)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_f w_f ‖e_f‖² for weights w (N,)."""
        return self.embedding.penalties(self.l2 * weight)
