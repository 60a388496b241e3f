"""The next item: how sequences are cut, what a model may see, and who is judged on what."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_inter
from latent_factors import models
from latent_factors.data.histories import ItemSequences
from latent_factors.errors import UserError
from latent_factors.paths import root
from latent_factors.sections import ItemKNNLast, Popular, Sequences
from latent_factors.tasks import prepare

CPU = torch.device("cpu")


def protocol(**changes) -> Sequences:
    return Sequences(**{"order": "time", "length": 4, "rank_history": False, "cutoffs": [2, 5]} | changes)


def table(sequences: dict[str, str], seed: int = 0) -> pd.DataFrame:
    """A line an event, users' items in order, written in a drawn order of lines."""
    events = [(user, item, place) for user, items in sequences.items() for place, item in enumerate(items)]
    order = np.random.default_rng(seed).permutation(len(events))
    return pd.DataFrame([events[row] for row in order], columns=["user_id", "item_id", "timestamp"])


def prepared(settings, events: pd.DataFrame, **changes):
    write_inter(root(), "made", events)
    return prepare("sequence", "made", settings.data, protocol(**changes), CPU)


SMALL = {"u": "abcdexy", "v": "badcfz", "w": "aby"}  # x, y and z are not in training; f is validation of v


def named(task, rows: torch.Tensor) -> list[str]:
    return ["".join([*task.features.tokens[0], "."][item] for item in row) for row in rows.tolist()]


def test_the_last_item_is_test_and_the_one_before_it_validation(settings):
    task = prepared(settings, table(SMALL))
    assert list(task.features.tokens[0]) == ["a", "b", "c", "d", "e"]  # by falling training frequency, then by name
    assert task.popularity.tolist() == [3, 2, 2, 2, 1]
    assert named(task, task.histories("validation")[0]) == ["bcde", "badc", "a..."]
    assert task.histories("validation")[1].tolist() == [4, 4, 1]
    assert named(task, task.histories("test")[0]) == ["bcde", "badc", "ab.."]  # of the new ones only b is known
    assert task.histories("test")[1].tolist() == [4, 4, 2]
    assert [(part, task.relevant(part).tolist()) for part in ("validation", "test")] == [
        ("validation", [1, 1, 1]), ("test", [1, 1, 1]),  # also who cannot be served
    ]
    assert [task.truths[part].counts.tolist() for part in ("validation", "test")] == [[0, 0, 1], [0, 0, 0]]


def test_who_had_the_item_before(settings):
    write_inter(root(), "made", table({"u": "abcba", "v": "bacdd", "w": "adbca", "x": "abcd"}))
    data = settings.data.model_copy(update={"duplicates": "keep"})
    task = prepare("sequence", "made", data, protocol(rank_history=True), CPU)
    assert task.again("validation").tolist() == [True, False, False, False]
    assert task.again("test").tolist() == [True, True, True, False]


def test_events_of_one_second_keep_their_order_in_the_file(settings):
    events = pd.DataFrame({"user_id": "u", "item_id": list("fbcade"), "timestamp": [2.0, 1, 1, 1, 1, 0]})
    for own, order, expected in (
        (events, "time", "ebca"), (events, "file", "fbca"), (events.drop(columns="timestamp"), "file", "fbca"),
    ):
        task = prepared(settings, own, order=order)
        assert named(task, task.histories("test")[0]) == [expected]


def test_what_cannot_be_cut_is_told_in_one_sentence(settings):
    events = table(SMALL)
    with pytest.raises(UserError, match=r"no column data.timestamp names; name it there, or set"):
        prepared(settings, events.drop(columns="timestamp"))
    with pytest.raises(UserError, match="1 of 16 events of made have no time"):
        prepared(settings, events.assign(timestamp=events["timestamp"].where(events.index != 3)))
    with pytest.raises(UserError, match=r"user w of made has 2; set data.min_user_ratings in params.yaml to 3"):
        prepared(settings, table(SMALL | {"w": "ab"}))
    with pytest.raises(UserError, match="no user of made has more than three events"):
        prepared(settings, table({"u": "abc", "v": "bca"}))


def test_windows_hold_every_item_but_the_first_as_a_target_once():
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([1, 2, 5, 6, 23, 0, 4])
    owner = torch.arange(len(counts)).repeat_interleave(counts)
    items = torch.arange(int(counts.sum()))
    sequences = ItemSequences.of(owner, items, len(counts), len(items), 4)
    seen = set()
    for _ in range(20):
        windows = sequences.windows(generator)
        assert windows.shape[1] == 5
        true = windows < len(items)
        assert (true.sum(1) > 1).all()
        assert not (true[:, 1:] & ~true[:, :-1]).any()  # filled up to the right
        assert torch.equal(windows[:, 1:][true[:, 1:]].sort().values, items[items != sequences.starts[owner]])
        follows = true[:, 1:] & true[:, :-1]
        assert (windows.diff(dim=1)[follows] == 1).all()  # runs of one sequence
        assert (owner[windows.where(true, windows[:, :1])] == owner[windows[:, :1]]).all()
        seen.add(tuple(windows[true.all(1), 0].tolist()))
    assert len(seen) > 3  # long sequences are cut elsewhere each time
    last, lengths = sequences.last(torch.tensor([4, 1, 5]))
    assert last.tolist() == [[33, 34, 35, 36], [1, 2, 41, 41], [41] * 4]
    assert lengths.tolist() == [4, 2, 0]


@pytest.mark.parametrize(("rank_history", "expected"), [(False, ["de", "de", "e."]), (True, ["ab", "ab", "ab"])])
def test_what_was_taken_is_ranked_if_told_so(settings, rank_history, expected):
    """Items a to e stand 3, 3, 3, 2 and 1 times in training; what is not left for a list stays empty."""
    events = table({"u": "abcpq", "v": "cabpr", "w": "bcadst", "x": "deyz"})
    task = prepared(settings, events, rank_history=rank_history)
    model = models.build("popular", Popular(), task.inputs)
    with torch.no_grad():
        model.sweep()
    outputs = task.outputs(model, "test")
    assert named(task, outputs["items"][:3, :2]) == expected
    assert list(task.measure(outputs, "test")) == ["ndcg@2", "hit@2", "mrr@2", "ndcg@5", "hit@5", "mrr@5"]


def test_an_item_may_be_taken_again_where_the_data_say_so(settings):
    write_inter(root(), "made", table({"u": "abacaba", "v": "bcbab", "w": "abc"}))
    with pytest.raises(UserError, match=r"rated item . before"):
        prepare("sequence", "made", settings.data, protocol(), CPU)
    data = settings.data.model_copy(update={"duplicates": "keep"})
    task = prepare("sequence", "made", data, protocol(rank_history=True), CPU)
    assert named(task, task.histories("test")[0]) == ["acab", "bcba", "ab.."]
    assert task.popularity.tolist() == [4, 3, 2]
    for name, point in (("popular", Popular()), ("itemknn_last", ItemKNNLast(neighbours=3, shrinkage=0.0, decay=0.5))):
        model = models.build(name, point, task.inputs)
        with torch.no_grad():
            model.sweep()
        assert task.outputs(model, "test")["hits"].any(1).all(), name  # a list of all items
    assert model.table().max() == pytest.approx(1)  # who has two items often has them once


def test_nothing_of_validation_and_test_reaches_training(settings):
    """Other last items leave vocabulary, counts, training sequences and what a model learned as they were."""
    task = prepared(settings, table(SMALL))
    other = prepared(settings, table({"u": "abcdeyz", "v": "badcqe", "w": "acd"}))
    assert task.features.tokens[0].equals(other.features.tokens[0])
    assert torch.equal(task.frequency, other.frequency)
    for name in ("starts", "items"):
        assert torch.equal(getattr(task.inputs.sequences, name), getattr(other.inputs.sequences, name))


def test_batches_are_the_windows_of_an_epoch_and_no_wider_than_needed(settings):
    task = prepared(settings, table({"u": "abcdefghij", "v": "bcdefgx", "w": "cab"}))
    passes = []
    for seed in (1, 1, 2):
        batches = [batch for batch, _ in task.batches(None, torch.Generator().manual_seed(seed), 2)]
        assert all((batch[:, -1] < task.catalogue).any() for batch in batches)
        targets = torch.cat([batch[:, 1:].flatten() for batch in batches])
        assert (targets < task.catalogue).sum() == task.size - task.people
        passes.append([batch.tolist() for batch in batches])
    assert passes[0] == passes[1] != passes[2]
    assert replace(task, length=2).inputs.sequences.length == 2
