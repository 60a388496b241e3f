from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from latent_factors.data.features import rank_features
from latent_factors.data.splits import split
from latent_factors.data.table import Interactions
from latent_factors.errors import UserError
from latent_factors.sections import Split


def events(users, times=None) -> Interactions:
    number = len(users)
    return Interactions(
        "made", pd.Categorical([str(u) for u in users]), pd.Categorical([str(n) for n in range(number)]),
        np.ones(number, np.float32), None if times is None else np.array(times, float), np.arange(2, number + 2), {},
    )


def cut(kind: str, interactions, validation=0.2, test=0.2, seed=0):
    return split(interactions, Split(kind=kind, validation=validation, test=test, seed=seed))


made = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=15, max_size=60)


def parts_are_a_partition(parts, number):
    joined = np.concatenate([rows for _, rows in parts])
    assert sorted(joined) == list(range(number))
    assert all((np.diff(rows) > 0).all() for _, rows in parts)


@given(made, st.integers(0, 5))
def test_random_parts(pairs, seed):
    whole = events([u for u, _ in pairs])
    parts = cut("random", whole, seed=seed)
    parts_are_a_partition(parts, len(pairs))
    assert (len(parts.validation), len(parts.test)) == (round(0.2 * len(pairs)),) * 2
    again = cut("random", whole, seed=seed)
    assert np.array_equal(parts.test, again.test)


@given(made)
def test_leave_last_out_leaves_nothing_later(pairs):
    users, times = zip(*pairs, strict=True)
    counts = pd.Series(users).value_counts()
    assume(counts.min() >= 3)
    parts = cut("leave-last-out", events(users, times))
    parts_are_a_partition(parts, len(pairs))
    users, times = np.array(users), np.array(times)
    for user in set(users.tolist()):
        (last,), (before,) = (rows[users[rows] == user] for rows in (parts.test, parts.validation))
        known = parts.train[users[parts.train] == user]
        assert times[known].max() <= times[before] <= times[last]


@given(made)
def test_global_time_leaves_nothing_later_and_splits_no_second(pairs):
    users, times = zip(*pairs, strict=True)
    try:
        parts = cut("global-time", events(users, times))
    except UserError as error:
        assert "leaves no" in str(error)
        return
    parts_are_a_partition(parts, len(pairs))
    times = np.array(times)
    assert times[parts.train].max() < times[parts.validation].min()
    assert times[parts.validation].max() < times[parts.test].min()


@given(made)
def test_the_vocabulary_is_that_of_the_training_part(pairs):
    whole = events([u for u, _ in pairs])
    parts = cut("random", whole)
    features = rank_features(("user",), [whole.user], parts.train)
    codes = np.asarray(whole.user)
    assert set(features.tokens[0]) == set(codes[parts.train])
    counts = features.counts[:-1]
    assert (np.diff(counts) <= 0).all()
    assert counts.sum() == len(parts.train)
    assert features.counts[-1] == 0
    ids = features.encode([whole.user])[:, 0]
    known = np.isin(codes, codes[parts.train])
    assert (ids[~known] == len(features.tokens[0])).all()
    assert (features.tokens[0][ids[known]] == codes[known]).all()


def test_features_by_hand():
    user = pd.Categorical(["b", "a", "b", "c", "a", "d"])
    item = pd.Categorical(["x", "x", "y", "y", "x", "z"])
    features = rank_features(("user", "item"), [user, item], np.array([0, 1, 2, 3]))  # d and z are unseen
    assert [list(tokens) for tokens in features.tokens] == [["b", "a", "c"], ["x", "y"]]
    assert features.starts.tolist() == [0, 4]
    assert features.counts.tolist() == [2, 1, 1, 0, 2, 2, 0]
    assert features.encode([user, item]).tolist() == [[0, 4], [1, 4], [0, 5], [2, 5], [1, 4], [3, 6]]
    assert features.blocks(0, 2).tolist() == [0, 0, 1, 1]


def test_a_time_split_needs_times():
    for kind in ("leave-last-out", "global-time"):
        with pytest.raises(UserError, match=f"split.kind {kind} needs times, and made has no column"):
            cut(kind, events([0, 0, 0, 1, 1, 1]))
    with pytest.raises(UserError, match="1 of 3 events of made have no time"):
        cut("global-time", events([0, 0, 0], [1, np.nan, 2]))


def test_a_user_with_one_rating():
    with pytest.raises(UserError, match=r"user 1 of made has 1; set data.min_user_ratings in params.yaml to 3"):
        cut("leave-last-out", events([0, 0, 0, 1], [1, 2, 3, 4]))
    parts = cut("random", events([0, 0, 0, 1, 2, 3, 4, 5, 6, 7]))
    parts_are_a_partition(parts, 10)


def test_given_parts():
    whole = events(range(12))
    with pytest.raises(UserError, match=r"split.kind given needs a column split:token in made.inter"):
        cut("given", whole)
    told = ["train"] * 8 + ["test"] * 4
    parts = cut("given", replace(whole, part=pd.Categorical(told), user=None), validation=0.25)
    assert parts.test.tolist() == [8, 9, 10, 11]
    assert len(parts.validation) == 2
    parts_are_a_partition(parts, 12)
    users = np.array([0, 0, 0, 0, 1, 1, 2, 0, 0, 1, 1, 2])  # with 5, 2 and 1 training rows: 0.4 of them are 2, 1 and 0
    owned = replace(events(users), part=pd.Categorical(told))
    parts = cut("given", owned, validation=0.4)
    assert np.bincount(users[parts.validation], minlength=3).tolist() == [2, 1, 0]
    assert parts.test.tolist() == [8, 9, 10, 11]
    parts_are_a_partition(parts, 12)
    drawn = {tuple(cut("given", owned, validation=0.4, seed=seed).validation) for seed in range(20)}
    assert len(drawn) > 5
    whole = replace(whole, user=None)
    told[3] = "validation"
    parts = cut("given", replace(whole, part=pd.Categorical(told)), validation=0.25)
    assert (parts.validation.tolist(), len(parts.train)) == ([3], 7)
    told[5] = "dev"
    with pytest.raises(UserError, match=r"made.inter, line 7: split is 'dev', not one of train, validation, test"):
        cut("given", replace(whole, part=pd.Categorical(told)))


def test_a_part_must_not_be_empty():
    with pytest.raises(UserError, match="leaves no validation rows of 3"):
        cut("random", events([0, 1, 2]), validation=0.1, test=0.4)
