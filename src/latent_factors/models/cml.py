"""CML, collaborative metric learning: users and items as points of one ball (Hsieh et al. 2017)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latent_factors.embedding import Penalty, look_up
from latent_factors.models import Inputs
from latent_factors.models.impostors import closest
from latent_factors.models.losses import covariance
from latent_factors.sections import CML


class Model(nn.Module):
    """s_ui = −‖p_u − q_i‖², learned from the closest of W negatives, in a ball of radius 1.

    An event costs w_ui [m + ‖p_u − q_i‖² − min_j ‖p_u − q_j‖²]₊, w_ui = ln(1 + I × the share of negatives that are
    impostors), which estimates the rank of i. Beside the mean stands λ_c times the covariance of the points.
    """

    def __init__(self, embedding: nn.Module, settings: CML, inputs: Inputs):
        super().__init__()
        self.embedding, self.items, self.negatives = embedding, inputs.items, settings.negatives
        self.margin, self.covariance = settings.margin, settings.covariance
        seen = torch.ones(inputs.number, dtype=torch.bool)
        seen[inputs.unseen] = False
        self.seen = seen.nonzero()[:, 0].to(inputs.items.device)

    @staticmethod
    def width(settings: CML) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def points(self) -> Tensor:
        """Return where everyone stands (N, K)."""
        return self.embedding.whole()

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean loss () of events with W negatives each (2 + W, B): user, item, other items."""
        points = self.points()
        nearest, share = closest(points, ids, self.margin)
        weight = (1 + len(self.items) * share).log()
        user, item, other = look_up(points, torch.stack([ids[0], ids[1], nearest]))  # (B, K) each
        lead = self.margin + (user - item).square().sum(-1) - (user - other).square().sum(-1)
        return (weight * lead.relu()).mean() + self.covariance * covariance(look_up(points, self.seen))

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return none: the ball bounds the points."""
        return []

    @torch.no_grad()
    def project(self) -> None:
        """Put whatever left the ball back on its surface; training calls it after every step."""
        self.embedding.weight.renorm_(2, 0, 1)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        return self._nearness(self.points()[self.items])

    def _nearness(self, item: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to −‖u − v‖² (B, I) of points (I, K)."""
        points, length = self.points(), item.square().sum(1)

        def score(users: Tensor) -> Tensor:
            user = points[users]
            return 2 * user @ item.T - length - user.square().sum(1, keepdim=True)

        return score
