"""Stored tables give the vectors of the table they were made of, and take the room they say."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from latent_factors.search.blocks import frequency_blocks
from latent_factors.search.prune import keep_largest
from latent_factors.sized import BlockTable, SparseTable, memory, parameters

BLOCK = frequency_blocks(torch.arange(500.0, 0, -1), 5)


def pruned(rate: float, number: int = 500, dim: int = 64) -> torch.Tensor:
    """Return a table whose rows fade from the first to the last, pruned."""
    torch.manual_seed(0)
    table = torch.randn(number, dim) * torch.linspace(3, 0.1, number)[:, None]
    return table * keep_largest(table, rate)


@pytest.mark.parametrize("store", [SparseTable.of, lambda table: BlockTable.of(table, BLOCK)])
@pytest.mark.parametrize("rate", [0.0, 0.5, 0.95])
def test_vectors_are_those_of_the_table(store, rate):
    table = pruned(rate)
    stored = store(table)
    ids = torch.tensor([[0, 499, 0], [250, 3, 77]])
    assert torch.equal(stored(ids), table[ids])
    assert torch.equal(stored(torch.arange(500)), table)
    assert stored(ids[:0]).shape == (0, 3, 64)


@pytest.mark.parametrize("id_", [-1, 500])
def test_an_id_outside_the_table_is_refused(id_):
    with pytest.raises(IndexError):
        SparseTable.of(pruned(0.5))(torch.tensor([3, id_]))


def test_a_file_gives_the_same_vectors(tmp_path):
    table = pruned(0.9)
    for stored in (SparseTable.of(table), BlockTable.of(table, BLOCK)):
        save_file(stored.state_dict(), tmp_path / "table.safetensors")
        again = type(stored).load(64, load_file(tmp_path / "table.safetensors"))
        assert torch.equal(again(torch.arange(500)), table)


def test_a_block_is_as_wide_as_its_rows_need():
    table = torch.zeros(4, 3)
    table[0, 1], table[1, 2], table[2, 0] = 1, 2, 3
    stored = BlockTable.of(table, torch.tensor([0, 0, 1, 1]))
    assert stored.columns_0.tolist() == [1, 2]
    assert stored.rows_0.tolist() == [[1, 0], [0, 2]]
    assert stored.columns_1.tolist() == [0]
    assert parameters(stored) == 4 + 2
    assert parameters(SparseTable.of(table)) == 3


def test_a_twentieth_of_the_entries_takes_less_than_a_tenth_of_the_bytes(tmp_path):
    table = pruned(0.95, number=5000)
    stored = SparseTable.of(table)
    save_file(stored.state_dict(), tmp_path / "table.safetensors")
    dense = table.numel() * table.element_size()
    assert (tmp_path / "table.safetensors").stat().st_size < dense / 10
    assert memory(stored) < dense / 10
