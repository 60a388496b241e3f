"""What stands for an item in a table: keys by hand, sub-words by hand, and what they do for items nobody has taken."""

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_inter
from latent_factors.data.items import Items
from latent_factors.data.newcomers import split_with_new_items
from latent_factors.data.table import load_interactions
from latent_factors.errors import UserError
from latent_factors.evaluate import auc
from latent_factors.fit import fit_run
from latent_factors.identifiers.keys import Coded, content, make, ngrams, scattered, single, subwords
from latent_factors.identifiers.pieces import NOTHING, pieces
from latent_factors.identifiers.projected import content_vectors, projected
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.sections import FM, Keys, NewItems, Residual
from latent_factors.tasks.keyed import KeyedClicks

CODES = np.array([[0, 1, 2, 0, 1], [0, 1, 0, 2, 2], [2, 1, 2, 0, 1]])  # five levels of three codes
POINT = FM(
    dim=4, learning_rate=0.02, l2=0.1, l2_bias=0.1, l2_power=0.5, batch_size=256, epochs=40, patience=40,
)


def shown(keys) -> list[list[int]]:
    """The rows of each item, without those of no weight."""
    return [row[weight > 0].tolist() for row, weight in zip(keys.ids, keys.weights, strict=True)]


def test_unigrams_have_a_table_a_level():
    keys = ngrams(CODES, 3, 1, 15, 0)
    assert keys.rows == 15
    assert shown(keys) == [[0, 4, 8, 9, 13], [0, 4, 6, 11, 14], [2, 4, 8, 9, 13]]


def test_bigrams_do_not_overlap_and_the_last_key_is_as_long_as_codes_are_left():
    keys = ngrams(CODES, 3, 2, 27, 0)
    assert keys.rows == 27
    assert shown(keys) == [[1, 9 + 6, 18 + 1], [1, 9 + 2, 18 + 2], [7, 9 + 6, 18 + 1]]
    assert keys.mean == 3
    assert keys.different == 3


def test_bigrams_that_find_no_room_are_hashed_within_the_share_of_their_place():
    keys = ngrams(CODES, 3, 2, 12, 5)  # four rows a place, for nine pairs
    assert keys.rows == 12
    assert (keys.ids // 4 == torch.arange(3)).all()
    assert keys.ids[0, 1:].tolist() == keys.ids[2, 1:].tolist()
    assert keys.ids[0, 0] == keys.ids[1, 0]
    first = [scattered(np.array([value]), 5)[0] % 4 for value in (1, 1, 7)]
    assert keys.ids[:, 0].tolist() == first
    with pytest.raises(UserError, match=r"keys of 2 codes: 2 rows for 3 places; raise rows in params\.yaml"):
        ngrams(CODES, 3, 2, 2, 0)


def test_hashes_depend_on_the_seed_and_fill_a_table_evenly():
    first, again, other = (scattered(np.arange(8000), seed) % 8 for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first == other).mean() == pytest.approx(1 / 8, abs=0.02)
    assert np.bincount(first, minlength=8) == pytest.approx(1000, abs=150)
    assert (scattered(np.arange(8000), 0) >= 0).all()


def test_sub_words_are_merged_by_hand():
    """Pairs count once an event: (0, 4) 5 + 1, then (9, 8) is (0 4, 8) 5; the third item has no event."""
    codes = np.array([[0, 1, 2], [0, 1, 0], [1, 1, 2], [1, 0, 0]])
    events = np.array([5, 1, 0, 2])
    assert pieces(codes, 3, events, 9)[0].tolist() == [[0, 4, 8], [0, 4, 6], [1, 4, 8], [1, 3, 6]]
    spelled, known = pieces(codes, 3, events, 10)
    assert known == 10
    assert spelled.tolist() == [[9, 8, NOTHING], [9, 6, NOTHING], [1, 4, 8], [1, 3, 6]]
    spelled, known = pieces(codes, 3, events, 11)
    assert spelled.tolist() == [[10, NOTHING, NOTHING], [9, 6, NOTHING], [1, 4, 8], [1, 3, 6]]
    spelled, known = pieces(codes, 3, events, 100)
    assert known == 9 + 5  # the pieces of the item without events stay apart
    assert spelled.tolist()[2] == [1, 4, 8]
    assert sorted(spelled[[0, 1, 3], 0].tolist()) == [10, 12, 13]
    keys = subwords(codes, 3, events, 10)
    assert shown(keys) == [[9, 8], [9, 6], [1, 4, 8], [1, 3, 6]]
    assert keys.mean == 2.5
    with pytest.raises(UserError, match=r"sub-words: 8 rows for 3 levels of 3 codes; raise rows in params\.yaml"):
        subwords(codes, 3, events, 8)


def test_a_new_item_is_cut_by_what_was_merged_for_others():
    codes = np.array([[0, 1, 2], [0, 1, 0]])
    assert pieces(codes, 3, np.array([3, 0]), 10)[0].tolist() == [[9, 8, NOTHING], [9, 6, NOTHING]]


def test_every_kind_of_keys_can_be_made():
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]])
    coded = Coded(CODES, 3, vectors, np.ones(3, int))
    assert shown(make(Keys(plain={}), coded)) == [[0], [1], [2]]
    hashed = make(Keys(hashed={"rows": 2, "seed": 0}), coded)
    assert hashed.rows == 2
    assert hashed.ids.max() < 2
    assert shown(make(Keys(ngrams={"length": 1, "rows": 15, "seed": 0}), coded)) == shown(ngrams(CODES, 3, 1, 15, 0))
    assert make(Keys(subwords={"rows": 15}), coded).rows == 15
    own = make(Keys(content={}), coded)
    assert (own.rows, own.weights.tolist()) == (2, vectors.tolist())
    assert own.different == 3


def events(root, users: int, items: int, rating) -> object:
    """Every user rates every item."""
    u, i = np.divmod(np.arange(users * items), items)
    table = pd.DataFrame({"user_id": u.astype(str), "item_id": i.astype(str), "rating": rating(u, i).astype(float)})
    write_inter(root, "made", table)


def clicks(settings, shares: NewItems) -> KeyedClicks:
    read = load_interactions("made", settings.data)
    label = (read.rating > 3).astype(np.float32)
    blank = pd.Series("", index=read.item.categories)
    return KeyedClicks(read, split_with_new_items(read, shares), label, Items(blank, blank.to_frame()[[]], blank))


SHARES = NewItems(items=0.2, validation=0.1, test=0.1, seed=1)


def test_new_items_are_in_one_part_alone_and_known_ones_in_all(settings):
    events(root(), 30, 20, lambda u, i: 1 + 4 * ((u + i) % 2))
    made = clicks(settings, SHARES)
    seen = {part: set(made.events.item.codes[rows]) for part, rows in made.parts}
    assert {part: len(rows) for part, rows in made.parts} == {"train": 288, "validation": 156, "test": 156}
    new = {part: set(made.events.item.codes[getattr(made.parts, part)[made.new(part)]]) for part in seen}
    assert (new["train"], len(new["validation"]), len(new["test"])) == (set(), 4, 4)
    assert not new["test"] & (seen["train"] | seen["validation"])
    assert seen["validation"] - new["validation"] <= seen["train"]
    assert np.concatenate([rows for _, rows in made.parts]).size == 600
    with pytest.raises(UserError, match="made: validation has not both items that training has and"):
        clicks(settings, SHARES.model_copy(update={"items": 0.001}))


def test_items_of_equal_codes_score_alike_and_gradients_are_those_of_a_loop(settings):
    events(root(), 12, 10, lambda u, i: 1 + 4 * ((u + i) % 2))
    made = clicks(settings, SHARES)
    generator = np.random.default_rng(0)
    codes = generator.integers(3, size=(10, 3))
    codes[7] = codes[2]
    keys = subwords(codes, 3, made.counts, 12)
    task = made.task(keys, torch.device("cpu"))
    torch.manual_seed(0)
    model = build("fm", POINT, task.inputs)
    assert task.inputs.number == 12 + 1 + keys.rows  # users, one for those not seen, rows
    start = task.features.starts[1]
    with torch.no_grad():
        model.embedding.weight.normal_()
        model.first.weights.weight.normal_()
    ids, values, _ = task.train
    scores = model(ids.long(), values)
    table, first = model.embedding.weight, model.first.weights.weight
    spelled = shown(keys)
    items = made.events.item.codes[made.parts.train]
    wanted = torch.stack([
        model.first.bias + first[user, 0] + sum(first[start + row, 0] for row in spelled[item])
        + table[user] @ sum(table[start + row] for row in spelled[item])
        for user, item in zip(ids[:, 0].tolist(), items, strict=True)
    ])
    assert scores.tolist() == pytest.approx(wanted.tolist(), abs=1e-5)
    weight = torch.randn(len(scores))
    found, plain = (torch.autograd.grad(own @ weight, (table, first), retain_graph=True) for own in (scores, wanted))
    for one, other in zip(found, plain, strict=True):
        assert one.flatten().tolist() == pytest.approx(other.flatten().tolist(), abs=1e-4)
    alike = torch.tensor([[0, task.features.number + 2], [0, task.features.number + 7]])
    assert len(set(model(alike, values[:2]).tolist())) == 1


def test_rows_are_counted_by_the_events_that_hold_them(settings):
    events(root(), 12, 10, lambda u, i: 1 + 4 * ((u + i) % 2))
    made = clicks(settings, SHARES)
    task = made.task(single(np.arange(10) % 3, 4), torch.device("cpu"))
    counts = task.features.counts[task.features.starts[1] :]
    assert counts.tolist() == [int(made.counts[np.arange(10) % 3 == row].sum()) for row in range(3)] + [0]
    assert int(task.features.counts[:13].sum()) == task.size
    model = build("fm", POINT, task.inputs)
    assert (model.embedding.weight[-1] == 0).all()  # a row of no event


def test_codes_tell_the_worth_of_items_that_nobody_has_taken(settings):
    """A user likes one parity of the first code: keys made of codes read it off, rows of an item's own cannot."""
    generator = np.random.default_rng(0)
    codes = generator.integers(4, size=(60, 3))
    events(root(), 40, 60, lambda u, i: 1 + 4 * ((u + codes[i, 0]) % 2))
    made = clicks(settings, SHARES)
    own = codes[made.events.item.categories.astype(int)]
    coded = Coded(own, 4, torch.nn.functional.one_hot(torch.from_numpy(own[:, 0]), 4).float(), made.counts)
    new, reached = torch.from_numpy(made.new("test")), {}
    for name, keys in {
        "plain": Keys(plain={}), "hashed": Keys(hashed={"rows": 16, "seed": 0}), "content": Keys(content={}),
        "unigrams": Keys(ngrams={"length": 1, "rows": 12, "seed": 0}),
        "bigrams": Keys(ngrams={"length": 2, "rows": 32, "seed": 0}), "sub-words": Keys(subwords={"rows": 16}),
    }.items():
        task = made.task(make(keys, coded), torch.device("cpu"))
        model, _, _ = fit_run("keys.fm", lambda task=task: build("fm", POINT, task.inputs), task, POINT, 1)
        reached[name] = auc(task.predict(model, *task.test[:2])[new], task.test[2][new]).item()
    assert min(reached[name] for name in ("content", "unigrams", "bigrams", "sub-words")) > 0.95, reached
    assert max(reached["plain"], reached["hashed"]) < 0.7, reached


def test_directions_come_from_the_items_of_training_alone():
    rows = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [3.0, 2.0, 0.0], [0.0, 0.0, 9.0], [1.0, 0.0, 5.0]])
    trained = torch.tensor([True, True, True, False, False])
    found = projected(rows, trained, 2)
    inner = found[:3] @ found[:3].T
    wanted = torch.nn.functional.normalize(rows[:3], dim=1)
    assert inner.flatten().tolist() == pytest.approx((wanted @ wanted.T).flatten().tolist(), abs=1e-6)
    assert found[3].tolist() == pytest.approx([0, 0], abs=1e-6)  # nothing of it was seen
    assert found[4].norm().item() == pytest.approx(1)
    assert projected(rows, trained, 5).shape == (5, 5)


def test_content_of_new_items_teaches_nothing():
    items = Items(
        pd.Series(["the film", "the play", "unheard unheard", "a film"]),
        pd.DataFrame({"Drama": [True, True, False, False], "War": [False, True, True, False]}),
        pd.Series([1990.0, 1992.0, 2020.0, 1991.0]),
    )
    settings = Residual(
        source="content", levels=1, codes=2, dim=3, hidden=4, beta=0.25, epochs=1, batch_size=4, seed=0, words=1.0,
        year=1.0,
    )
    trained = np.array([True, True, False, True])
    found = content_vectors(items, trained, settings)
    changed = Items(
        items.title.replace("unheard unheard", "other"), items.genres, items.year.replace(2020.0, 1993.0)
    )
    assert torch.equal(found[[0, 1, 3]], content_vectors(changed, trained, settings)[[0, 1, 3]])
    assert found.norm(dim=1).tolist() == pytest.approx([1] * 4)


def test_a_linear_map_of_the_content_is_a_sum_of_rows():
    keys = content(torch.tensor([[0.6, 0.8], [1.0, 0.0]]))
    table = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    assert ((table[keys.ids] * keys.weights[..., None]).sum(1)[0]).tolist() == pytest.approx([8.6, 17.2, 25.8])
