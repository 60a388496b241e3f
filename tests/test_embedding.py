"""The table: lookups have the gradients of the plain operations, twice too."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from latent_factors.embedding import NARROW, UniformTable, add_gradients, look_up

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


def test_a_lookup_of_single_numbers_too():
    weight = table()[:, :1].detach().requires_grad_()
    assert torch.equal(look_up(weight, IDS), F.embedding(IDS, weight))
    assert gradcheck(lambda one: look_up(one, IDS) ** 2, (weight,))
    assert gradgradcheck(lambda one: (look_up(one, IDS) ** 3).sum(), (weight,))


@pytest.mark.parametrize("width", [1, 2, NARROW - 1, NARROW])
def test_the_gradient_that_needs_no_derivative_is_the_one_that_has_one(width):
    generator = torch.Generator().manual_seed(width)
    weight = torch.randn(6, width, generator=generator).requires_grad_()
    plain, differentiable = (
        torch.autograd.grad((look_up(weight, IDS) ** 3).sum(), weight, create_graph=twice)[0] for twice in (False, True)
    )
    torch.testing.assert_close(plain, differentiable)
    assert plain.dtype == weight.dtype and not plain[5].any()


@pytest.mark.parametrize("width", [1, 2, NARROW])
def test_a_lookup_of_nothing_has_a_gradient_of_zeros(width):
    weight = torch.ones(6, width).requires_grad_()
    look_up(weight, torch.empty(0, dtype=torch.long)).sum().backward()
    assert torch.equal(weight.grad, torch.zeros(6, width))


def test_the_gradient_of_a_penalty_is_added():
    torch.manual_seed(0)
    module, w = UniformTable(6, 3, torch.tensor([4])), torch.rand(6)
    (module.weight**3).sum().backward()
    add_gradients(module.penalties(w))
    theirs = torch.autograd.grad((module.weight**3).sum() + (w * module.weight.square().sum(1)).sum(), module.weight)
    torch.testing.assert_close(module.weight.grad, theirs[0])


def test_rows_of_unseen_ids_are_zero():
    torch.manual_seed(0)
    module = UniformTable(5, 4, torch.tensor([1, 4]))
    assert not module(torch.tensor([1, 4])).any()
    assert module(torch.tensor([0, 2, 3])).all()
