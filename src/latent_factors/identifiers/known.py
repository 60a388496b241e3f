"""What a scheme may know of the items it names: the training part, and what items tell of themselves."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from latent_factors.data.items import Items


@dataclass(frozen=True)
class Sequences:
    """What U users took, one after the other.

    Attributes:
        starts: (U + 1,) where each user's items begin in `items`.
        items: (n,) numbers below `catalogue`, in order of time within a user.
        first: (U,) when each user began, in any unit.
        catalogue: I.
    """

    starts: np.ndarray
    items: np.ndarray
    first: np.ndarray
    catalogue: int

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, rank: np.ndarray, times: np.ndarray, catalogue: int
    ) -> "Sequences":
        """Gather events (n,), those of a user by their rank."""
        order = np.lexsort((rank, users))
        counts = np.bincount(users)
        starts = np.concatenate([[0], counts.cumsum()])
        first = np.full(len(counts), np.inf)
        np.minimum.at(first, users, times)
        return cls(starts, items[order], first, catalogue)

    def in_order(self, users: np.ndarray) -> np.ndarray:
        """Return the items of some users, user after user."""
        counts = np.diff(self.starts)[users]
        shift = np.repeat(self.starts[users] - (counts.cumsum() - counts), counts)
        return self.items[np.arange(counts.sum()) + shift]

    def matrix(self) -> sparse.csr_matrix:
        """Return who took what (U, I), ones."""
        users = np.repeat(np.arange(len(self.first)), np.diff(self.starts))
        taken = sparse.csr_matrix(
            (np.ones(len(self.items), np.float32), (users, self.items)), (len(self.first), self.catalogue)
        )
        taken.data[:] = 1
        return taken

    def co_occurrence(self) -> sparse.csr_matrix:
        """Return how many users took both of two different items (I, I)."""
        taken = self.matrix()
        both = (taken.T @ taken).tolil()
        both.setdiag(0)
        return both.tocsr()

    def scaled(self) -> sparse.csr_matrix:
        """Return Â (U, I), Â_ui = 1 / √(n_u n_i) where user u took item i."""
        taken = self.matrix()
        by_user, by_item = (1 / np.sqrt(np.maximum(np.asarray(taken.sum(axis)).ravel(), 1)) for axis in (1, 0))
        return sparse.csr_matrix(sparse.diags(by_user) @ taken @ sparse.diags(by_item))


def shortened(rows: sparse.csr_matrix, dim: int) -> np.ndarray:
    """Return vectors of length 1 in place of rows (I, C): their first `dim` singular directions (I, dim), float32.

    A row of zeros stays one.
    """
    rank = min(dim, min(rows.shape) - 1)
    left, values, _ = svds(rows.astype(np.float64), k=rank, v0=np.ones(min(rows.shape)))
    left = left * np.where(left.sum(0) < 0, -1, 1)  # a singular vector has no sign of its own
    own = (left * values)[:, ::-1]
    own = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
    return np.pad(own, ((0, 0), (0, dim - rank))).astype(np.float32)


@dataclass(frozen=True)
class Known:
    """What a scheme may know of I items.

    Attributes:
        sequences: of the training part.
        described: what is known of the items, in their order.
        leaked: sequences of all parts: no scheme may use them but the one that shows what that does.
    """

    sequences: Sequences
    described: Items
    leaked: Sequences
