"""Collaborative identifiers: items that the same users take share a path of clusters (Hua et al. 2023, CID)."""

import warnings

import numpy as np
from scipy import sparse
from sklearn.cluster import SpectralClustering

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
        cutter = SpectralClustering(
            clusters, affinity="precomputed", assign_labels="cluster_qr", random_state=seed
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Graph is not fully connected")
            part[joined] = cutter.fit_predict(affinity[joined][:, joined].astype(np.float64))
    else:
        part[joined] = np.arange(len(joined))
    part[part == NONE] = np.bincount(part[part != NONE]).argmax() if len(joined) else 0
    return part
