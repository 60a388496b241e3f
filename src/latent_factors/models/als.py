"""Biased matrix factorisation by alternating ridge regressions (Zhou et al. 2008, ALS-WR, with biases)."""

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.models.dot import BiasedDot
from latent_factors.settings import ALS

PADDED_ROWS = 2**17  # of vectors gathered at a time: 64 MiB at K = 128


class Model(BiasedDot):
    """The objective of `mf`, Σ (r − r̂)² + Σ_f n_f (λ ‖e_f‖² + λ_b b_f²), solved exactly for a side at a time."""

    def __init__(self, embedding: nn.Module, settings: ALS, inputs: Inputs):
        super().__init__(embedding, inputs)
        self.ridge = torch.tensor([settings.l2] * settings.dim + [settings.l2_bias])
        self.plan = None

    @staticmethod
    def width(settings: ALS) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def sweep(self, ids: Tensor, target: Tensor) -> None:
        """Solve for all items, then for all users; ids (n, 2), target (n,).

        With x = [q_i, 1] for the ratings of user u, the ridge solution [p_u, b_u] is
        (Σ x xᵀ + n_u diag(λ, …, λ, λ_b))⁻¹ Σ x (r − μ − b_i).
        """
        if self.plan is None:
            self.plan = [_groups(ids[:, side], ids[:, 1 - side], target) for side in (1, 0)]
        ridge = self.ridge.to(target)
        for groups in self.plan:
            for own, other, rating, mask in groups:
                x = torch.cat([self.embedding.weight[other], mask.new_ones(*other.shape, 1)], -1)  # (G, n, K + 1)
                x = x * mask[..., None]
                rest = (rating - self.mean - self.bias.weight[other, 0]) * mask
                gram = x.mT @ x + torch.diag_embed(mask.sum(1, keepdim=True) * ridge)
                solution = torch.linalg.solve(gram, (x.mT @ rest[..., None]).squeeze(-1))
                self.embedding.weight[own] = solution[:, :-1]
                self.bias.weight[own] = solution[:, -1:]


def _groups(own: Tensor, other: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Gather the rows of each id in `own` and pad ids of like frequency to one length.

    Ids are ranked by frequency, so neighbours need little padding. Returns for each group the ids (G,), their
    partners (G, n), the ratings (G, n) and a mask (G, n) of what is no padding.
    """
    ids, counts = own.unique(return_counts=True)
    order = own.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    groups, first = [], 0
    while first < len(ids):
        longest = int(counts[first])
        last = first + max(1, PADDED_ROWS // longest)
        step = torch.arange(longest, device=own.device)
        mask = step < counts[first:last, None]
        rows = order[(starts[first:last, None] + step).where(mask, 0)]
        groups.append((ids[first:last], other[rows], target[rows], mask.to(target.dtype)))
        first = last
    return groups
