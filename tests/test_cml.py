"""Metric learning: its loss and gradient are those of plain loops over its equations, and it stays in its ball."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from latent_factors import models
from latent_factors.data.attributes import Attributes, Side
from latent_factors.data.histories import Histories
from latent_factors.fit import Adam
from latent_factors.models import Inputs, impostors
from latent_factors.models.losses import covariance
from latent_factors.sections import CML, CMLContent, CMLFeatures

IDS = torch.tensor([  # users, items, then three negatives each; id 4 is the unknown user, 11 the unknown item
    [0, 1, 2, 0, 3], [6, 5, 7, 5, 9], [8, 7, 6, 9, 10], [10, 10, 9, 8, 5], [7, 6, 10, 10, 8],
])
POINT = {
    "dim": 3, "margin": 0.4, "covariance": 0.7, "negatives": 3, "learning_rate": 0.01, "batch_size": 5, "epochs": 1,
    "patience": 1,
}
CONTENT = {"genres": torch.eye(6)[:, :4], "words": torch.eye(6)[:, 1:3], "year": torch.linspace(-1, 1, 6)[:, None]}
INPUTS = Inputs(number=12, fields=2, unseen=torch.tensor([4, 11]), mean=0.0, items=torch.arange(5, 11), content=CONTENT)


def model(name: str = "cml", scale: float = 5.0, **settings) -> torch.nn.Module:
    """Four users and six items in double precision, so far apart that some are impostors and some are not."""
    torch.manual_seed(0)
    if name == "cml":
        one = models.build("cml", CML(**POINT | settings), INPUTS)
    else:
        tower = {"hidden": 4, "l2": 0.1, "words": 0.5, "year": 0.3, "pull": 0.6}
        one = models.build(name, CMLContent(**POINT | tower | settings), INPUTS)
    with torch.no_grad():
        one.embedding.weight.mul_(scale)
    return one.double()


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return sum((x - y) ** 2 for x, y in zip(one, other, strict=True))


def by_loops(points: torch.Tensor) -> torch.Tensor:
    """The loss over points (12, K), one event and one pair of coordinates at a time."""
    total = 0
    for user, item, *others in IDS.T.tolist():
        own = distance(points[user], points[item])
        away = [distance(points[user], points[other]) for other in others]
        rank = 6 * sum(POINT["margin"] + own - far > 0 for far in away) / 3
        total = total + math.log(rank + 1) * max(POINT["margin"] + own - min(away), 0)
    known = [points[row] for row in range(12) if row not in (4, 11)]
    mean = sum(known) / 10
    off = 0
    for k in range(3):
        for other in range(3):
            cell = sum((point[k] - mean[k]) * (point[other] - mean[other]) for point in known) / 10
            off = off + (cell**2 if k != other else 0)
    return total / 5 + POINT["covariance"] * off


@pytest.mark.parametrize("name", ["cml", "cml_tower", "cml_content"])
def test_the_loss_and_its_gradient_are_those_of_the_equations(name):
    one = model(name)
    value, expected = one.loss(IDS), by_loops(one.points())
    torch.testing.assert_close(value, expected)
    weights = list(one.parameters())
    torch.testing.assert_close(torch.autograd.grad(value, weights), torch.autograd.grad(expected, weights))


def test_a_rank_by_hand():
    """One user, on a line: the item at 0.5, negatives at 0.4, 0.6 and −0.9 of six items; margin 0.2."""
    one = model(dim=1, margin=0.2, covariance=0.0)
    with torch.no_grad():
        one.embedding.weight[:] = 0
        one.embedding.weight[5:9, 0] = torch.tensor([0.5, 0.4, 0.6, -0.9])
    # 0.2 + 0.25 − (0.16, 0.36, 0.81): two of three are impostors, so the rank is 6 · 2/3; the closest is at 0.4
    loss = one.loss(torch.tensor([[0], [5], [6], [7], [8]]))
    assert loss.item() == pytest.approx(math.log(5) * 0.29)


def test_the_closest_impostor_is_found_on_every_device():
    points = model().points().detach()
    plain, products = (way(points, IDS, 0.4) for way in (impostors._on_processor, impostors._by_products))
    torch.testing.assert_close(plain, products)
    assert 0 < plain[1].mean() < 1
    with pytest.raises(IndexError):
        impostors.closest(points, IDS + 8, 0.4)


def test_coordinates_that_go_together_and_against_each_other_do_not_make_up_for_it():
    """C_12 = c and C_13 = −c: the published code's signed sum is zero."""
    points = torch.tensor([[1.0, 1, -1], [-1, -1, 1], [1, 1, -1], [-1, -1, 1], [0, 1, 1], [0, -1, -1]])
    cells = torch.cov(points.T, correction=0)
    assert cells[0, 1] == -cells[0, 2] != 0
    assert covariance(points).item() == pytest.approx(2 * cells.triu(1).square().sum().item())
    assert covariance(torch.eye(4) - torch.eye(4).flip(0)) > 0
    assert covariance(torch.diag(torch.arange(3.0))[:1].expand(5, 3)) == 0


def test_scores_are_negative_squared_distances():
    one = model()
    with torch.no_grad():
        scores = one.scorer()(torch.arange(5))
        expected = -torch.cdist(one.embedding.weight[:5], one.embedding.weight[5:11]).square()
    torch.testing.assert_close(scores, expected)
    assert scores.max() < 0


def test_after_every_step_all_points_lie_in_the_ball():
    one = model(scale=20.0).float()
    inner = one.embedding.weight.norm(dim=1) <= 1
    before = one.embedding.weight.detach().clone()
    one.project()
    assert torch.equal(one.embedding.weight[inner], before[inner])
    directions = torch.nn.functional.cosine_similarity(one.embedding.weight, before)
    torch.testing.assert_close(directions[[0, 1, 2, 3]], torch.ones(4))
    task = SimpleNamespace(frequency=torch.ones(12), size=5, loss=lambda model, ids: model.loss(ids))
    trainer = Adam("made.cml", one, task, CML(**POINT | {"learning_rate": 0.5}), seed=0)
    moved = []
    for _ in range(5):
        trainer.step(IDS)
        lengths = one.embedding.weight.norm(dim=1)
        assert lengths.max() < 1 + 1e-6
        moved.append(lengths)
    assert any((lengths > 1 - 1e-6).any() for lengths in moved)
    assert not one.embedding.weight[[4, 11]].any()  # who was never seen stays in the middle


def test_a_tower_places_items_by_content_and_an_offset_moves_seen_ones():
    tower, offset = model("cml_tower"), model("cml_content")
    with torch.no_grad():
        x = torch.cat([CONTENT["genres"], 0.5 * CONTENT["words"], 0.3 * CONTENT["year"]], 1).double()
        placed = tower.tower[2](tower.tower[0](x).relu())
        placed = placed / placed.norm(dim=1, keepdim=True).clamp(min=1)
        torch.testing.assert_close(tower.points()[5:11], placed)
        double = {name: block.double() for name, block in CONTENT.items()}
        for one in (tower, offset):
            users = torch.arange(4)
            expected = -torch.cdist(one.points()[:4], placed).square()
            torch.testing.assert_close(one.newcomers(double)(users), expected)
        assert not torch.allclose(offset.points()[5:11], placed)
        assert offset.points().norm(dim=1)[5:11].max() <= 1 + 1e-9
        offset.embedding.weight[5:11] = 0
        torch.testing.assert_close(offset.points()[5:11], placed)


def test_the_feature_loss_pulls_offsets_alone():
    one = model("cml_content")
    weight = torch.arange(12.0).double()
    (table, pull), *network = one.penalties(weight)
    assert table is one.embedding.weight
    assert pull[:, 0].tolist() == [0.0] * 5 + (0.6 * weight[5:11]).tolist() + [0.0]
    assert [value.item() for _, value in network] == [0.1, 0.1]


NONE = torch.empty(0, dtype=torch.long)
HELD = [[1, 3], [2], [], [1, 2, 3], [3], []]  # of six items; 4 stands for none


def features(**settings) -> torch.nn.Module:
    """CML with features in double precision, and attributes whose first value no item holds."""
    ids = torch.tensor([own + [4] * (3 - len(own)) for own in [*HELD, []]])
    side = Side(("tags",), ids, torch.zeros(3, dtype=torch.long), torch.tensor([4]))
    nobody = Side((), NONE.expand(7, 0), NONE, NONE)
    inputs = replace(INPUTS, attributes={2: Attributes(nobody, side, torch.ones(5))}.get)
    point = POINT | {"hidden": 4, "dropout": 0.25, "min_count": 2, "pull": 0.6, "drawn": 5} | settings
    torch.manual_seed(0)
    one = models.build("cml_features", CMLFeatures(**point), inputs).double()
    with torch.no_grad():
        one.embedding.weight.mul_(5.0)
        one.bias.normal_()
    return one


def test_the_feature_loss_and_its_gradient_are_those_of_plain_loops():
    one = features()
    items = torch.tensor([3, 0, 2, 3, 5])  # two without a value, one drawn twice
    kept = torch.rand(5, 4, generator=torch.Generator().manual_seed(1)) < 0.7
    expected = by_loops(one.points())
    for item, passes in zip(items.tolist(), kept.tolist(), strict=True):
        hidden = one.bias + sum((one.first[value] / math.sqrt(len(HELD[item])) for value in HELD[item]), torch.zeros(4))
        hidden = torch.stack([unit.relu() / 0.75 * keep for unit, keep in zip(hidden, passes, strict=True)])
        placed = one.last.weight @ hidden + one.last.bias
        expected = expected + 0.6 * distance(one.embedding.weight[5 + item], placed) / 5
    value, weights = one.loss(IDS, items, kept), list(one.parameters())
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, weights), torch.autograd.grad(expected, weights))


def test_items_are_drawn_uniformly_and_hidden_units_dropped():
    one = features(drawn=6000)
    items, kept = one.draw(torch.Generator().manual_seed(0))
    assert items.bincount(minlength=6).float().div(1000).sub(1).abs().max() < 0.1
    assert kept.double().mean().item() == pytest.approx(0.75, abs=0.01)


def test_features_tell_rare_items_apart():
    """Twelve items in two groups by tag, of which four have one event: with tags they stand among their own."""
    groups = [[item for item in range(12) if item % 2 == side] for side in (0, 1)]
    pairs = [(user, item) for user in range(20) for item in groups[user % 2][:4]]
    pairs += [(0, 8), (2, 10), (1, 9), (3, 11)]
    users, items = torch.tensor(pairs).T
    ids = torch.tensor([[1 + item % 2] for item in range(12)] + [[0]])
    side = Side(("tags",), ids, torch.zeros(1, dtype=torch.long), torch.tensor([0]))
    nobody = Side((), NONE.expand(22, 0), NONE, NONE)
    inputs = Inputs(
        number=34, fields=2, unseen=torch.tensor([20, 33]), mean=0.0, items=torch.arange(21, 33),
        attributes=lambda least: Attributes(nobody, side, torch.ones(3)),
    )
    history = Histories.of(users, items, 21, 12)
    found = {}
    for pull in (0.0, 3.0):
        point = CMLFeatures(**POINT | {"dim": 4, "covariance": 0.0, "learning_rate": 0.02}, hidden=8, dropout=0.0,
                            min_count=1, pull=pull, drawn=12)
        torch.manual_seed(0)
        one = models.build("cml_features", point, inputs)
        task = SimpleNamespace(frequency=torch.ones(34), size=len(users), loss=lambda model, *batch: model.loss(*batch))
        trainer, generator = Adam("made", one, task, point, seed=0), torch.Generator().manual_seed(0)
        for _ in range(150):
            drawn = history.others(users.expand(3, -1), generator)
            trainer.step(torch.cat([users[None], items[None] + 21, drawn + 21]), *one.draw(generator))
        scores = one.scorer()(torch.arange(4, 20))[:, 8:]  # who has none of the rare
        own = (torch.arange(4, 20)[:, None] - torch.arange(8, 12)) % 2 == 0
        found[pull] = (scores[own] > scores[~own].max()).double().mean().item()
    assert found[3.0] == 1 > found[0.0]
