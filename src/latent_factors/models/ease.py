"""EASE, a shallow linear autoencoder in closed form (Steck 2019)."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.data.histories import Histories
from latent_factors.errors import TrainingError
from latent_factors.models import Inputs
from latent_factors.models.neighbours import events
from latent_factors.sections import EASE

ROWS = 1024  # of a matrix of users by users or items that are at work at a time


class Model(nn.Module):
    """Scores X B, B minimising ‖X − X B‖² + λ ‖B‖² under diag B = 0; X the users by items (equation 1).

    With P = (XᵀX + λ I)⁻¹, B_ij = −P_ij / P_jj off the diagonal (equation 8). Where users are fewer than items, X P is
    got from the smaller K = X Xᵀ + λ I: X P = K⁻¹ X and P_jj = (1 − x_jᵀ K⁻¹ x_j) / λ, x_j who has item j. Then scores
    of what a user does not have are −(X P)_uj / P_jj, as X B = X − X P diag(1 / P_jj).
    """

    def __init__(self, embedding: None, settings: EASE, inputs: Inputs):
        super().__init__()
        self.history, self.l2 = inputs.history, settings.l2
        users, items = len(self.history.counts), self.history.catalogue
        self.by_users = users < items
        if not self.by_users:
            self.weight = nn.Parameter(torch.zeros(items, items))  # B
            return
        self.inverse = nn.Parameter(torch.zeros(users, users))  # K⁻¹
        self.diagonal = nn.Parameter(torch.ones(items))  # P_jj
        owners = torch.arange(users, device=self.history.items.device).repeat_interleave(self.history.counts)
        self.takers = Histories.of(self.history.items, owners, items, users)

    def sweep(self) -> None:
        """Solve."""
        (self._sweep_users if self.by_users else self._sweep_items)()

    def _sweep_items(self) -> None:
        x = self.history.mask(torch.arange(len(self.history.counts), device=self.weight.device)).float()
        gram = (x.T @ x).double()
        gram.diagonal().add_(self.l2)
        precision = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        self.weight.copy_(-precision / precision.diagonal())
        self.weight.fill_diagonal_(0)

    def _sweep_users(self) -> None:
        x = events(self.history)
        gram = np.empty(self.inverse.shape, np.float32)
        for first in range(0, len(gram), ROWS):
            gram[first : first + ROWS] = (x[first : first + ROWS] @ x.T).toarray()
        np.einsum("ii->i", gram)[:] += self.l2
        self.inverse.copy_(torch.from_numpy(invert(gram)))
        own = self.diagonal.new_zeros(self.diagonal.shape, dtype=torch.float64)  # x_jᵀ K⁻¹ x_j
        for users in torch.arange(len(gram), device=own.device).split(ROWS):
            rows, items = self.history.cells(users)
            own.index_add_(0, items, self._projected(users)[rows, items].double())
        self.diagonal.copy_((1 - own) / self.l2)

    def _projected(self, users: Tensor) -> Tensor:
        """Return the rows (B, I) of X P of users (B,)."""
        columns = self.inverse[users].T.contiguous()
        return F.embedding_bag(self.takers.items, columns, self.takers.starts[:-1], mode="sum").T

    def influence(self, items: Tensor) -> Tensor:
        """Return the rows (B, I) of B of items (B,): what having an item adds to the scores of all items."""
        if not self.by_users:
            return self.weight[items]
        has = self.takers.mask(items).float()  # (B, U)
        shared = F.embedding_bag(self.takers.items, self.inverse @ has.T, self.takers.starts[:-1], mode="sum").T
        rows = shared / (self.l2 * self.diagonal)
        return rows.scatter(1, items[:, None], 0)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from user ids (B,) to the scores (B, I) of all items."""
        if self.by_users:
            return lambda users: self.history.mask(users).float() - self._projected(users) / self.diagonal
        return lambda users: self.history.mask(users).float() @ self.weight


def invert(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric positive definite float32 matrix (U, U), in the memory that it takes up.

    Raises TrainingError when a matrix is not positive definite to float32.
    """
    with threadpool_limits(torch.get_num_threads(), "blas"):
        factor, fault = lapack.spotrf(matrix.T, lower=1, overwrite_a=1, clean=0)
        inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    if fault:
        raise TrainingError("EASE cannot be solved with so small an l2; raise l2 of topk.ease in params.yaml")
    inverse = inverse.T  # in C order, where the upper triangle has been filled
    for first in range(0, len(inverse), ROWS):
        last = first + ROWS
        block = inverse[first:last, first:last]
        block[:] = np.triu(block) + np.triu(block, 1).T
        inverse[last:, first:last] = inverse[first:last, last:].T
    return inverse
