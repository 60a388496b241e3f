"""Smoothing along the graph, with edges weighed by how alike their ends are (Ren et al. 2023)."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from latent_factors.data.histories import Histories
from latent_factors.models.graph import Graph

LEAST = 1e-12  # by what the weights of a row are divided at least: a user or item may have no edge


@dataclass(frozen=True)
class Edges:
    """The n edges of a graph of users and items, each once: user by user, by item within a user.

    Attributes:
        starts: (U + 1,) where each user's edges begin.
        items: (n,) the number of each edge's item, below `catalogue`.
        turned: (n,) the edges item by item, by user within an item.
        neighbours, ends: the graph's rows, which hold the edges twice, those of users first: (2n,) the columns, and
            (N + 1,) where each row begins.
        catalogue: I; the vectors of users and items (N, K) hold those of I items from row U on.
    """

    starts: Tensor
    items: Tensor
    turned: Tensor
    neighbours: Tensor
    ends: Tensor
    catalogue: int

    @classmethod
    def of(cls, history: Histories, graph: Graph) -> "Edges":
        """Take the edges of the graph that joins users to their items; as int32, half as much is read from memory."""
        turned = history.items.argsort(stable=True)
        ends = F.pad(graph.starts, (0, 1), value=len(graph.neighbours))
        numbers = (history.starts, history.items, turned, graph.neighbours, ends)
        edges = cls(*(own.int() for own in numbers), history.catalogue)
        with warnings.catch_warnings(action="ignore"):  # torch says once that its sparse matrices are young
            edges._cells(torch.float)
        return edges

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """Return x_u · y_i (n,) of each edge, for vectors x and y (N, K) of users and items.

        Neither all pairs are multiplied, nor are vectors gathered edge by edge.
        """
        users = len(self.starts) - 1
        item = right[users : users + self.catalogue]
        return torch.sparse.sampled_addmm(self._cells(left.dtype), left[:users], item.T, beta=0).values()

    def _cells(self, kind: torch.dtype) -> Tensor:
        """Return a sparse matrix (U, I) of zeros, one for each edge."""
        size, blank = (len(self.starts) - 1, self.catalogue), torch.zeros_like(self.items, dtype=kind)
        return torch.sparse_csr_tensor(self.starts, self.items, blank, size, check_invariants=False)

    def both(self, weights: Tensor) -> Tensor:
        """Return the weights (n,) of edges in the order of the graph's rows (2n,)."""
        return torch.cat([weights, weights.index_select(0, self.turned)])

    def sums(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Return M E (N, K) for E (N, K) and the weights (2n,) of the graph's rows."""
        return F.embedding_bag(
            self.neighbours, vectors, self.ends, mode="sum", per_sample_weights=weights, include_last_offset=True
        )

    def smooth(self, vectors: Tensor, unit: Tensor) -> Tensor:
        """Return H (N, K), each row the mean of E (N, K) over the neighbours, weighed by the mask; differentiable.

        The mask of an edge is m_ui = (x_u · x_i + 1) / 2 for unit vectors x (N, K), and h_u = Σ_i m_ui e_i / Σ_i m_ui.
        """
        return _Smooth.apply(vectors, unit, self)


class _Smooth(Function):
    """H = S⁻¹ M E, S the row sums of the symmetric M. With a = S⁻¹ ∂H the gradients are

    ∂E = M a,  ∂m_ui = a_u · (e_i − h_u) + a_i · (e_u − h_i),  ∂x_u = Σ_i ∂m_ui x_i / 2.
    """

    @staticmethod
    def forward(context, vectors: Tensor, unit: Tensor, edges: Edges) -> Tensor:
        weights = edges.both((edges.products(unit, unit) + 1) / 2)
        total = torch.segment_reduce(weights, "sum", offsets=edges.ends, unsafe=True).clamp(min=LEAST)[:, None]
        smooth = edges.sums(vectors, weights) / total
        context.edges = edges
        context.save_for_backward(vectors, unit, weights, total, smooth)
        return smooth

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        edges = context.edges
        vectors, unit, weights, total, smooth = context.saved_tensors
        share = gradient / total  # a
        own = (share * smooth).sum(-1)  # a_u · h_u
        users, counts = len(edges.starts) - 1, edges.starts.diff()
        mask = edges.products(share, vectors) + edges.products(vectors, share)
        mask -= own[:users].repeat_interleave(counts, output_size=len(mask))
        mask -= own[users:].index_select(0, edges.items)
        return edges.sums(share, weights), edges.sums(unit, edges.both(mask / 2)), None
