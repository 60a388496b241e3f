"""Vectors of content for items that training has and for those it lacks, learned from the former alone."""

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import svds
from torch import Tensor
from torch.nn import functional as F

from latent_factors.data.content import Vocabulary
from latent_factors.data.items import Items
from latent_factors.sections import Residual


def content_vectors(described: Items, trained: np.ndarray, settings: Residual) -> Tensor:
    """Return vectors of length 1 (I, d) of what items tell of themselves: their genres, words of titles and year.

    Vocabulary and the d singular directions come from the items of the training part, a mask (I,). An item of which
    nothing is known has zeros.
    """
    own = Items(described.title[trained], described.genres[trained], described.year[trained])
    told = Vocabulary.of(own).encode(described, torch.device("cpu"))
    blocks = (told["genres"], settings.words * told["words"], settings.year * told["year"])
    return projected(torch.cat(blocks, 1), torch.from_numpy(trained), settings.dim)


def projected(rows: Tensor, trained: Tensor, dim: int) -> Tensor:
    """Return rows (I, C) along the first `dim` singular directions of those of a mask (I,), at length 1 (I, dim)."""
    seen = sparse.csr_matrix(rows[trained].double().numpy())
    rank = min(dim, min(seen.shape) - 1)
    right = svds(seen, k=rank, v0=np.ones(min(seen.shape)))[2][::-1]
    right = right * np.where(right.sum(1, keepdims=True) < 0, -1, 1)  # a singular vector has no sign of its own
    shortened = F.normalize(rows.double() @ torch.from_numpy(right.T.copy()), dim=1)
    return F.pad(shortened, (0, dim - rank)).float()
