"""Implicit alternating least squares (Hu, Koren and Volinsky 2008), by the `implicit` library."""

from collections.abc import Callable

import numpy as np
import torch
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from latent_factors.models import Inputs
from latent_factors.sections import IALS


class Model(nn.Module):
    """s_ui = p_u · q_i, minimising Σ_ui c_ui (x_ui − s_ui)² + λ (Σ ‖p_u‖² + Σ ‖q_i‖²) over all cells.

    x_ui is 1 for an event and 0 else; c_ui is 1 for a missing event and 1 + α for one that took place.
    """

    def __init__(self, embedding: nn.Module, settings: IALS, inputs: Inputs):
        super().__init__()
        self.embedding, self.items = embedding, inputs.items
        history = inputs.history
        cells = np.full(len(history.items), 1 + settings.alpha, np.float32)
        self.cells = csr_matrix(
            (cells, history.items.cpu().numpy().astype(np.int32), history.starts.cpu().numpy().astype(np.int32)),
            shape=(len(history.counts), history.catalogue),
        )
        with threadpool_limits(1, "blas"):
            self.solver = AlternatingLeastSquares(
                settings.dim, regularization=settings.l2, alpha=1.0, iterations=1, use_gpu=False,
                num_threads=torch.get_num_threads(),
            )

    @staticmethod
    def width(settings: IALS) -> int:
        """Return the width of the embedding: K."""
        return settings.dim

    def sweep(self) -> None:
        """Solve for all users, then for all items."""
        table, users = self.embedding.weight, len(self.cells.indptr) - 1
        self.solver.user_factors = table[:users].cpu().numpy()
        self.solver.item_factors = table[self.items].cpu().numpy()
        with threadpool_limits(1, "blas"):  # implicit's own threads work side by side
            self.solver.fit(self.cells, show_progress=False)
        table[:users] = torch.from_numpy(self.solver.user_factors).to(table)
        table[self.items] = torch.from_numpy(self.solver.item_factors).to(table)

    def vectors(self, ids: Tensor) -> Tensor:
        """Return the vectors (..., K) whose products are scores, for ids (...)."""
        return self.embedding(ids)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        item = self.embedding(self.items)
        return lambda users: self.embedding(users) @ item.T
