"""Two towers and their second loss: losses and gradients are those of plain loops over the papers' equations."""

import functools

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from conftest import planted, write_films, write_inter
from latent_factors import models
from latent_factors.data.atomic import write_atomic
from latent_factors.data.describe import describe
from latent_factors.data.information import between_fields, mutual_information
from latent_factors.errors import UserError
from latent_factors.fit import fit_run
from latent_factors.models import losses
from latent_factors.models.augment import PATTERNS, by_relation, drop
from latent_factors.models.losses import batch_softmax
from latent_factors.sections import Ranking, Split, Towers, TowersSSL
from latent_factors.tasks import topk

POINT = {
    "dim": 3, "hidden": [5, 4], "min_count": 2, "temperature": 0.5, "log_q": True, "learning_rate": 0.01, "l2": 0.1,
    "l2_power": 0.5, "batch_size": 64, "epochs": 2, "patience": 2,
}
SSL = {"alpha": 0.7, "ssl_temperature": 0.4, "ssl_batch": 6, "ssl_draw": "uniform", "pattern": "cfm", "dropout": 0.3}
USERS = pd.DataFrame({
    "user_id": ["u0", "u1", "u2", "stranger"], "age": ["24", "18", "57", "30"], "gender": ["M", "F", "M", "M"],
    "zip_code": ["85711", "85224", None, "85000"],
})
ITEMS = pd.DataFrame({
    "item_id": ["i0", "i1", "i2", "i3"], "movie_title": ["Toy, The", "The Toy Toy", "Heat", "Alien"],
    "release_year": ["1995", "1991", "1995", None], "class": ["Drama War", "Drama", "War", "Sci-Fi"],
})


def write_items(path, table: pd.DataFrame = ITEMS) -> None:
    types = {"item_id": "token", "movie_title": "token_seq", "release_year": "token", "class": "token_seq"}
    write_atomic(table, {name: kind for name, kind in types.items() if name in table}, path.with_suffix(".item"))


@pytest.fixture
def task(project, settings) -> topk.TopKTask:
    write_films(project)
    split = Split(kind="random-by-user", validation=0.1, test=0.1, seed=1)
    return topk.prepare("made", settings.data, Ranking(split=split, cutoffs=[5]), torch.device("cpu"))


def built(name: str, task: topk.TopKTask, **changes) -> torch.nn.Module:
    """A model in double precision, its tables as large as its other weights."""
    kind = {"towers": Towers, "towers_ssl": TowersSSL}[name]
    torch.manual_seed(0)
    point = POINT | (SSL if name == "towers_ssl" else {}) | changes
    model = models.build(name, kind(**point), task.inputs).double()
    for table in (model.embedding, model.attributes):
        torch.nn.init.normal_(table.weight)
    return model


def test_attributes_by_hand(project, settings):
    path = write_inter(project, "made", pd.DataFrame({"user_id": ["u0"], "item_id": ["i0"]}))
    write_atomic(USERS, dict.fromkeys(USERS, "token"), path.with_suffix(".user"))
    write_items(path)
    tokens = pd.Index(["u1", "u0", "u2"]), pd.Index(["i1", "i0", "i2"])  # i3 and the stranger stand not in training
    events = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [2, 0]])
    known = describe("made", settings.data, tokens, events, min_count=2)
    user, item = known.user, known.item
    assert user.names == ("age", "gender", "zip_code")
    # 18–24: u1 and u0, 57 is alone; M: u0 and u2, F is alone; 85: u1 and u0; ids 0, 2 and 4, then what is rare
    assert user.ids.tolist() == [[0, 3, 4], [0, 2, 4], [1, 2, 5], [1, 3, 5]]
    assert user.defaults.tolist() == [1, 3, 5]
    assert item.names == ("movie_title", "decade", "release_year", "class")
    # "the" and "toy" of i1 and i0; 199: all; 1995: i0 and i2; Drama: i1 and i0; War: i0 and i2
    assert item.ids.tolist() == [
        [6, 7, 9, 12, 13, 15], [6, 7, 9, 11, 13, 14], [8, 8, 9, 11, 14, 15], [8, 8, 10, 12, 15, 15],
    ]
    assert item.field.tolist() == [0, 0, 1, 2, 3, 3]
    assert item.several.tolist() == [True, True, False, False, True, True]
    assert known.counts.tolist() == [4, 1, 2, 3, 4, 1, 4, 4, 1, 5, 0, 2, 3, 4, 2, 0]
    write_items(path, ITEMS[["item_id", "movie_title"]].assign(movie_title=list("abcd")))
    with pytest.raises(UserError, match=r"made\.item tells nothing that 2 items share"):
        describe("made", settings.data, tokens, events, min_count=2)
    write_items(path, ITEMS.assign(movie_title=["…", "!", "toy", None]))  # nothing is left of some titles
    assert describe("made", settings.data, tokens, events, min_count=2).item.names == item.names[1:]
    path.with_suffix(".item").unlink()
    with pytest.raises(UserError, match=r"made\.item is missing, and two-tower models .* add it with a column item_id"):
        describe("made", settings.data, tokens, events, min_count=2)
    path.with_suffix(".user").unlink()
    write_items(path)
    assert describe("made", settings.data, tokens, events, min_count=2).user.names == ()


def test_a_model_without_need_of_attributes_reads_none(project, settings):
    write_inter(project, "made", planted(users=30, items=20, rank=2, noise=0.3, filled=0.4))
    split = Split(kind="random-by-user", validation=0.1, test=0.1, seed=1)
    task = topk.prepare("made", settings.data, Ranking(split=split, cutoffs=[5]), torch.device("cpu"))
    with pytest.raises(UserError, match="is missing"):
        models.build("towers", Towers(**POINT), task.inputs)
    models.build("popular", settings.topk.popular, task.inputs)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=2, max_size=40))
def test_mutual_information_of_single_values_is_that_of_scikit_learn(pairs):
    one, other = (torch.tensor(values)[:, None] for values in zip(*pairs, strict=True))
    weight = torch.ones(len(pairs), 1)
    found = mutual_information((one, weight), (other, weight), torch.full((len(pairs),), 3.0))
    assert found.item() == pytest.approx(mutual_info_score(one[:, 0], other[:, 0]), abs=1e-9)


def test_mutual_information_by_hand():
    """Rows 1 (twice as heavy) and 2: a | x y and b | y; p(a, x) = p(a, y) = p(b, y) = 1/3."""
    one = torch.tensor([[0], [1]]), torch.ones(2, 1)
    other = torch.tensor([[5, 7], [7, 9]]), torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    third = torch.tensor(1 / 3, dtype=torch.double)
    expected = third * torch.log(third / (2 / 3 * third))  # (a, x)
    expected = expected + third * torch.log(third / (2 / 3 * (2 / 3)))  # (a, y)
    expected = expected + third * torch.log(third / (third * (2 / 3)))  # (b, y)
    torch.testing.assert_close(mutual_information(one, other, torch.tensor([2.0, 1.0])), expected)


def test_fields_that_tell_of_each_other_are_masked_together(task):
    """Years and the one decade, genres and words: the own id tells most of a field, the year most of the word."""
    model = built("towers_ssl", task)
    assert model.item.names == ("movie_title", "decade", "release_year", "class")
    information = between_fields(model.item, torch.nn.functional.pad(model.taken, (0, 1)))
    torch.testing.assert_close(information, information.T)
    share = model.taken.double() / model.taken.sum()
    assert information[0, 0].item() == pytest.approx(-(share * share.log()).sum().item())
    years = torch.zeros(3, dtype=torch.double)
    number = task.features.tokens[1].str[1:].astype(int)
    years.index_add_(0, torch.tensor(number % 3), share)
    entropy = -(years * years.log()).sum().item()
    assert information[[0, 3], 3].tolist() == pytest.approx([entropy] * 2)
    assert information[2].abs().max() < 1e-9  # all films are of one decade
    assert model.related[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert model.related[1].tolist()[1:3] == [0, 3]  # "the" or "a" goes by the year


@given(st.sampled_from(sorted(PATTERNS)), st.integers(1, 9), st.integers(0, 99))
def test_no_masked_field_stands_in_both_views(pattern, fields, seed):
    generator = torch.Generator().manual_seed(seed)
    information = torch.rand(fields, fields, generator=generator)
    first, second = PATTERNS[pattern](by_relation(information + information.T), generator)
    if pattern == "none":
        assert first.all() and second.all()
    else:
        assert torch.equal(first, ~second)
        assert second.sum() - first.sum() == fields % 2


def test_correlated_masking_masks_the_seed_with_what_tells_most_of_it():
    information = torch.tensor([[9, 3, 2, 1], [3, 9, 0, 4], [2, 0, 9, 1], [1, 4, 1, 9]]).float()
    related = by_relation(information)
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(100):
        kept, masked = PATTERNS["cfm"](related, generator)
        seen.add(tuple(torch.nonzero(masked)[:, 0].tolist()))
    assert seen == {(0, 1), (1, 3), (0, 2)}  # of the seeds 0, 1 and 3, and 2
    assert torch.equal(kept, ~masked)


def test_values_are_dropped_at_their_rate_and_only_from_lists():
    several = torch.tensor([False, True, True])
    kept = drop(several, (2, 5000), 0.3, torch.Generator().manual_seed(0))
    assert kept[..., 0].all()
    assert (kept[..., 1:].float().mean((0, 1)) - 0.7).abs().max() < 0.02


def by_loops(model, task, events, rows=(), kept=None) -> torch.Tensor:
    """The whole loss of a batch, one event, one item and one feature at a time."""
    settings, first = model.settings, int(task.features.starts[1])

    def tower(net, inputs):
        hidden = (net[0].weight @ inputs + net[0].bias).clamp(min=0)
        out = net[2].weight @ hidden + net[2].bias
        return out / out.square().sum().sqrt()

    def vector(side, net, row, own, seen=None):
        parts = [own]
        for field, default in enumerate(side.defaults.tolist()):
            values = [
                side.ids[row, column] for column in range(len(side.field))
                if side.field[column] == field and side.ids[row, column] != default
                and (seen is None or seen[1 + column])
            ]
            parts.append(sum(model.attributes.weight[value] for value in values or [default]) / max(len(values), 1))
        return tower(net, torch.cat(parts))

    def item(row, seen=None):
        own = first + row if seen is None or seen[0] else task.inputs.number - 1
        return vector(model.item, model.item_tower, row, model.embedding.weight[own], seen)

    def user(row):
        return vector(model.user, model.user_tower, row, model.embedding.weight[row])

    counts = task.popularity.double()
    taken = {u: {i for v, i in task.train.tolist() if v == u} for u in set(events[0].tolist())}
    total = 0
    for u, i in events.T.tolist():
        def corrected(j, u=u):
            score = (user(u) * item(j - first)).sum() / settings.temperature
            return score - (torch.log(counts[j - first] / counts.sum()) if settings.log_q else 0)

        sums = corrected(i).exp() + sum(corrected(j).exp() for j in events[1].tolist() if j not in taken[u])
        total = total - (corrected(i) - sums.log())
    total = total / events.shape[1]
    if kept is not None:
        anchors, views = ([item(row, seen) for row, seen in zip(rows, own, strict=True)] for own in kept)
        own = 0
        for place, anchor in enumerate(anchors):
            near = [((anchor * view).sum() / settings.ssl_temperature).exp() for view in views]
            own = own - (near[place] / sum(near)).log()
        total = total + settings.alpha * own / len(rows)
    return total


@pytest.mark.parametrize("log_q", [False, True])
def test_the_loss_and_its_gradient_are_those_of_the_equations(task, log_q):
    model = built("towers_ssl", task, log_q=log_q)
    assert model.user.names == ("age",)
    popular, owner = task.inputs.items[0], task.train[task.train[:, 1] == task.inputs.items[0]][0, 0]
    events = torch.cat([task.train[task.train[:, 1] == popular][:3], task.train[task.train[:, 0] == owner][:3]]).T
    assert events.unique(dim=1).shape[1] >= 5  # an item of several users, a user of several items
    rows, kept = model.draw(torch.Generator().manual_seed(3))
    assert rows.shape == (6,)
    assert kept.shape == (2, 6, 1 + len(model.item.field))
    value, expected = model.loss(events, rows, kept), by_loops(model, task, events, rows.tolist(), kept.tolist())
    torch.testing.assert_close(value, expected, check_dtype=False)
    weights = list(model.parameters())
    for found, wanted in zip(torch.autograd.grad(value, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-5)


def test_without_weight_the_second_loss_leaves_plain_towers(task):
    plain, own = built("towers", task), built("towers_ssl", task, alpha=0.0)
    own.load_state_dict(plain.state_dict())
    events = task.train[:50].T
    torch.testing.assert_close(own.loss(events, *own.draw(torch.Generator())), plain.loss(events))
    torch.testing.assert_close(plain.loss(events), by_loops(plain, task, events), check_dtype=False)


def test_the_corrected_softmax_over_a_batch_has_the_gradient_of_the_full_one():
    """Items drawn by q, far from uniform: with the correction the batch's gradient is that of the whole catalogue."""
    generator = torch.Generator().manual_seed(0)
    q = torch.tensor([0.6, 0.2, 0.1, 0.06, 0.04], dtype=torch.double)
    scores, items = torch.randn(1, 5, generator=generator, dtype=torch.double).requires_grad_(), torch.eye(5).double()
    (full,) = torch.autograd.grad(scores.logsumexp(1) - scores[0, 2], scores)
    drawn = torch.multinomial(q, 200_000, replacement=True, generator=generator)
    copies = drawn.bincount(minlength=5) - torch.eye(5, dtype=torch.long)[2]  # the event's own item is counted once
    nobody = torch.zeros(1, 5, dtype=torch.bool)

    def gradient(log_q: torch.Tensor) -> torch.Tensor:
        own = torch.tensor([0]), torch.tensor([2])
        return torch.autograd.grad(batch_softmax(scores, items, *own, copies, log_q, nobody), scores)[0]

    assert (gradient(q.log()) - full).abs().max() < 0.01
    assert (gradient(torch.zeros_like(q)) - full).abs().max() > 0.1


@pytest.mark.parametrize("block", [1, 40, 2**20])
def test_the_softmax_over_a_batch_is_that_of_its_equation_whatever_is_done_at_a_time(block, monkeypatch):
    monkeypatch.setitem(losses.BLOCK, "cpu", block)
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 3, generator=generator, dtype=torch.double).requires_grad_() for n in (9, 7))
    user, item, copies = (torch.randint(n, (m,), generator=generator) for n, m in ((9, 20), (7, 20), (3, 7)))
    log_q, taken = torch.randn(7, generator=generator), torch.rand(9, 7, generator=generator) < 0.4
    copies += 1
    events = []
    for u, i in zip(user.tolist(), item.tolist(), strict=True):
        own = (users[u] @ items[i] - log_q[i]).exp()
        others = sum(copies[j] * (users[u] @ items[j] - log_q[j]).exp() for j in range(7) if not taken[u, j])
        events.append(-(own / (own + others)).log())
    plain, fast = sum(events) / 20, batch_softmax(users, items, user, item, copies, log_q, taken)
    torch.testing.assert_close(fast, plain)
    for found, wanted in zip(*(torch.autograd.grad(3 * loss, [users, items]) for loss in (fast, plain)), strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_user_who_has_the_whole_batch_learns_nothing_and_breaks_nothing():
    scores = torch.randn(2, 3, requires_grad=True)  # of items that are the axes
    taken = torch.tensor([[True] * 3, [True, False, False]])
    events = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    value = batch_softmax(scores, torch.eye(3), *events, torch.ones(3), torch.full((3,), -1.0), taken)
    value.backward()
    assert torch.equal(scores.grad[0], torch.zeros(3))
    assert scores.grad[1].isfinite().all()


@pytest.mark.parametrize("draw", ["uniform", "training"])
def test_items_are_drawn_as_asked_and_never_twice(task, draw):
    model = built("towers_ssl", task, ssl_draw=draw, ssl_batch=2)
    generator = torch.Generator().manual_seed(0)
    first = torch.stack([model.draw(generator)[0][0] for _ in range(2000)]).bincount(minlength=task.catalogue) / 2000
    wanted = torch.ones(task.catalogue) if draw == "uniform" else task.popularity
    assert (first - wanted / wanted.sum()).abs().max() < 0.02
    many = built("towers_ssl", task, ssl_draw=draw, ssl_batch=1000)
    assert many.draw(generator)[0].sort().values.tolist() == list(range(task.catalogue))


def test_the_same_seed_gives_the_same_bytes_whatever_ran_before(task):
    point = TowersSSL(**POINT, **SSL)
    make = functools.partial(models.build, "towers_ssl", point, task.inputs)
    first, *_ = fit_run("topk.towers_ssl", make, task, point, 5)
    torch.rand(1000)
    models.build("towers_ssl", point, task.inputs).draw(torch.Generator())
    second, *_ = fit_run("topk.towers_ssl", make, task, point, 5)
    other, *_ = fit_run("topk.towers_ssl", make, task, point, 6)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
        assert not torch.equal(value, other.state_dict()[name])
