"""AutoInt: automatic feature interaction by self-attention (Song et al. 2019)."""

import torch
from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.models.fields import field_vectors
from latent_factors.models.interacting import Interacting
from latent_factors.sections import AutoInt


class Model(nn.Module):
    """ŷ = wᵀ (e_1 ‖ … ‖ e_F) + b (equation 9), e_f what interacting layers make of field f; b starts at the log-odds.

    The paper's formula and the authors' code differ. Of the code's additions, layer normalisation after each layer
    is a setting: tuned with it and without, neither is better on MovieLens-100K, and on the rows of the benchmark the
    paper's form is. Not taken, as neither helped: ReLU on queries, keys, values and residuals, and the division of
    ⟨·, ·⟩ by √D. There is no dropout, as in `dnn`.
    """

    residual = True

    def __init__(self, embedding: nn.Module, settings: AutoInt, inputs: Inputs):
        super().__init__()
        self.embedding, self.lists, self.l2 = embedding, inputs.lists, settings.l2
        out = settings.heads * settings.head_dim
        self.layers = nn.ModuleList(
            Interacting(width, settings.heads, settings.head_dim, self.residual, settings.layer_norm)
            for width in [embedding.dim] + [out] * (settings.layers - 1)
        )
        self.last = nn.Linear(inputs.fields * out, 1)
        nn.init.constant_(self.last.bias, torch.tensor(inputs.mean).logit())

    @staticmethod
    def width(settings: AutoInt) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def forward(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the log-odds (B,) of a click for rows of ids (B, F) and values (B, M)."""
        return self.interact(field_vectors(self.embedding, ids, values, self.lists))

    def interact(self, vectors: Tensor) -> Tensor:
        """Return the log-odds (B,) for the vectors of fields (B, F, K)."""
        for layer in self.layers:
            vectors = layer(vectors)
        return self.last(vectors.flatten(-2)).squeeze(-1)

    def attention(self, ids: Tensor, values: Tensor) -> Tensor:
        """Return the weights α (layers, B, H, F, F) with which field m (of F) looks at field k (of the last F)."""
        vectors, weights = field_vectors(self.embedding, ids, values, self.lists), []
        for layer in self.layers:
            weights.append(layer.weights(vectors))
            vectors = layer(vectors)
        return torch.stack(weights)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_f u_f ‖e_f‖² for the weights u (N,) of features."""
        return self.embedding.penalties(self.l2 * weight)
