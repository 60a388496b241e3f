"""Models of the next item: their scores and losses are those of plain loops, and no model looks ahead."""

import copy
import functools

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_inter
from latent_factors import models
from latent_factors.data.histories import Histories, ItemSequences
from latent_factors.fit import Adam, fit, fit_run
from latent_factors.models import Inputs, losses
from latent_factors.models.sequential import drop
from latent_factors.paths import root
from latent_factors.sections import GRU4Rec, ItemKNNLast, Markov, Popular, SASRec, Sequences
from latent_factors.tasks import prepare

GRADIENT = {
    "dim": 16, "learning_rate": 0.02, "l2": 0.0, "l2_power": 0.5, "batch_size": 16, "epochs": 12, "patience": 12,
    "averaging": 0.0,
}
SETTINGS = {
    "popular": Popular(),
    "markov": Markov(damping=1.0),
    "itemknn_last": ItemKNNLast(neighbours=5, shrinkage=1.0, decay=0.5),
    "gru4rec": GRU4Rec(dropout=0.1, **GRADIENT),
    "sasrec": SASRec(dropout=0.1, layers=2, heads=2, hidden=16, **GRADIENT),
}
LEARNED = ("gru4rec", "sasrec")
ITEMS = torch.tensor([0, 1, 2, 0, 3, 1, 2, 4, 2, 1])  # of users 0 (five), 1 (three) and 2 (two)
OWNER = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
NONE = 5
HISTORIES = torch.tensor([[0, 1, 2, 3], [4, 2, NONE, NONE], [1, NONE, NONE, NONE], [NONE] * 4])


def model(name: str) -> torch.nn.Module:
    """Three users, five items, in double precision, counted or as it begins."""
    torch.manual_seed(0)
    inputs = Inputs(
        number=6, fields=1, unseen=torch.tensor([NONE]), mean=0.0, items=torch.arange(5),
        history=Histories.of(OWNER, ITEMS, 3, 5), sequences=ItemSequences.of(OWNER, ITEMS, 3, 5, 4),
    )
    one = models.build(name, SETTINGS[name], inputs)
    if hasattr(one, "sweep"):
        with torch.no_grad():
            one.sweep()
        return one
    return one.double()


def score(name: str, histories: torch.Tensor = HISTORIES) -> torch.Tensor:
    with torch.no_grad():
        return model(name).scorer()(histories)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_history_scores_alone_as_it_does_filled_up_beside_others(name):
    together = score(name)
    assert together.shape == (4, 5)
    assert torch.isfinite(together).all()  # of an empty history too
    for row, history in enumerate(HISTORIES[:3]):
        torch.testing.assert_close(score(name, history[history < NONE][None])[0], together[row])
    torch.testing.assert_close(score(name, HISTORIES.flip(0)).flip(0), together)


@pytest.mark.parametrize("name", LEARNED)
def test_no_state_knows_what_comes_later(name):
    one, items = model(name), torch.tensor([[0, 1, 2, 3]])
    with torch.no_grad():
        states = one.read(items, lambda values: values)
        for place in range(1, 4):
            for other in range(6):
                changed = items.clone()
                changed[0, place:] = other
                torch.testing.assert_close(one.read(changed, lambda values: values)[:, :place], states[:, :place])
        assert not torch.allclose(one.read(torch.tensor([[1, 1, 2, 3]]), lambda values: values)[:, -1], states[:, -1])
        torch.testing.assert_close(one.state(items) @ one.items().T, one.scorer()(items))


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("block", [1, 2**20])
def test_the_loss_and_its_gradient_are_those_of_plain_loops(name, block, monkeypatch):
    """One prefix after the other, one logarithm of a softmax each; dropout is set aside."""
    monkeypatch.setattr(losses, "BLOCK", {"cpu": block})
    one = model(name)
    one.dropout = 0.0
    windows = torch.tensor([[0, 1, 2, 0, 3], [1, 2, 4, NONE, NONE], [2, 1, NONE, NONE, NONE]])
    value, expected = one.loss(windows, torch.Generator()), []
    for window in windows:
        true = window[window < NONE]
        for place in range(1, len(true)):
            scores = one.scorer()(true[None, :place])[0]
            expected.append(scores.exp().sum().log() - scores[true[place]])
    expected = sum(expected) / len(expected)
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, list(one.parameters()))
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, list(one.parameters())))
    assert (one.embedding.weight[NONE] == 0).all()
    assert all((own[NONE] == 0).all() for own in gradients if own.shape == one.embedding.weight.shape)


def test_dropout_draws_from_its_generator_alone():
    before = torch.random.get_rng_state()
    first, again = (drop(torch.ones(100, 100), 0.3, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert first.mean().item() == pytest.approx(1, abs=0.02)
    assert drop(first, 0.0, torch.Generator()) is first


def test_a_chain_by_hand():
    """After item 2 came 0, 4 and 1 once each; of ten events the items have 2, 3, 3, 1 and 1."""
    share = np.array([0.2, 0.3, 0.3, 0.1, 0.1])
    found = score("markov").numpy()
    np.testing.assert_allclose(found[0], share, rtol=1e-6)  # nothing followed item 3
    np.testing.assert_allclose(found[1], (np.array([1, 1, 0, 0, 1]) + share) / 4, rtol=1e-6)
    np.testing.assert_allclose(found[2], (np.array([0, 0, 2, 0, 0]) + share) / 3, rtol=1e-6)
    np.testing.assert_allclose(found[3], share, rtol=1e-6)


def test_neighbours_of_last_items_by_hand():
    """User 0 has items 0 to 3, user 1 items 1, 2 and 4, user 2 items 1 and 2."""
    x = np.array([[1, 1, 1, 1, 0], [0, 1, 1, 0, 1], [0, 1, 1, 0, 0]])
    norm = np.sqrt(x.sum(0))
    weight = x.T @ x / (np.outer(norm, norm) + 1) * (1 - np.eye(5))
    found = score("itemknn_last").numpy()
    np.testing.assert_allclose(found[0], weight[3] + weight[2] / 2 + weight[1] / 4 + weight[0] / 8, rtol=1e-5)
    np.testing.assert_allclose(found[1], weight[2] + weight[4] / 2, rtol=1e-5)
    assert not found[3].any()


@pytest.fixture
def cycle(settings):
    """Thirty users walk through the same twelve items in a circle, each from a place of their own, eleven of them."""
    size = 12
    events = pd.DataFrame([
        (f"u{user:02}", f"i{(user + step) % size:02}", float(step)) for user in range(30) for step in range(size - 1)
    ], columns=["user_id", "item_id", "timestamp"])
    write_inter(root(), "made", events)
    protocol = Sequences(order="time", length=4, rank_history=True, cutoffs=[1, 5])
    return prepare("sequence", "made", settings.data, protocol, torch.device("cpu"))


@pytest.mark.parametrize("name", ["markov", *LEARNED])
def test_a_circle_of_items_is_learned_and_the_same_seed_gives_the_same_bytes(cycle, name):
    def trained(seed):
        (one,) = fit(
            f"sequence.{name}", lambda: models.build(name, SETTINGS[name], cycle.inputs), cycle, SETTINGS[name], [seed]
        ).models
        return one

    first, again = trained(1), trained(1)
    assert cycle.measure(cycle.outputs(first, "test"), "test")["hit@1"].item() > 0.95
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    if name in LEARNED:
        other = trained(2)
        assert not torch.equal(first.embedding.weight, other.embedding.weight)
        before = copy.deepcopy(first.state_dict())
        cycle.score(first)
        assert all(torch.equal(before[key], own) for key, own in first.state_dict().items())


@pytest.mark.parametrize("name", LEARNED)
def test_the_average_of_the_weights_is_judged_and_kept_and_moves_no_step(cycle, name):
    point = SETTINGS[name].model_copy(update={"averaging": 0.9, "epochs": 2})

    def trainer(point):
        torch.manual_seed(3)
        return Adam(f"sequence.{name}", models.build(name, point, cycle.inputs), cycle, point, seed=3)

    plain, averaged = trainer(SETTINGS[name]), trainer(point)
    scores = []
    for epoch in (1, 2):
        assert averaged.epoch(epoch) == plain.epoch(epoch)
        scores.append(cycle.score(averaged.model).item())
    for moved, one in zip(averaged.moved.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(moved, one)
    assert not torch.equal(averaged.model.embedding.weight, averaged.moved.embedding.weight)
    made = functools.partial(models.build, name, point, cycle.inputs)
    kept, best, rows = fit_run(f"sequence.{name}", made, cycle, point, seed=3)
    assert [row["validation"] for row in rows] == scores
    assert cycle.score(kept).item() == best == max(scores)
