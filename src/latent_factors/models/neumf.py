"""Neural matrix factorisation (He et al. 2017, section 3.4)."""

import torch
from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.sections import NeuMF

HIDDEN = (128, 64)


class Model(nn.Module):
    """r̂ = μ + w · [g_u ⊙ g_i ‖ h(m_u ‖ m_i)]: a generalised dot product beside an MLP h, FK → 128 → 64.

    Each feature has two vectors of K, g for the product and m for the MLP, as in the paper; they are the halves of
    one row of the embedding, 2K wide. There is no pre-training, and there are no biases of users and items.
    """

    def __init__(self, embedding: nn.Module, settings: NeuMF, inputs: Inputs):
        super().__init__()
        self.embedding, self.mean, self.l2 = embedding, inputs.mean, settings.l2
        dim, (first, second) = embedding.dim // 2, HIDDEN
        self.net = nn.Sequential(
            nn.Linear(inputs.fields * dim, first), nn.ReLU(),
            nn.Linear(first, second), nn.ReLU(),
        )
        self.last = nn.Linear(dim + second, 1)

    @staticmethod
    def width(settings: NeuMF) -> int:
        """Return the width of the embedding: 2K."""
        return 2 * settings.dim

    def forward(self, ids: Tensor) -> Tensor:
        """Return the predictions (...) for rows of ids (..., 2)."""
        product, deep = self.embedding(ids).chunk(2, -1)  # (B, 2, K) each
        user, item = product.unbind(-2)
        joint = torch.cat([user * item, self.net(deep.flatten(-2))], -1)
        return self.mean + self.last(joint).squeeze(-1)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_f w_f (‖g_f‖² + ‖m_f‖²) for weights w (N,)."""
        return self.embedding.penalties(self.l2 * weight)
