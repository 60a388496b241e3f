"""DCCF: its loss and gradient are those of plain loops over the paper's equations; RP3β by hand."""

import math

import numpy as np
import pytest
import torch

from latent_factors import models
from latent_factors.data.histories import Histories
from latent_factors.models import Inputs
from latent_factors.models.graph import Graph
from latent_factors.models.losses import info_nce, unit
from latent_factors.models.masks import Edges
from latent_factors.sections import DCCF, RP3Beta

EDGES = [(0, 5), (0, 6), (1, 5), (1, 7), (2, 6), (3, 6), (3, 7), (3, 8)]  # user 4 and item 9 stand for the unseen
IDS = torch.tensor([[0, 1, 3, 0, 3], [5, 7, 6, 6, 8], [7, 6, 5, 8, 5]])
USERS, NUMBER = 5, 10
POINT = {
    "dim": 3, "layers": 2, "intents": 4, "contrast": 0.3, "temperature": 0.4, "l2_intents": 0.1, "learning_rate": 0.01,
    "l2": 0.0, "l2_power": 0.0, "batch_size": 5, "epochs": 1, "patience": 1,
}
VIEWS = ("local", "intent", "local_mask", "intent_mask")
SWITCHES = [
    (), ("local",), ("intent",), ("local_mask", "intent_mask"), ("intent", "intent_mask"), ("local", "local_mask"),
    VIEWS,
]  # the views that are left out


def inputs() -> Inputs:
    users, items = torch.tensor(EDGES).T
    history = Histories.of(users, items - USERS, USERS, 4)
    return Inputs(
        number=NUMBER, fields=2, unseen=torch.tensor([4, 9]), mean=0.0, items=torch.arange(5, 9), history=history
    )


def model(without: tuple[str, ...] = (), **changes) -> torch.nn.Module:
    """Four users and four items that are known, in double precision and with vectors of length about 1."""
    torch.manual_seed(0)
    settings = DCCF(**POINT | changes | {view: view not in without for view in VIEWS})
    made = models.build("dccf", settings, inputs()).double()
    torch.nn.init.normal_(made.embedding.weight)
    return made


def cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x * y).sum() / (x.square().sum().sqrt() * y.square().sum().sqrt())


def by_loops(one: torch.nn.Module, without: tuple[str, ...]) -> torch.Tensor:
    """The loss, one row, edge and pair at a time."""
    neighbours = {row: [b if a == row else a for a, b in EDGES if row in (a, b)] for row in range(NUMBER)}
    layer = list(one.embedding.weight)
    zero = torch.zeros_like(layer[0])
    total, contrast = layer, 0.0
    for _ in range(POINT["layers"]):
        views = {}
        views["local"] = [
            sum((layer[n] / (len(neighbours[row]) * len(neighbours[n])) ** 0.5 for n in neighbours[row]), zero)
            for row in range(NUMBER)
        ]
        if hasattr(one, "prototypes"):
            views["intent"] = []
            for row in range(NUMBER):
                prototypes = one.prototypes[int(row >= USERS)].T
                powers = [(layer[row] @ c).exp() for c in prototypes]
                views["intent"].append(sum(p * c for p, c in zip(powers, prototypes, strict=True)) / sum(powers))
        for source in list(views):
            mask = {
                (row, n): (cosine(views[source][row], views[source][n]) + 1) / 2
                for row in range(NUMBER) for n in neighbours[row]
            }
            views[f"{source}_mask"] = [
                sum((mask[row, n] * layer[n] for n in neighbours[row]), zero)
                / max(1e-12, sum(mask[row, n] for n in neighbours[row]))
                for row in range(NUMBER)
            ]
        kept = [views[name] for name in VIEWS if name in views and name not in without]
        for side in IDS[:2].tolist() if kept else []:
            different = sorted(set(side))
            for view in kept[1:]:
                for row in different:
                    near = [(cosine(kept[0][row], view[n]) / POINT["temperature"]).exp() for n in different]
                    contrast -= (near[different.index(row)] / sum(near)).log() / len(different)
        layer = [sum((view[row] for view in kept), layer[row]) for row in range(NUMBER)]
        total = [a + b for a, b in zip(total, layer, strict=True)]
    leads = [total[user] @ total[item] - total[user] @ total[other] for user, item, other in IDS.T.tolist()]
    return sum((1 + (-lead).exp()).log() for lead in leads) / len(leads) + POINT["contrast"] * contrast


@pytest.mark.parametrize("without", SWITCHES)
def test_the_loss_and_its_gradient_are_those_of_the_equations(without):
    one = model(without)
    value, expected = one.loss(IDS), by_loops(one, without)
    near = {"atol": 1e-6, "rtol": 1e-5}  # the weights of the graph are float32
    torch.testing.assert_close(value, expected, **near)
    weights = list(one.parameters())
    torch.testing.assert_close(torch.autograd.grad(value, weights), torch.autograd.grad(expected, weights), **near)


def test_without_views_what_is_left_is_bpr_of_the_table():
    one = model(VIEWS)
    torch.testing.assert_close(one.table(), 3 * one.embedding.weight)
    assert not hasattr(one, "prototypes")


def test_the_prototypes_are_penalised():
    one = model()
    (table, own), (prototypes, weight) = one.penalties(torch.ones(NUMBER))
    assert table is one.embedding.weight
    assert own.tolist() == [[0.0]] * NUMBER
    assert prototypes is one.prototypes
    assert weight.item() == pytest.approx(POINT["l2_intents"])


def test_a_masked_mean_by_hand():
    """User 0 has items at cosines 1 and 0: they weigh 1 and ½. Who has no edge gets zeros."""
    given = inputs()
    edges = Edges.of(given.history, Graph.of(given.history, USERS, NUMBER))
    x = torch.zeros(NUMBER, 2, dtype=torch.double)
    x[:, 0] = 1
    x[6] = torch.tensor([0.0, 1.0])
    vectors = torch.arange(NUMBER, dtype=torch.double)[:, None] * torch.ones(2)
    smooth = edges.smooth(vectors, x)
    assert smooth[0].tolist() == pytest.approx([(5 + 0.5 * 6) / 1.5] * 2)
    assert smooth[7].tolist() == pytest.approx([(1 + 3) / 2] * 2)
    assert smooth[[4, 9]].eq(0).all()


def test_gradients_of_the_parts():
    given = inputs()
    edges = Edges.of(given.history, Graph.of(given.history, USERS, NUMBER))
    generator = torch.Generator().manual_seed(0)
    vectors, x = (
        torch.randn(NUMBER, 3, generator=generator, dtype=torch.double, requires_grad=True) for _ in range(2)
    )
    assert torch.autograd.gradcheck(lambda *own: edges.smooth(*own)[[0, 1, 2, 3, 5, 6, 7, 8]], (vectors, x))
    assert torch.autograd.gradcheck(unit, (x,))
    assert torch.autograd.gradcheck(lambda *own: info_nce(*own, 0.3), (vectors, x))


def test_info_nce_at_its_ends():
    point = torch.eye(40)
    assert info_nce(point[:1], point[:1], 0.5).item() == pytest.approx(0, abs=1e-6)  # no negatives
    assert info_nce(point, point[:1].expand(40, 40), 0.5).item() == pytest.approx(math.log(40))  # all views alike
    assert info_nce(point, point, 0.5).item() == pytest.approx(math.log(1 + 39 * math.exp(-2)))


def test_rp3beta_by_hand():
    """Three users: {0, 1}, {0, 1, 2}, {0, 2, 3}; two neighbours, α = 1, β = ½."""
    history = Histories.of(torch.tensor([0, 0, 1, 1, 1, 2, 2, 2]), torch.tensor([0, 1, 0, 1, 2, 0, 2, 3]), 3, 4)
    given = Inputs(8, 2, torch.tensor([]), 0.0, items=torch.arange(4, 8), history=history)
    own = models.build("rp3beta", RP3Beta(neighbours=2, alpha=1.0, beta=0.5), given)
    with torch.no_grad():
        own.sweep()
        scores = own.scorer()(torch.tensor([0]))
    w = lambda start, shares, popularity: sum(shares) / start / np.sqrt(popularity)  # noqa: E731
    # from item 0: to 1 by users of 2 and of 3 items, to 2 by two users of 3 items; to 3 by one, left out
    # from item 1: to 0 by users of 2 and of 3 items, to 2 by a user of 3 items
    expected = [w(2, [1 / 2, 1 / 3], 3), w(3, [1 / 2, 1 / 3], 2), w(3, [1 / 3, 1 / 3], 2) + w(2, [1 / 3], 2), 0]
    assert scores[0].tolist() == pytest.approx(expected)
