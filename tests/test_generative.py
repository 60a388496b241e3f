"""Spelling the next item: probabilities over all items, beam search against exact scores, and what a place may see."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from conftest import write_inter
from latent_factors.data.histories import ItemSequences
from latent_factors.fit import Adam
from latent_factors.identifiers import Identifiers
from latent_factors.models import Inputs, generative
from latent_factors.models.generative import Model
from latent_factors.paths import root
from latent_factors.sections import Generative, Sequences
from latent_factors.tasks import prepare

ROWS = [[1, 1, 1], [1, 1, 2], [1, 2, 0], [2, 0, 0], [2, 1, 0], [2, 1, 3], [3, 1, 1]]  # 7 items, some shorter
SETTINGS = {
    "scheme": {"independent": {}}, "dim": 8, "heads": 2, "hidden": 12, "layers": 2, "history": 5, "dropout": 0.0,
    "learning_rate": 0.01, "batch_size": 8, "epochs": 1, "patience": 5,
}


def model(rows=ROWS, seed: int = 0, **changes) -> Model:
    made = Identifiers("made", torch.tensor(rows), 1 + max(map(max, rows)), ())
    number = len(rows)
    sequences = ItemSequences.of(torch.zeros(2, dtype=torch.long), torch.tensor([0, 1]), 1, number, 5)
    inputs = Inputs(
        number=number + 1, fields=1, unseen=torch.tensor([number]), mean=0.0, items=torch.arange(number),
        sequences=sequences, identifiers=lambda scheme: made,
    )
    torch.manual_seed(seed)
    own = Model(None, Generative(**SETTINGS | changes), inputs).double()
    with torch.no_grad():
        for weight in own.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))  # biases too, which begin at zero
    return own


def histories(number: int = 7, rows: int = 6, length: int = 5, seed: int = 0) -> torch.Tensor:
    """Histories of 0 to `length` items, filled up to the right."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(number, (rows, length), generator=generator)
    return items.masked_fill(torch.arange(length) >= torch.arange(rows)[:, None] % (length + 1), number)


NOBODY = (torch.tensor([], dtype=torch.long),) * 2


def test_the_probabilities_of_all_items_sum_to_one():
    for rows in (ROWS, [[1], [2], [3]], [[1, 2], [2, 2]]):
        scores = model(rows).scorer()(histories(len(rows)))
        assert scores.shape == (6, len(rows))
        assert scores.exp().sum(1).numpy() == pytest.approx(1)


def test_scores_are_the_softmax_over_what_may_follow_token_by_token():
    """Against a plain loop that decodes each item alone, as training does: the loss of a window is the sum."""
    own = model()
    items = torch.tensor([[2, 5, 0]])
    with torch.no_grad():
        loss = own.loss(items).item() * 3
        scorer = own.scorer()
        prefixes = torch.tensor([[7, 7], [2, 7], [2, 5]])
        steps = scorer(prefixes)[torch.arange(3), items[0]]
    assert loss == pytest.approx(-steps.sum().item())
    x, told = _decoded(own, prefixes[2:], 5)
    for depth, allowed in enumerate(([1, 2, 3], [0, 1], [0, 3])):
        logits = x[depth] @ own.tokens[allowed].T
        told += logits.log_softmax(0)[allowed.index(ROWS[5][depth])].item()
    assert told == pytest.approx(scorer(prefixes[2:])[0, 5].item())


def test_prefixes_with_tokens_of_their_own_are_multiplied_alone(monkeypatch):
    """Six clusters of three items, each item with its own token: loss, gradients and lists as by the whole product."""
    rows = [[1 + item % 6, 7 + item] for item in range(18)]
    windows = torch.randint(18, (9, 6), generator=torch.Generator().manual_seed(1))

    def seen() -> tuple[Model, torch.Tensor, tuple]:
        own = model(rows)
        loss = own.loss(windows)
        loss.backward()
        return own, loss, own.generate(histories(18), NOBODY, 18, 18)

    own, loss, (items, chances) = seen()
    assert chances.numpy() == pytest.approx(own.scorer()(histories(18)).gather(1, items).numpy())
    monkeypatch.setattr(Model, "_grouped", None)  # which is what was called
    with pytest.raises(TypeError):
        seen()
    monkeypatch.setattr(generative, "SHARED", 18)
    whole, same_loss, (same_items, _) = seen()
    assert loss.item() == pytest.approx(same_loss.item())
    assert items.equal(same_items)
    for one, other in zip(own.parameters(), whole.parameters(), strict=True):
        assert one.grad.numpy() == pytest.approx(other.grad.numpy(), abs=1e-12)


def test_a_token_that_nobody_can_choose_teaches_nothing():
    """A number that tells every item apart, then the item's own token."""
    own = model([[1 + item // 5, 7 + item % 5, 12 + item] for item in range(20)])
    windows = torch.randint(20, (9, 6), generator=torch.Generator().manual_seed(1))
    own.loss(windows).backward()
    assert all(weight.grad.isfinite().all() for weight in own.parameters())
    asked = []
    own._surprise = lambda level, x, *rest: asked.append(len(x)) or Model._surprise(own, level, x, *rest)
    own.loss(windows)
    assert asked == [54, 54, 0]


def _decoded(own: Model, history: torch.Tensor, item: int) -> tuple[torch.Tensor, float]:
    """What the decoder has before each token of an item, from a window that ends with it; and 0."""
    seen = []
    handle = own.said.register_forward_hook(lambda module, args, out: seen.append(out))
    with torch.no_grad():
        own.loss(torch.cat([history, torch.tensor([[item]])], 1))
    handle.remove()
    return seen[0][-1], 0.0


@pytest.mark.parametrize("rows", [ROWS, [[n // 9 + 1, n // 3 % 3 + 1, n % 3 + 1] for n in range(27)], [[1], [2], [3]]])
def test_a_beam_as_wide_as_the_catalogue_finds_what_scoring_every_item_finds(rows):
    own, number = model(rows), len(rows)
    own_histories = histories(number)
    exact = own.scorer()(own_histories)
    items, chances = own.generate(own_histories, NOBODY, number, number)
    assert torch.equal(items.sort(1).values, torch.arange(number).expand(6, -1))  # each a real item, each once
    np.testing.assert_allclose(chances, exact.gather(1, items), atol=1e-9)
    assert (chances.diff(dim=1) <= 0).all()
    taken = torch.tensor([0, 0, 1, 3, 3]), torch.tensor([0, 1, 2, 0, 0])  # one of them twice
    left = exact.clone()
    left[taken] = -torch.inf
    items, chances = own.generate(own_histories, taken, number, number)
    best = left.sort(dim=1, descending=True)
    finite = best.values.isfinite()
    assert torch.equal(items[finite], best.indices[finite])
    assert (items[~finite] == -1).all()


def test_a_narrow_beam_returns_real_items_and_never_more_likely_ones():
    rows = [[n // 25 + 1, n // 5 % 5 + 1, n % 5 + 1] for n in range(125)]
    own = model(rows, seed=3)
    some = histories(125)
    exact = own.scorer()(some)
    for beams in (1, 3, 10):
        items, chances = own.generate(some, NOBODY, 10, beams)
        assert items.shape == (6, 10)
        found = items >= 0
        assert found.sum(1).tolist() == [min(10, beams)] * 6
        np.testing.assert_allclose(chances[found], exact.gather(1, items.clamp(min=0))[found], atol=1e-9)
        assert (chances <= exact.sort(1, descending=True).values[:, :10] + 1e-9).all()


def test_a_place_sees_nothing_of_what_comes_later():
    own = model()
    window = torch.tensor([[2, 5, 0, 3, 1]])
    with torch.no_grad():
        whole = [own.loss(window[:, :size]).item() * size for size in range(1, 6)]
        other = torch.tensor([[2, 5, 0, 6, 4]])
        assert own.loss(other[:, :3]).item() * 3 == pytest.approx(whole[2])
        steps = -np.diff([0, *whole])
        scored = [own.scorer()(torch.tensor([[*window[0, :size], *[7] * (5 - size)]]))[0, window[0, size]].item()
                  for size in range(5)]
    np.testing.assert_allclose(steps, scored, atol=1e-9)  # filled up or not, within a window or at its end


def test_an_empty_history_has_a_next_item():
    scores = model().scorer()(torch.full((2, 5), 7))
    assert scores.isfinite().all()
    assert torch.equal(scores[0], scores[1])


def test_the_gradient_is_that_of_finite_differences():
    own = model(layers=1, dim=4, hidden=4)
    windows = torch.tensor([[2, 5, 0, 3], [1, 6, 7, 7]])
    own.loss(windows).backward()
    step, generator = 1e-6, torch.Generator().manual_seed(0)
    for weight in own.parameters():
        where = int(torch.randint(weight.numel(), (1,), generator=generator))
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                weight.view(-1)[where] += sign * step
                values.append(own.loss(windows).item())
                weight.view(-1)[where] -= sign * step
        assert weight.grad.view(-1)[where].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-7)


def test_filled_up_windows_cost_nothing():
    own = model()
    with torch.no_grad():
        short, long = own.loss(torch.tensor([[2, 5]])).item(), own.loss(torch.tensor([[1, 3, 0]])).item()
        both = own.loss(torch.tensor([[2, 5, 7], [1, 3, 0]])).item()
    assert both == pytest.approx((2 * short + 3 * long) / 5)


def test_with_one_token_an_item_the_loss_is_the_softmax_over_items():
    own = model([[1], [2], [3], [4]])
    with torch.no_grad():
        for weight in own.parameters():
            weight.zero_()
        assert own.loss(torch.tensor([[0, 3, 2]])).item() == pytest.approx(math.log(4))
        assert model().loss(torch.tensor([[3]])).isfinite()


@pytest.mark.parametrize("scheme", [
    {"independent": {}}, {"sequential": {"order": "time", "base": 4, "seed": 0}},
    {"collaborative": {"clusters": 3, "leaf": 4, "seed": 0}, "independent": {}},
])
def test_a_cycle_of_items_is_learned(settings, scheme):
    """Twelve items follow one another for ever: whoever knows the last one knows the next."""
    events = pd.DataFrame([
        (f"u{user:02}", f"i{(user + place) % 12:02}", place) for user in range(12) for place in range(9)
    ], columns=["user_id", "item_id", "timestamp"])
    write_inter(root(), "made", events)
    protocol = Sequences(order="time", length=4, rank_history=False, cutoffs=[1, 5])
    task = prepare("generate", "made", settings.data, protocol, torch.device("cpu"))
    own = Generative(**SETTINGS | {"scheme": scheme, "dim": 16, "hidden": 32, "layers": 1, "dropout": 0.1})
    losses = []
    for _ in range(2):
        torch.manual_seed(0)
        trainer = Adam("generate.made", Model(None, own, task.inputs), task, own, seed=1)
        losses.append([trainer.epoch(epoch) for epoch in range(1, 41)])
    assert losses[0] == losses[1]  # the same seed, the same bytes
    outputs = task.outputs(trainer.model, "test")
    assert task.measure(outputs, "test")["hit@1"] > 0.95
    items, hits = task.search(trainer.model, "test", 1, beams=3)
    assert torch.equal(items, outputs["items"][:, :1].long())
    assert torch.equal(hits, outputs["hits"][:, :1])


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValidationError, match="heads must divide dim, got 3 heads of 8"):
        Generative(**SETTINGS | {"heads": 3})
    with pytest.raises(ValidationError, match="a scheme needs a kind of identifier: one of drawn, title"):
        Generative(**SETTINGS | {"scheme": {}})
