"""DirectAU: its loss and gradient are those of plain loops over the paper's equations."""

import math

import pytest
import torch

from latent_factors import models
from latent_factors.data.histories import Histories
from latent_factors.models import Inputs
from latent_factors.models.losses import alignment, uniformity
from latent_factors.sections import DirectAU

IDS = torch.tensor([[0, 1, 2, 0, 3], [5, 4, 6, 6, 5]])  # user 0 and items 5 and 6 stand there twice
POINT = {
    "dim": 3, "learning_rate": 0.01, "l2": 0.0, "l2_power": 0.0, "batch_size": 5, "epochs": 1, "patience": 1,
    "gamma": 0.7,
}


def model(**settings) -> torch.nn.Module:
    """Four users, four items, in double precision."""
    torch.manual_seed(0)
    users, items = IDS[0], IDS[1] - 4
    history = Histories.of(users, items, 4, 4)
    inputs = Inputs(number=8, fields=2, unseen=torch.tensor([], dtype=torch.long), mean=0.0,
                    items=torch.arange(4, 8), history=history)
    return models.build("directau", DirectAU(**POINT, **settings), inputs).double()


def by_loops(vectors: torch.Tensor, distinct: bool) -> torch.Tensor:
    """Alignment and uniformity, one pair at a time, of the encoder's vectors (8, K)."""
    unit = [vector / sum(x * x for x in vector).sqrt() for vector in vectors]

    def distance(one: int, other: int) -> torch.Tensor:
        return sum((x - y) ** 2 for x, y in zip(unit[one], unit[other], strict=True))

    align = sum(distance(user, item) for user, item in IDS.T.tolist()) / IDS.shape[1]
    uniform = []
    for side in IDS.tolist():
        side = sorted(set(side)) if distinct else side
        pairs = [(one, other) for place, one in enumerate(side) for other in side[:place]]
        uniform.append((sum((-2 * distance(*pair)).exp() for pair in pairs) / len(pairs)).log())
    return align + POINT["gamma"] * (uniform[0] + uniform[1]) / 2


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("distinct", [False, True])
def test_the_loss_and_its_gradient_are_those_of_the_equations(layers, distinct):
    one = model(layers=layers, distinct=distinct, cosine=False)
    value, expected = one.loss(IDS), by_loops(one.table(), distinct)
    torch.testing.assert_close(value, expected)
    weight = one.embedding.weight
    torch.testing.assert_close(torch.autograd.grad(value, weight), torch.autograd.grad(expected, weight))


def test_scores_are_products_or_cosines():
    users = torch.arange(4)
    plain, cosine = (model(layers=0, distinct=False, cosine=cosine) for cosine in (False, True))
    with torch.no_grad():
        vectors = plain.embedding.weight
        product = vectors[:4] @ vectors[4:].T
        length = vectors.norm(dim=1)
        torch.testing.assert_close(plain.scorer()(users), product)
        torch.testing.assert_close(cosine.scorer()(users), product / length[:4, None] / length[4:])


def test_the_two_quantities_at_their_ends():
    point = torch.eye(4)
    assert alignment(point, point) == 0
    assert alignment(point, -point) == 4
    assert uniformity(point[:1].expand(7, 4)).item() == pytest.approx(0, abs=1e-6)  # all in one place
    assert uniformity(torch.stack([point[0], -point[0]])).item() == pytest.approx(-8, abs=1e-3)  # at opposite poles
    assert uniformity(point).item() == pytest.approx(math.log(math.exp(-4)))  # at right angles
    assert uniformity(point[:1]) == 0  # no pairs
    assert uniformity(point[:1], torch.tensor([7])).item() == pytest.approx(0, abs=1e-6)


def test_counts_are_as_good_as_copies():
    generator = torch.Generator().manual_seed(0)
    unit = torch.nn.functional.normalize(torch.randn(5, 3, dtype=torch.double, generator=generator), dim=1)
    counts = torch.tensor([1, 4, 2, 1, 3])
    torch.testing.assert_close(uniformity(unit, counts), uniformity(unit.repeat_interleave(counts, 0)))
