"""Matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009)."""

from collections.abc import Callable

from torch import Tensor, nn

from latent_factors.embedding import Penalty
from latent_factors.models import Inputs
from latent_factors.models.losses import bpr
from latent_factors.models.pairs import leads
from latent_factors.sections import BPR


class Model(nn.Module):
    """s_ui = p_u · q_i, learned from −ln σ(s_ui − s_uj), j an item that u has not, and the penalty λ Σ_f w_f ‖e_f‖².

    There are no biases, as in the paper: a user's cancels, and an item's would be known to this model alone of those
    it is compared with.
    """

    negatives = 1

    def __init__(self, embedding: nn.Module, settings: BPR, inputs: Inputs):
        super().__init__()
        self.embedding, self.items, self.l2 = embedding, inputs.items, settings.l2

    @staticmethod
    def width(settings: BPR) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def loss(self, ids: Tensor) -> Tensor:
        """Return the mean loss () of events with a negative each (3, B): user, item, other item."""
        return bpr(leads(self.embedding, ids))

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return λ Σ_f w_f ‖e_f‖² for weights w (N,)."""
        return self.embedding.penalties(self.l2 * weight)

    def vectors(self, ids: Tensor) -> Tensor:
        """Return the vectors (..., K) whose products are scores, for ids (...)."""
        return self.embedding(ids)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        item = self.embedding(self.items)
        return lambda users: self.embedding(users) @ item.T
