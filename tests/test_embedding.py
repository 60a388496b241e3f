"""The table: lookups and penalties have the gradients of the plain operations, twice too."""

import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from latent_factors.embedding import UniformTable, look_up, weighted_squares

IDS = torch.tensor([[[0, 3], [3, 3]], [[1, 0], [4, 2]]])


def table() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, dtype=torch.double, generator=generator).requires_grad_()


def test_a_lookup_is_that_of_torch():
    weight = table()
    assert torch.equal(look_up(weight, IDS), F.embedding(IDS, weight))
    theirs = torch.autograd.grad((F.embedding(IDS, weight) ** 3).sum(), weight)[0]
    torch.testing.assert_close(torch.autograd.grad((look_up(weight, IDS) ** 3).sum(), weight)[0], theirs)
    assert gradgradcheck(lambda one: (look_up(one, IDS) ** 3).sum(), (weight,))


def test_the_penalty_is_a_weighted_sum_of_squares():
    weight, w = table(), torch.rand(6, dtype=torch.double)
    torch.testing.assert_close(weighted_squares(weight, w), (w * weight.square().sum(1)).sum())
    assert gradcheck(lambda one: weighted_squares(one, w), (weight,))
    assert gradgradcheck(lambda one: weighted_squares(one, w), (weight,))


def test_rows_of_unseen_ids_are_zero():
    torch.manual_seed(0)
    module = UniformTable(5, 4, torch.tensor([1, 4]))
    assert not module(torch.tensor([1, 4])).any()
    assert module(torch.tensor([0, 2, 3])).all()
