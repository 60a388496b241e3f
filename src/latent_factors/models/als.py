"""Biased matrix factorisation by alternating ridge regressions (Zhou et al. 2008, ALS-WR, with biases)."""

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.models.dot import BiasedDot
from latent_factors.sections import ALS

GROUP_ROWS = 2**13  # vectors gathered at a time: few enough to stay in the processor's cache


class Model(BiasedDot):
    """The objective of `mf`, Σ (r − r̂)² + Σ_f n_f^ν (λ ‖e_f‖² + λ_b b_f²), solved exactly for a side at a time.

    ν = 1 is ALS-WR; plain ridge is ν = 0; between them lies the scaling of Rendle et al. 2021 (iALS++).
    """

    def __init__(self, embedding: nn.Module, settings: ALS, inputs: Inputs):
        super().__init__(embedding, inputs)
        self.ridge = torch.tensor([settings.l2] * settings.dim + [settings.l2_bias])
        self.power = settings.l2_power
        self.plan = None

    @staticmethod
    def width(settings: ALS) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def sweep(self, ids: Tensor, target: Tensor) -> None:
        """Solve for all items, then for all users; ids (n, 2), target (n,).

        With x = [q_i, 1] for the ratings of user u, the ridge solution [p_u, b_u] is
        (Σ x xᵀ + n_u^ν diag(λ, …, λ, λ_b))⁻¹ Σ x (r − μ − b_i).
        """
        if self.plan is None:
            self.plan = [_groups(ids[:, side], ids[:, 1 - side], target, len(self.bias.weight)) for side in (1, 0)]
        ridge = self.ridge.to(target)
        for groups in self.plan:
            factors, bias = self.embedding.weight, self.bias.weight
            known = torch.cat([factors, torch.ones_like(bias)], 1)
            known = torch.cat([known, known.new_zeros(1, known.shape[1])])  # the last row is for padding
            level = torch.cat([self.mean + bias[:, 0], bias.new_zeros(1)])
            for own, other, rating, count in groups:
                x = known[other]  # (G, n, K + 1)
                gram = x.mT @ x + torch.diag_embed(count[:, None] ** self.power * ridge)
                moment = x.mT @ (rating - level[other])[..., None]
                solution = torch.linalg.solve(gram, moment)[..., 0]
                self.embedding.weight[own], self.bias.weight[own] = solution[:, :-1], solution[:, -1:]


def _groups(own: Tensor, other: Tensor, target: Tensor, padding: int) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Gather the rows of each id in `own`, and pad ids of like frequency to one length with the partner `padding`.

    Ids are ranked by frequency, so neighbours need little padding. Returns for each group the ids (G,), their
    partners (G, n), the ratings (G, n), and how many of them are true (G,).
    """
    ids, counts = own.unique(return_counts=True)
    order = own.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    groups, first = [], 0
    while first < len(ids):
        longest = int(counts[first])
        last = first + max(1, GROUP_ROWS // longest)
        step = torch.arange(longest, device=own.device)
        true = step < counts[first:last, None]
        rows = order[(starts[first:last, None] + step).where(true, 0)]
        groups.append((ids[first:last], other[rows].where(true, padding), target[rows], counts[first:last].to(target)))
        first = last
    return groups
