"""Collaborative identifiers: items that the same users take share a path of clusters (Hua et al. 2023, CID)."""

import numpy as np
from scipy import sparse
from scipy.linalg import qr, svd
from scipy.sparse.linalg import eigsh

from latent_factors.errors import UserError
from latent_factors.identifiers import NONE, Column


def collaborative(affinity: sparse.csr_matrix, clusters: int, leaf: int, seed: int) -> list[Column]:
    """Return the path of clusters of each item: spectral clustering of the co-occurrence (I, I), again and again.

    All items are cut into `clusters`, and so is each cluster of more than `leaf`, or into as many as it has items if
    those are fewer; one that will not be cut stays whole. The columns are the cluster at each depth; `compose` numbers
    the items of a leaf.

    Raises UserError for more clusters than items.
    """
    if clusters > affinity.shape[0]:
        raise UserError(
            f"identifiers collaborative: {clusters} clusters of {affinity.shape[0]} items; lower clusters in"
            " params.yaml"
        )
    paths = [np.zeros(affinity.shape[0], np.int64)]
    waiting = [(0, np.arange(affinity.shape[0]))]
    while waiting:
        depth, own = waiting.pop()
        if depth and len(own) <= leaf:
            continue
        part = _cut(affinity[own][:, own], min(clusters, len(own)), seed)
        if (part == part[0]).all():
            continue
        if depth == len(paths):
            paths.append(np.full(affinity.shape[0], NONE))
        paths[depth][own] = part
        waiting += [(depth + 1, own[part == number]) for number in np.unique(part)]
    return [Column(f"cluster {depth + 1}", path) for depth, path in enumerate(paths)]


def _cut(affinity: sparse.csr_matrix, clusters: int, seed: int) -> np.ndarray:
    """Return the cluster of each item (n,); who shares no user with anyone lies in the largest."""
    part = np.full(affinity.shape[0], NONE)
    joined = np.flatnonzero(np.asarray(affinity.sum(1)).ravel() > 0)
    if len(joined) > clusters:
        part[joined] = _spectral(affinity[joined][:, joined].astype(np.float64), clusters, seed)
    else:
        part[joined] = np.arange(len(joined))
    part[part == NONE] = np.bincount(part[part != NONE]).argmax() if len(joined) else 0
    return part


def _spectral(affinity: sparse.csr_matrix, clusters: int, seed: int) -> np.ndarray:
    """Return the spectral clusters of items that all share users (n,).

    They are those of scikit-learn's SpectralClustering with "cluster_qr". Lanczos' method is asked for the largest
    eigenvalues of D^-½ A D^-½ as they are: scikit-learn inverts the matrix first, whose factors are no longer sparse,
    and takes many minutes for 18,000 items where this takes two seconds.
    """
    affinity = affinity - sparse.diags(affinity.diagonal())
    degree = np.asarray(affinity.sum(0)).ravel()
    scale = 1 / np.sqrt(np.where(degree > 0, degree, 1))
    start = np.random.RandomState(seed).uniform(-1, 1, len(scale))
    likeness = sparse.diags(scale) @ affinity @ sparse.diags(scale)
    vectors = eigsh(likeness, clusters, which="LA", v0=start)[1] * scale[:, None]
    return _rotated(vectors).argmax(1)


def _rotated(vectors: np.ndarray) -> np.ndarray:
    """Return how far each item (n, k) lies along axes turned towards k items that differ most (Damle et al. 2019)."""
    corners = qr(vectors.T, mode="r", pivoting=True)[1][: vectors.shape[1]]
    left, _, right = svd(vectors[corners].T)
    return np.abs(vectors @ left @ right)
