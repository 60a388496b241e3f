"""The top-k task and what every recommender must do."""

import functools
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from conftest import examples, write_inter
from latent_factors import models
from latent_factors.data.atomic import write_atomic
from latent_factors.data.histories import Histories
from latent_factors.embedding import SoftSelection, UniformTable
from latent_factors.errors import UserError
from latent_factors.fit import fit, fit_run
from latent_factors.models import ease, losses, neighbours
from latent_factors.models.graph import Graph
from latent_factors.models.pairs import leads
from latent_factors.paths import root
from latent_factors.ranking import ndcg
from latent_factors.sections import (
    BPR,
    CML,
    DCCF,
    EASE,
    IALS,
    CMLFeatures,
    DirectAU,
    ImplicitNeuMF,
    ItemKNN,
    LightGCN,
    Popular,
    Ranking,
    RP3Beta,
    Split,
    Towers,
    TowersSSL,
)
from latent_factors.tasks import rating, topk

CPU = torch.device("cpu")
GRADIENT = {"learning_rate": 0.03, "l2": 0.001, "l2_power": 0.5, "batch_size": 128, "epochs": 30, "patience": 10}
TOWERS = {"dim": 8, "hidden": [16, 8], "min_count": 2, "temperature": 0.2, "log_q": True}
SETTINGS = {
    "popular": Popular(),
    "itemknn": ItemKNN(neighbours=5, shrinkage=0.0),
    "rp3beta": RP3Beta(neighbours=15, alpha=1.0, beta=0.5),
    "ease": EASE(l2=1.0),
    "ials": IALS(dim=8, l2=0.1, alpha=5.0, epochs=10, patience=10),
    "bpr": BPR(dim=8, **GRADIENT),
    "neumf_implicit": ImplicitNeuMF(dim=8, negatives=4, **GRADIENT),
    "lightgcn": LightGCN(dim=8, layers=2, **GRADIENT),
    "directau": DirectAU(dim=8, layers=0, gamma=0.2, distinct=False, cosine=False, **GRADIENT),
    "dccf": DCCF(
        dim=8, layers=2, intents=4, contrast=0.01, temperature=0.5, l2_intents=0.001, local=True, intent=True,
        local_mask=True, intent_mask=True, **GRADIENT,
    ),
    "cml": CML(
        dim=8, margin=0.5, covariance=1.0, negatives=10, learning_rate=0.03, batch_size=128, epochs=30, patience=10
    ),
    "cml_features": CMLFeatures(
        dim=8, margin=0.5, covariance=1.0, negatives=10, learning_rate=0.03, batch_size=128, epochs=30, patience=10,
        hidden=8, dropout=0.3, min_count=2, pull=0.1, drawn=16,
    ),
    "towers": Towers(**TOWERS, **GRADIENT),
    "towers_ssl": TowersSSL(
        **TOWERS, **GRADIENT, alpha=0.1, ssl_temperature=0.5, ssl_batch=16, ssl_draw="uniform", pattern="cfm",
        dropout=0.2,
    ),
}
RANDOM = Split(kind="random-by-user", validation=0.1, test=0.1, seed=1)


def prepared(settings, table: pd.DataFrame, split: Split = RANDOM, cutoffs=(5, 10)) -> topk.TopKTask:
    path = write_inter(root(), "made", table)
    items = pd.DataFrame({"item_id": table["item_id"].unique()})
    items["class"] = np.where(items.index % 4 < 2, "Drama", "Comedy War")  # tells nothing of a colour
    write_atomic(items, {"item_id": "token", "class": "token_seq"}, path.with_suffix(".item"))
    return topk.prepare("made", settings.data, Ranking(split=split, cutoffs=list(cutoffs)), CPU)


def events(pairs) -> pd.DataFrame:
    users, items = zip(*pairs, strict=True)
    return pd.DataFrame({
        "user_id": [f"u{u:03}" for u in users], "item_id": [f"i{i:03}" for i in items],
        "timestamp": np.arange(len(users), dtype=float),
    })


@pytest.fixture
def checkerboard(settings):
    """Users like the items of their own colour; a tenth of the cells is validation, a tenth test."""
    size = 40
    return prepared(settings, events([(u, i) for u in range(size) for i in range(size) if (u + i) % 2 == 0]))


def trained(name: str, task, seeds=(1,)):
    point = SETTINGS[name]
    return fit(f"topk.{name}", lambda: models.build(name, point, task.inputs), task, point, list(seeds))


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "popular"])
def test_the_checkerboard_is_completed(checkerboard, name):
    """Every held-out cell of the own colour stands above all cells of the other: nothing else is left."""
    (model,) = trained(name, checkerboard).models
    metrics = checkerboard.measure(checkerboard.outputs(model, "test"), "test")
    assert metrics["ndcg@5"].item() > 0.98
    assert metrics["hit@5"].item() == 1


@pytest.mark.parametrize("name", SETTINGS)
def test_shared(checkerboard, name):
    """Scores have the shape of users by items, are fresh, and do not depend on the order of users."""
    torch.manual_seed(0)
    model = models.build(name, SETTINGS[name], checkerboard.inputs)
    if hasattr(model, "sweep"):
        with torch.no_grad():
            model.sweep()
    with torch.no_grad():
        score, users = model.scorer(), torch.arange(7)
        scores = score(users)
        assert scores.shape == (7, checkerboard.catalogue)
        torch.testing.assert_close(score(users.flip(0)).flip(0), scores)
        stranger = torch.tensor([int(checkerboard.features.starts[1]) - 1])
        assert torch.isfinite(score(stranger)).all()
        again = scores.clone()
        scores.fill_(0)
        torch.testing.assert_close(score(users), again)
        if name == "neumf_implicit":
            pairs = torch.cartesian_prod(users, checkerboard.inputs.items).view(7, -1, 2)
            difference = model(pairs) - again  # a constant of the user may differ
            torch.testing.assert_close(difference, difference[:, :1].expand_as(difference), atol=1e-5, rtol=1e-4)


def test_popular_is_ordered_by_training_events(settings):
    pairs = [(u, i) for u in range(30) for i in range(20) if u >= i]
    task = prepared(settings, events(pairs))
    (model,) = trained("popular", task).models
    assert model.count.tolist() == task.popularity.tolist()
    items, _ = task.recommend(model, "test", 20)
    for user, own in zip(task.persons["test"].tolist(), items.tolist(), strict=True):
        listed = [item for item in own if item >= 0]
        counts = task.popularity[listed].tolist()
        assert counts == sorted(counts, reverse=True)
        before = set(task._before["test"].cells(torch.tensor([user]))[1].tolist())
        assert len(listed) == task.catalogue - len(before)
        assert not before & set(listed)


def test_a_constant_model_scores_as_badly_as_can_be(checkerboard):
    class Constant(torch.nn.Module):
        def scorer(self):
            return lambda users: torch.zeros(len(users), checkerboard.catalogue)

    metrics = checkerboard.measure(checkerboard.outputs(Constant(), "test"), "test")
    assert all(value.item() == 0 for value in metrics.values())


def test_a_user_and_an_item_without_training_events(settings):
    """By time: the last user and the last item come only in the test part."""
    pairs = [(u, i) for i in range(10) for u in range(10)] + [(10, 3), (4, 10)]
    task = prepared(settings, events(pairs), Split(kind="global-time", validation=0.1, test=0.03, seed=0))
    assert task.catalogue == 9  # validation has item 9, test item 10
    assert task.relevant("test").sum() == len(task.parts.test)
    for name in SETTINGS:
        (model,) = trained(name, task).models
        items, hits = task.recommend(model, "test", 12)
        assert items.shape == hits.shape == (len(task.persons["test"]), 12)  # k is larger than the catalogue
        assert items.max() < task.catalogue
        row = task.persons["test"].tolist().index(10)
        assert (items[row] >= 0).sum() == task.catalogue  # a stranger is offered all of it
        row = task.persons["test"].tolist().index(4)
        assert not hits[row].any()  # an item never seen is never recommended
        assert 0 <= task.measure(task.outputs(model, "test"), "test")["ndcg@10"].item() <= 1


def test_what_was_had_before_is_not_recommended_again(checkerboard):
    (model,) = trained("ease", checkerboard).models
    for part, earlier in (("validation", ("train",)), ("test", ("train", "validation"))):
        items, _ = checkerboard.recommend(model, part, 10)
        for row, person in enumerate(checkerboard.persons[part].tolist()):
            before = {
                item for name in earlier
                for item in checkerboard.truths[name].cells(torch.tensor([person]))[1].tolist()
            }
            assert not before & set(items[row].tolist())


def test_metrics_do_not_depend_on_the_size_of_blocks(checkerboard, monkeypatch):
    (model,) = trained("bpr", checkerboard).models
    whole = checkerboard.outputs(model, "test")
    monkeypatch.setattr(topk, "SCORED_CELLS", 100)
    blocks = checkerboard.outputs(model, "test")
    assert all(torch.equal(whole[key], blocks[key]) for key in whole)


def test_metrics_against_plain_loops(checkerboard):
    (model,) = trained("bpr", checkerboard).models
    with torch.no_grad():
        scores = model.scorer()(checkerboard._user)
    total = 0.0
    for person in checkerboard.persons["test"].tolist():
        own = scores[person].clone()
        for part in ("train", "validation"):
            own[checkerboard.truths[part].cells(torch.tensor([person]))[1]] = -torch.inf
        wanted = set(checkerboard.truths["test"].cells(torch.tensor([person]))[1].tolist())
        order = own.argsort(descending=True)[:5].tolist()
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(order) if item in wanted)
        total += gain / sum(1 / np.log2(place + 2) for place in range(min(5, len(wanted))))
    measured = checkerboard.measure(checkerboard.outputs(model, "test"), "test")["ndcg@5"].item()
    assert measured == pytest.approx(total / len(checkerboard.persons["test"]))


def test_negatives_are_uniform_over_what_a_user_has_not():
    users, items = torch.tensor([0, 0, 0, 2, 2]), torch.tensor([4, 0, 1, 5, 2])
    histories = Histories.of(users, items, number=3, catalogue=6)
    assert histories.counts.tolist() == [3, 0, 2]
    assert histories.mask(torch.tensor([2, 1])).tolist() == [[False, False, True, False, False, True], [False] * 6]
    assert histories.among(torch.tensor([2, 0]), torch.tensor([5, 3, 4])).tolist() == [
        [True, False, False], [False, False, True],
    ]
    generator = torch.Generator().manual_seed(0)
    drawn = histories.others(torch.arange(3)[:, None].expand(3, 60_000), generator)
    for user, free in ((0, [2, 3, 5]), (1, [0, 1, 2, 3, 4, 5]), (2, [0, 1, 3, 4])):
        counts = drawn[user].bincount(minlength=6).double()
        assert counts.nonzero()[:, 0].tolist() == free
        expected = 60_000 / len(free)
        assert ((counts[free] - expected).abs() < 5 * expected**0.5).all()
    full = Histories.of(torch.zeros(3, dtype=torch.long), torch.arange(3), number=1, catalogue=3)
    assert full.others(torch.zeros(9, dtype=torch.long), generator).max() < 3


def test_an_epoch_holds_every_event_once_with_fresh_negatives(checkerboard):
    model = models.build("neumf_implicit", SETTINGS["neumf_implicit"], checkerboard.inputs)
    generator = torch.Generator().manual_seed(0)
    first, second = (
        torch.cat([ids for (ids,) in checkerboard.batches(model, generator, 64)], 1) for _ in range(2)
    )
    assert first.shape == (6, checkerboard.size)
    for epoch in (first, second):
        assert torch.equal(epoch[:2].T.unique(dim=0), checkerboard.train.unique(dim=0))
        mask = checkerboard.inputs.history.mask(epoch[0])
        assert not mask.gather(1, epoch[2:].T - int(checkerboard.features.starts[1])).any()
    assert not torch.equal(first, second)


def test_random_by_user_cuts_each_user(settings):
    pairs = [(u, i) for u in range(3) for i in range((30, 3, 2)[u])] + [(3, 0)]
    task = prepared(settings, events(pairs))
    sizes = [[int((task.person[rows] == u).sum()) for _, rows in task.parts] for u in range(4)]
    assert sizes == [[24, 3, 3], [1, 1, 1], [1, 0, 1], [1, 0, 0]]


def sigmoid(value: float) -> float:
    return 1 / (1 + np.exp(-value))


def test_losses_by_hand():
    assert losses.bpr(torch.tensor([1.0, -0.5])).item() == pytest.approx(
        -(np.log(sigmoid(1.0)) + np.log(sigmoid(-0.5))) / 2
    )
    scores = torch.tensor([[1.0, 0.0, 2.0], [0.5, 0.5, -1.0]]).T
    first = -np.log(sigmoid(1.0)) - np.log(1 - sigmoid(0.0)) - np.log(1 - sigmoid(2.0))
    second = -np.log(sigmoid(0.5)) - np.log(1 - sigmoid(0.5)) - np.log(1 - sigmoid(-1.0))
    assert losses.bce(scores).item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("name", ["bpr", "lightgcn", "neumf_implicit"])
def test_the_loss_is_that_of_the_scores(checkerboard, name):
    """What a model learns from is what it ranks by, up to a constant of each user in the pairwise losses."""
    torch.manual_seed(0)
    model = models.build(name, SETTINGS[name], checkerboard.inputs)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    ((ids,),) = checkerboard.batches(model, torch.Generator().manual_seed(0), checkerboard.size)
    with torch.no_grad():
        scores = model.scorer()(ids[0]).gather(1, ids[1:].T - int(checkerboard.features.starts[1])).T
        expected = losses.bce(scores) if name == "neumf_implicit" else losses.bpr(scores[0] - scores[1])
        torch.testing.assert_close(model.loss(ids), expected, atol=1e-5, rtol=1e-4)


def test_ease_is_the_ridge_regression_of_each_item_on_the_others(checkerboard):
    (model,) = trained("ease", checkerboard).models
    x = checkerboard.inputs.history.mask(torch.arange(40)).double()
    for item in (0, 17):
        others = [i for i in range(checkerboard.catalogue) if i != item]
        gram = x[:, others].T @ x[:, others] + torch.eye(len(others), dtype=torch.double)
        exact = torch.linalg.solve(gram, x[:, others].T @ x[:, item])
        torch.testing.assert_close(model.weight[others, item].double(), exact, atol=1e-5, rtol=1e-4)
        assert model.weight[item, item] == 0
    assert model.influence(torch.tensor([3])).equal(model.weight[[3]])


def test_ease_over_users_is_ease_over_items(settings):
    """Five users, eight items; B from the inverse over items by numpy. Users who have everything, and nothing."""
    x = np.random.default_rng(0).random((5, 8)) < 0.4
    x[0], x[4] = True, False
    users, items = map(torch.from_numpy, x.nonzero())
    history = Histories.of(users, items, 5, 8)
    inputs = models.Inputs(13, 2, torch.tensor([]), 0.0, items=torch.arange(5, 13), history=history)
    model = models.build("ease", EASE(l2=0.5), inputs)
    with torch.no_grad():
        model.sweep()
        scores = model.scorer()(torch.tensor([3, 0, 4]))
    precision = np.linalg.inv(x.T.astype(float) @ x + 0.5 * np.eye(8))
    weight = -precision / precision.diagonal()
    np.fill_diagonal(weight, 0)
    np.testing.assert_allclose(scores, x[[3, 0, 4]] @ weight, atol=1e-5)
    np.testing.assert_allclose(model.influence(torch.tensor([2, 6])).detach(), weight[[2, 6]], atol=1e-5)
    assert model.by_users and not hasattr(model, "weight")


def test_an_inverse_in_place(monkeypatch):
    monkeypatch.setattr(ease, "ROWS", 3)
    root = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    matrix = root @ root.T + np.eye(7, dtype=np.float32)
    expected = np.linalg.inv(matrix.astype(float))
    inverse = ease.invert(matrix)
    np.testing.assert_allclose(inverse, expected, atol=1e-5)
    assert np.shares_memory(inverse, matrix)
    with pytest.raises(UserError, match=r"raise l2 of topk\.ease"):
        ease.invert(-np.eye(7, dtype=np.float32))


def test_blocks_of_neighbours_change_nothing(checkerboard, monkeypatch):
    whole = []
    for name in ("itemknn", "rp3beta"):
        model = models.build(name, SETTINGS[name], checkerboard.inputs)
        with torch.no_grad():
            model.sweep()
        whole.append(model.state_dict())
    monkeypatch.setattr(neighbours, "CELLS", 7 * checkerboard.catalogue)
    for name, one in zip(("itemknn", "rp3beta"), whole, strict=True):
        (model,) = trained(name, checkerboard).models
        model.scorer()  # leaves the weights alone
        assert all(torch.equal(value, one[key]) for key, value in model.state_dict().items())


def test_itemknn_by_hand(settings):
    """Three users: {0, 1}, {0, 1, 2}, {0, 2, 3}; shrinkage 1, two neighbours."""
    history = Histories.of(torch.tensor([0, 0, 1, 1, 1, 2, 2, 2]), torch.tensor([0, 1, 0, 1, 2, 0, 2, 3]), 3, 4)
    inputs = models.Inputs(8, 2, torch.tensor([]), 0.0, items=torch.arange(4, 8), history=history)
    model = models.build("itemknn", ItemKNN(neighbours=2, shrinkage=1.0), inputs)
    with torch.no_grad():
        model.sweep()
        scores = model.scorer()(torch.tensor([0]))
    w = lambda both, a, b: both / (np.sqrt(a * b) + 1)  # noqa: E731
    # neighbours: of 0: 1, 2; of 1: 0 and 2; of 2: 0 and 3 (1/(√2+1) beats 1/(2+1)); of 3: 2 and 0
    expected = [w(2, 3, 2), w(2, 3, 2), w(2, 3, 2), w(1, 3, 1)]
    assert scores[0].tolist() == pytest.approx(expected)


def test_ials_minimises_its_objective(checkerboard):
    """Two sweeps end near where the exact solution for users lies."""
    settings = IALS(dim=4, l2=0.5, alpha=3.0, epochs=1, patience=1)
    torch.manual_seed(0)
    model = models.build("ials", settings, checkerboard.inputs)
    x = checkerboard.inputs.history.mask(torch.arange(41)).double()
    weight = 1 + 3.0 * x

    def objective() -> float:
        item, user = (model.embedding.weight[ids].double() for ids in (checkerboard.inputs.items, torch.arange(41)))
        return ((weight * (x - user @ item.T) ** 2).sum() + 0.5 * (user.square().sum() + item.square().sum())).item()

    with torch.no_grad():
        values = []
        for _ in range(25):
            model.sweep()
            values.append(objective())
        assert all(after <= before * (1 + 1e-6) for before, after in pairwise(values))
        user = model.embedding.weight[:41].double()
        w = torch.einsum("ui,uk,ul->ikl", weight, user, user) + 0.5 * torch.eye(4, dtype=torch.double)
        exact = torch.linalg.solve(w, torch.einsum("ui,uk->ik", weight * x, user))
        found = model.embedding.weight[checkerboard.inputs.items].double()
        torch.testing.assert_close(found, exact, atol=0.02, rtol=0.02)


def test_ials_is_the_librarys(checkerboard):
    """The same factors as implicit's own fit from the same start."""
    torch.manual_seed(0)
    model = models.build("ials", SETTINGS["ials"], checkerboard.inputs)
    own = AlternatingLeastSquares(8, regularization=0.1, alpha=1.0, iterations=3, use_gpu=False, num_threads=1)
    with torch.no_grad():
        own.user_factors = model.embedding.weight[:41].numpy().copy()
        own.item_factors = model.embedding.weight[checkerboard.inputs.items].numpy().copy()
        for _ in range(3):
            model.sweep()
    own.fit(csr_matrix(checkerboard.inputs.history.mask(torch.arange(41)).float().numpy() * 6), show_progress=False)
    np.testing.assert_allclose(model.embedding.weight[:41].detach(), own.user_factors, atol=1e-5)


def test_propagation_is_a_product_with_the_normalised_graph():
    history = Histories.of(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), number=3, catalogue=2)
    graph = Graph.of(history, first=3, number=6)
    dense = torch.zeros(6, 6, dtype=torch.double)
    for user, item, weight in ((0, 3, 1 / 2**0.5), (0, 4, 1 / 4**0.5), (1, 4, 1 / 2**0.5)):
        dense[user, item] = dense[item, user] = weight
    vectors = torch.randn(6, 4, requires_grad=True)
    torch.testing.assert_close(graph.propagate(vectors).double(), dense @ vectors.double(), atol=1e-6, rtol=1e-5)
    weights = torch.randn(6, 4)
    (graph.propagate(vectors) * weights).sum().backward()
    torch.testing.assert_close(vectors.grad.double(), dense @ weights.double(), atol=1e-6, rtol=1e-5)


def test_lightgcn_without_layers_has_the_embedding_for_its_table(checkerboard):
    model = models.build("lightgcn", SETTINGS["lightgcn"].model_copy(update={"layers": 0}), checkerboard.inputs)
    assert torch.equal(model.table(), model.embedding.weight)


@pytest.mark.parametrize("name", ["bpr", "neumf_implicit", "lightgcn", "dccf"])
def test_every_parameter_learns(checkerboard, name):
    """Gradients reach every parameter."""
    torch.manual_seed(0)
    model = models.build(name, SETTINGS[name], checkerboard.inputs)
    ((ids,),) = checkerboard.batches(model, torch.Generator().manual_seed(0), checkerboard.size)
    model.loss(ids).backward()
    assert all(parameter.grad.abs().max() > 1e-9 for parameter in model.parameters())


def test_a_data_set_without_ratings_can_be_ranked_but_not_rated(settings, checkerboard):
    assert checkerboard.interactions.rating is None
    with pytest.raises(UserError, match=r"has no column rating"):
        rating.prepare(checkerboard.dataset, settings.data, settings.split, CPU)


def test_leads_of_a_table_are_those_of_its_vectors():
    """With rows that occur twice, in one triple too; and a selection, which the compiled path does not know."""
    torch.manual_seed(0)
    table = UniformTable(30, 7, torch.tensor([], dtype=torch.long), scale=3).double()
    selection = SoftSelection(table, torch.arange(30) // 10).double()
    ids = torch.randint(0, 30, (3, 200))
    ids[2, :5] = ids[1, :5]
    weight = torch.randn(200, dtype=torch.float64)
    user, item, other = table.weight[ids]
    expected = (user * (item - other)).sum(-1)
    (gradient,) = torch.autograd.grad(expected, table.weight, weight)
    for embedding in (table, selection):
        found = leads(embedding, ids)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(torch.autograd.grad(found, table.weight, weight)[0], gradient)
    for wrong in (-1, 30):
        with pytest.raises(IndexError):
            leads(table, torch.tensor([[0], [1], [wrong]]))


def test_the_readmes_recommender_works(checkerboard):
    """The second example of README.md, word for word, completes the checkerboard."""
    source = examples()[1]
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    exec(source, names)
    assert source.count("\n") <= 60
    point = SETTINGS["bpr"]

    def build():
        embedding = UniformTable(checkerboard.inputs.number, names["Model"].width(point), checkerboard.inputs.unseen)
        return names["Model"](embedding, point, checkerboard.inputs)

    (model,) = fit("topk.readme", build, checkerboard, point, [1]).models
    _, hits = checkerboard.recommend(model, "test", 5)
    assert ndcg(hits, checkerboard.relevant("test"), 5).mean() > 0.95


def test_what_vectors_do_on_the_sphere_is_watched(checkerboard):
    """Alignment of the sampled events' pairs, uniformity of their different users and items, by plain loops."""
    torch.manual_seed(0)
    model = models.build("bpr", SETTINGS["bpr"], checkerboard.inputs)
    seen = checkerboard.watch(model)
    with torch.no_grad():
        unit = model.embedding.weight / model.embedding.weight.norm(dim=1, keepdim=True)
    events = checkerboard.train.tolist()  # fewer than are watched at most
    align = sum((unit[user] - unit[item]).square().sum() for user, item in events) / len(events)
    apart = []
    for side in zip(*events, strict=True):
        pairs = [(one, other) for one in set(side) for other in set(side) if one < other]
        apart.append((sum((-2 * (unit[a] - unit[b]).square().sum()).exp() for a, b in pairs) / len(pairs)).log())
    assert seen["alignment"].item() == pytest.approx(align.item(), rel=1e-4)
    assert seen["uniformity"].item() == pytest.approx((sum(apart) / 2).item(), rel=1e-4)
    assert checkerboard.watch(trained("ease", checkerboard).models[0]) == {}


def test_a_watched_run_tells_it_for_every_epoch(checkerboard):
    point = SETTINGS["bpr"].model_copy(update={"epochs": 3})
    make = functools.partial(models.build, "bpr", point, checkerboard.inputs)
    plain, watched = (fit_run("topk.bpr", make, checkerboard, point, 1, watched) for watched in (False, True))
    assert [set(row) for row in watched[2]] == [{"seed", "epoch", "loss", "validation", "alignment", "uniformity"}] * 3
    assert [row["loss"] for row in watched[2]] == [row["loss"] for row in plain[2]]
