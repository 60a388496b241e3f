"""DCCF: intents that all users share, and contrast between views of the graph (Ren et al. 2023)."""

import torch
from torch import Tensor, nn

from latent_factors.embedding import Penalty, look_up
from latent_factors.models import Inputs, lightgcn
from latent_factors.models.losses import bpr, info_nce, unit
from latent_factors.models.masks import Edges
from latent_factors.sections import DCCF


class Model(lightgcn.Model):
    """A layer adds up to four views of its input E to it, and the table is the sum of all layers:

        Z = Â E                       local: what LightGCN does
        R = softmax(E C) Cᵀ           intent: a mixture of prototypes C (K, number), those of users or those of items
        H^β, H^γ                      local_mask, intent_mask: means over neighbours, weighed by (cos(x_u, x_i) + 1) / 2
                                      with the vectors x of Z and of R

    The loss is BPR plus λ₁ times InfoNCE between the first view and each other one, by cosines, at every layer, for the
    different users and for the different items of a batch. Each view may be left out; what masks need of it stays.

    As in the authors' code, InfoNCE is a mean over ids, summed over views, layers, and users and items. The penalty on
    E_0 is one over the table in the paper and one over the ids of a batch in the code; here it is that of all models.
    """

    def __init__(self, embedding: nn.Module, settings: DCCF, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.settings, self.users = settings, int(inputs.items[0])
        self.edges = Edges.of(inputs.history, self.graph)
        if settings.intent or settings.intent_mask:
            size = (2, settings.dim, settings.intents)
            self.prototypes = nn.Parameter(torch.randn(size) * (2 / (settings.dim + settings.intents)) ** 0.5)

    def table(self) -> Tensor:
        """Return the vectors (N, K) of users and items: the sum of all layers."""
        return self.encode()[0]

    def encode(self) -> tuple[Tensor, list[list[Tensor]]]:
        """Return the vectors (N, K) of users and items, and the views (N, K) of each layer."""
        layer = total = self.embedding.whole()
        views = []
        for _ in range(self.layers):
            views.append(self.views(layer))
            layer = sum(views[-1], layer)
            total = total + layer
        return total, views

    def views(self, layer: Tensor) -> list[Tensor]:
        """Return the views (N, K) that a layer adds to its input (N, K)."""
        own, views = self.settings, []
        local = self.graph.propagate(layer) if own.local or own.local_mask else None
        intent = self.mixtures(layer) if own.intent or own.intent_mask else None
        views += [local] * own.local + [intent] * own.intent
        for source, wanted in ((local, own.local_mask), (intent, own.intent_mask)):
            views += [self.edges.smooth(layer, unit(source))] if wanted else []
        return views

    def mixtures(self, layer: Tensor) -> Tensor:
        """Return R (N, K) for the vectors (N, K) of users and items."""
        return torch.cat([
            self.shares(own, side) @ self.prototypes[side].T
            for side, own in enumerate(layer.tensor_split([self.users]))
        ])

    def shares(self, vectors: Tensor, side: int) -> Tensor:
        """Return the shares (..., number) of prototypes, of users (side 0) or items (side 1), in vectors (..., K)."""
        return (vectors @ self.prototypes[side]).softmax(-1)

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean loss () of events with a negative each (3, B): user, item, other item."""
        table, views = self.encode()
        user, item, other = look_up(table, ids)  # (B, K) each
        return bpr((user * (item - other)).sum(-1)) + self.settings.contrast * self.contrast(views, ids)

    def contrast(self, views: list[list[Tensor]], ids: Tensor) -> Tensor | int:
        """Return InfoNCE () of each layer's first view (N, K) with its others, at the users and items of ids (3, B)."""
        sides = [own.unique() for own in ids[:2]]
        cut, different = [len(own) for own in sides], torch.cat(sides)
        parts = []
        for layer in views:
            units = [unit(look_up(view, different)).split(cut) for view in layer]
            pairs = (pair for view in units[1:] for pair in zip(units[0], view, strict=True))
            parts += [info_nce(*pair, self.settings.temperature) for pair in pairs]
        return sum(parts)

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ₂ Σ_f w_f ‖e_f‖² for weights w (N,), of the vectors of the first layer, and λ₃ ‖C‖²."""
        penalties = super().penalties(weight)
        if hasattr(self, "prototypes"):
            penalties.append((self.prototypes, weight.new_tensor(self.settings.l2_intents)))
        return penalties
