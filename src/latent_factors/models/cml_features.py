"""CML whose items stay close to where a network over their attributes puts them (Hsieh et al. 2017's feature loss)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.data.histories import Histories
from latent_factors.models import Inputs, cml
from latent_factors.sections import CMLFeatures


class Model(cml.Model):
    """The loss of CML and λ_f mean_i ‖q_i − f(x_i)‖², a mean over items, of which each batch draws some uniformly.

    f(x_i) = W₂ dropout(relu(W₁ x_i + b₁)) + b₂; x_i has 1 / √n for each of the n attribute values that item i holds and
    training did not find rare. f moves the items and the items f; scores are distances to q_i, as without attributes.
    """

    def __init__(self, embedding: nn.Module, settings: CMLFeatures, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.settings = settings
        known = inputs.attributes(settings.min_count)
        held, values = known.item.held[:-1], known.item.ids[:-1]  # the last row is a stranger's
        self.values = Histories.of(held.nonzero()[:, 0], values[held], len(held), len(known.counts))
        self.share = self.values.counts.clamp(min=1).rsqrt()[:, None]  # (I, 1) 1 / √n
        self.first = nn.Parameter(torch.randn(len(known.counts), settings.hidden) / settings.hidden**0.5)  # W₁
        self.bias = nn.Parameter(torch.zeros(settings.hidden))
        self.last = nn.Linear(settings.hidden, settings.dim)

    def place(self, items: Tensor, kept: Tensor) -> Tensor:
        """Return where attributes put items (M,) of the catalogue (M, K); of the hidden units `kept` (M, H) pass."""
        starts = F.pad(self.values.counts[items].cumsum(0)[:-1], (1, 0))
        summed = F.embedding_bag(self.values.cells(items)[1], self.first, starts, mode="sum")
        hidden = (summed * self.share[items] + self.bias).relu()
        return self.last(hidden * kept / (1 - self.settings.dropout))

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw items (M,) for a batch, and which hidden units of each dropout keeps (M, H)."""
        size = (self.settings.drawn, self.settings.hidden)
        items = torch.randint(len(self.items), size[:1], generator=generator, device=generator.device)
        return items, torch.rand(size, generator=generator, device=generator.device) >= self.settings.dropout

    def loss(self, ids: Tensor, items: Tensor, kept: Tensor) -> Tensor:
        """Return the loss () of events with W negatives each (2 + W, B), and of drawn items (M,) with `kept` (M, H)."""
        own = self.embedding(self.items[items])
        return super().loss(ids) + self.settings.pull * (own - self.place(items, kept)).square().sum(-1).mean()
