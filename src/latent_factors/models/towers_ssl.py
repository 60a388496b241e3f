"""Two towers whose item side also learns from itself: two views of an item should agree (Yao et al. 2021)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.data.information import between_fields
from latent_factors.models import Inputs, towers
from latent_factors.models.augment import PATTERNS, by_relation, drop
from latent_factors.models.losses import info_nce
from latent_factors.sections import TowersSSL


class Model(towers.Model):
    """L = L_main + α L_self, L_self the InfoNCE between two views of items that are drawn apart from the events.

    One tower serves both views and the main loss. A view shows the fields that the other masks, and of fields with
    several values some are dropped. What a view does not show is the field's default to it.
    """

    def __init__(self, embedding: nn.Module, settings: TowersSSL, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.taken = torch.bincount(inputs.history.items, minlength=inputs.history.catalogue).float()
        self.related = by_relation(between_fields(self.item, F.pad(self.taken, (0, 1))))  # no stranger was taken

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw items (M,) for a batch, and what two views of them keep (2, M, 1 + W), the first column the own id.

        No item is drawn twice, as it would be its own negative.
        """
        settings, device = self.settings, self.taken.device
        if settings.ssl_draw == "uniform":
            items = torch.randperm(len(self.taken), generator=generator, device=device)[: settings.ssl_batch]
        else:
            number = min(settings.ssl_batch, int(self.taken.count_nonzero()))
            items = torch.multinomial(self.taken, number, generator=generator)
        groups = torch.stack(PATTERNS[settings.pattern](self.related, generator))  # (2, 1 + F)
        columns, several = F.pad(1 + self.item.field, (1, 0)), F.pad(self.item.several, (1, 0))  # (1 + W,)
        return items, groups[:, None, columns] & drop(several, (2, len(items)), settings.dropout, generator)

    def loss(self, ids: Tensor, items: Tensor, kept: Tensor) -> Tensor:
        """Return the loss () of events (2, B) and of items (M,) in two views that see `kept` (2, M, 1 + W)."""
        anchors, views = self.items(items.repeat(2), kept.flatten(0, 1)).chunk(2)
        return super().loss(ids) + self.settings.alpha * info_nce(anchors, views, self.settings.ssl_temperature)
