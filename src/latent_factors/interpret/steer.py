"""Move the vector just before scoring along a direction, and see what becomes of the recommendations."""

from collections.abc import Callable

import torch
from torch import Tensor

from latent_factors import ranking
from latent_factors.interpret.activations import Activations, Replayed
from latent_factors.tasks.topk import TopKTask

EFFECTS = ("share", "ndcg", "kept")
Steered = Callable[[Tensor, Tensor], Tensor]
"""From what is added to the vectors (m, K), and which items have a trait (I,), to the effects (3, m)."""


def steering(task: TopKTask, activations: Activations, users: Tensor) -> Steered:
    """Return the function that steers some users, given by their places (m,), and compares their lists with before.

    Lists have as many items as the first cutoff k. Effects, by EFFECTS, are the rise of the share of the list that has
    the trait, the rise of ndcg@k, and the share of the list that stood in it before.
    """
    k, relevant = task.cutoffs[0], task.relevant("test")
    vectors = activations.vectors[users]

    def listed(given: Tensor) -> tuple[Tensor, Tensor]:
        return task.recommend(Replayed(given, activations.scores), "test", k)

    before, found = listed(vectors)
    ndcg = ranking.ndcg(found, relevant, k)

    def steered(added: Tensor, has: Tensor) -> Tensor:
        items, hits = listed(vectors + added)
        return torch.stack([
            (has[items].double() - has[before].double()).mean(1),
            ranking.ndcg(hits, relevant, k) - ndcg,
            (items[:, :, None] == before[:, None]).any(2).double().mean(1),
        ])

    return steered


def towards(x: Tensor, fond: Tensor) -> Tensor:
    """Return the unit vector (K,) from the mean of all vectors x (n, K) to that of those who are `fond` (n,)."""
    difference = x[fond].mean(0) - x.mean(0)
    return difference / difference.norm().clamp(min=1e-12)
