"""CML with a content tower, beside whose place a seen item may stand (Hsieh et al. 2017's feature loss)."""

import torch
from torch import Tensor

from latent_factors.embedding import Penalty
from latent_factors.models import cml_tower
from latent_factors.models.cml_tower import inside


class Model(cml_tower.Model):
    """q_i = [f(x_i) + o_i], f the tower and o_i the free offset of an item that training sees.

    The feature loss λ_f ‖o_i‖², a mean over events, pulls a seen item to where its content is; an unseen item stands at
    [f(x)]. In the published code of CML the network follows the items by that loss alone, here the loss of CML moves it
    too.
    """

    def points(self) -> Tensor:
        """Return where everyone stands (N, K)."""
        table, first = self.embedding.whole(), int(self.items[0])
        last = first + len(self.items)
        return torch.cat([table[:first], inside(self.place(self.content) + table[first:last]), table[last:]])

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ_f Σ_i w_i ‖o_i‖² over items, for weights w (N,), and that of the network."""
        pulled = torch.zeros_like(weight)
        pulled[self.items] = self.settings.pull * weight[self.items]
        return [*self.embedding.penalties(pulled), *super().penalties(weight)]
