"""Pruned tables as they are stored and used: sparse, or as dense blocks of each block's own width.

Both give the vectors of the table they were made of, to the last bit, and hold nothing that can be trained.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn


def smallest(top: int) -> torch.dtype:
    """Return the smallest integer type that holds 0 … top."""
    return next(kind for kind in (torch.uint8, torch.int16, torch.int32, torch.int64) if top <= torch.iinfo(kind).max)


class SparseTable(nn.Module):
    """The entries of a table (N, K) that are not zero, row by row.

    Buffers: `values` (m,), `columns` (m,) where they stand, `counts` (N,) how many a row has.
    """

    def __init__(self, dim: int, values: Tensor, columns: Tensor, counts: Tensor):
        super().__init__()
        self.dim = dim
        for name, tensor in (("values", values), ("columns", columns), ("counts", counts)):
            self.register_buffer(name, tensor)
        ends = counts.long().cumsum(0)
        self.register_buffer("starts", (ends - counts).to(smallest(len(values))), persistent=False)

    @classmethod
    def of(cls, table: Tensor) -> "SparseTable":
        """Store a table (N, K) in which most is zero."""
        kept = table != 0
        dim = table.shape[1]
        columns, counts = kept.nonzero()[:, 1].to(smallest(dim - 1)), kept.sum(1).to(smallest(dim))
        return cls(dim, table[kept], columns, counts)

    @classmethod
    def load(cls, dim: int, state: dict[str, Tensor]) -> "SparseTable":
        """Return the table of K columns whose state_dict this is."""
        return cls(dim, state["values"], state["columns"], state["counts"])

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (..., K) of ids (...)."""
        flat = ids.reshape(-1)
        if flat.device.type == "cpu":
            vectors = self.values.new_empty(len(flat) * self.dim)
            stored = (part.numpy() for part in (self.values, self.columns, self.starts, self.counts, flat))
            _rows(*stored, self.dim, vectors.numpy())
            return vectors.view(*ids.shape, self.dim)
        row, place = ragged(self.starts.index_select(0, flat), self.counts.index_select(0, flat).long())
        cells = row * self.dim + self.columns.index_select(0, place)
        vectors = self.values.new_zeros(len(flat) * self.dim).scatter_(0, cells, self.values.index_select(0, place))
        return vectors.view(*ids.shape, self.dim)

    def whole(self) -> Tensor:
        """Return the vectors (N, K) of all ids."""
        return self(torch.arange(len(self.counts), device=self.counts.device))


class BlockTable(nn.Module):
    """A dense table for each of L blocks of features, as wide as its rows need.

    Buffers: `block` (N,) the block of each feature, `rows_b` (N_b, K_b) the entries of block b in the order of its
    features, `columns_b` (K_b,) where they stand in a vector.
    """

    def __init__(self, dim: int, block: Tensor, blocks: list[tuple[Tensor, Tensor]]):
        super().__init__()
        self.dim, self.number = dim, len(blocks)
        self.register_buffer("block", block)
        for number, (rows, columns) in enumerate(blocks):
            self.register_buffer(f"rows_{number}", rows)
            self.register_buffer(f"columns_{number}", columns)
        place = torch.empty(len(block), dtype=torch.long)
        for number in range(len(blocks)):
            own = (block == number).nonzero()[:, 0]
            place[own] = torch.arange(len(own))
        self.register_buffer("place", place.int(), persistent=False)

    @classmethod
    def of(cls, table: Tensor, block: Tensor) -> "BlockTable":
        """Store a table (N, K); a column that is zero in all rows of a block is left out there."""
        blocks = []
        for number in range(int(block.max()) + 1):
            rows = table[block == number]
            columns = (rows != 0).any(0).nonzero()[:, 0]
            blocks.append((rows[:, columns].contiguous(), columns.to(smallest(table.shape[1] - 1))))
        return cls(table.shape[1], block.to(smallest(int(block.max()))), blocks)

    @classmethod
    def load(cls, dim: int, state: dict[str, Tensor]) -> "BlockTable":
        """Return the table of K columns whose state_dict this is."""
        number = int(state["block"].max()) + 1
        return cls(dim, state["block"], [(state[f"rows_{b}"], state[f"columns_{b}"]) for b in range(number)])

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (..., K) of ids (...)."""
        vectors = self.rows_0.new_zeros(ids.numel(), self.dim)
        block, place = self.block.index_select(0, ids.reshape(-1)), self.place.index_select(0, ids.reshape(-1))
        for number in range(self.number):
            rows, columns = getattr(self, f"rows_{number}"), getattr(self, f"columns_{number}").long()
            own = (block == number).nonzero()[:, 0]
            vectors[own[:, None], columns] = rows.index_select(0, place.index_select(0, own))
        return vectors.view(*ids.shape, self.dim)

    def whole(self) -> Tensor:
        """Return the vectors (N, K) of all ids."""
        return self(torch.arange(len(self.block), device=self.block.device))


@njit(cache=True)
def _rows(values, columns, starts, counts, ids, dim, vectors):
    """Fill the vectors (B K) of ids (B,) in one pass over memory; unsigned places cannot count from the end."""
    for row in range(len(ids)):
        if not 0 <= ids[row] < len(counts):
            raise IndexError("an id lies outside the table")
        first, start = np.uintp(row * dim), np.uintp(starts[ids[row]])
        for column in range(np.uintp(dim)):
            vectors[first + column] = 0
        for place in range(start, start + np.uintp(counts[ids[row]])):
            vectors[first + np.uintp(columns[place])] = values[place]


def ragged(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return for lists that lie end to end, B of them with a start and a length each: row (m,) below B, place (m,)."""
    ends = counts.cumsum(0)
    row = torch.repeat_interleave(counts, output_size=int(ends[-1]) if len(ends) else 0)
    return row, torch.arange(len(row), device=row.device) + (starts - ends + counts).index_select(0, row)


def parameters(table: nn.Module) -> int:
    """Return how many entries a stored table holds, those kept as zero in a dense block included."""
    return sum(value.numel() for name, value in table.named_buffers() if name == "values" or name.startswith("rows"))


def memory(table: nn.Module) -> int:
    """Return the bytes that a stored table takes in memory."""
    return sum(value.numel() * value.element_size() for value in table.buffers())
