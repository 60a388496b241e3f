"""Neural matrix factorisation from implicit feedback, as its paper has it (He et al. 2017)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.models import Inputs
from latent_factors.models.losses import bce
from latent_factors.models.neumf import Model as NeuMF
from latent_factors.sections import ImplicitNeuMF

SCORED_USERS = 4  # at a time: their hidden units of all items stay in the processor's cache


class Model(NeuMF):
    """The rule of `neumf` as a logit, learned from events against `negatives` sampled items each."""

    def __init__(self, embedding: nn.Module, settings: ImplicitNeuMF, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.items, self.negatives = inputs.items, settings.negatives

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean loss () of events with their negatives (2 + M, B): user, item, other items."""
        items = ids[1:]
        return bce(self(torch.stack([ids[:1].expand_as(items), items], -1)))

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items.

        The first layer is linear in user and item apart, so each side passes through it once.
        """
        (first, _, second, _), dim = self.net, self.embedding.dim // 2
        linear, deep = self.last.weight[0].split([dim, self.last.in_features - dim])
        product, vector = self.embedding(self.items).chunk(2, -1)
        item = F.linear(vector, first.weight[:, dim:])  # (I, 128)

        def network(users: Tensor) -> Tensor:
            hidden = F.relu(users[:, None] + item)
            return F.relu(second(hidden)) @ deep

        def score(users: Tensor) -> Tensor:
            own, vector = self.embedding(users).chunk(2, -1)
            user = F.linear(vector, first.weight[:, :dim], first.bias)  # (B, 128)
            learned = torch.cat([network(some) for some in user.split(SCORED_USERS)])
            return self.mean + (own * linear) @ product.T + learned + self.last.bias

        return score
