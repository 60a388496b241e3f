"""Trained models by name: what they answer, and what is refused."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import latent_factors
import tiny
from latent_factors.data.atomic import read_atomic
from latent_factors.errors import UserError
from latent_factors.runs import load_run
from latent_factors.settings import load_settings, points


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tiny.train(tmp_path_factory.mktemp("made"))


@pytest.fixture
def trained(made, project):
    """A copy of it, as the working folder."""
    return shutil.copytree(made, project, dirs_exist_ok=True)


def test_importing_the_package_is_cheap():
    code = "import sys, latent_factors; sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'numpy')))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_recommender_names_what_the_user_has_not(trained):
    popular = latent_factors.load("tiny-topk-popular")
    events = read_atomic(trained / "data/tiny/tiny.inter")
    train = events.iloc[popular.task.parts.train]
    counts = train["item_id"].value_counts()
    user = train["user_id"].iloc[0]
    best = popular.recommend(user, 5)
    left = counts.drop(train.loc[train["user_id"] == user, "item_id"])
    assert best["score"].tolist() == left.sort_values(ascending=False)[:5].tolist()
    assert (left[best["item"]].to_numpy() == best["score"]).all()
    titles = read_atomic(trained / "data/tiny/tiny.item").set_index("item_id")["movie_title"]
    assert best["title"].tolist() == titles[best["item"]].tolist()
    assert len(popular.recommend(user, 1000)) == len(left)

    (trained / "data/tiny/tiny.item").unlink()
    untitled = replace(popular)
    assert list(untitled.recommend(user, 5)) == ["item", "score"]
    assert untitled.recommend(user, 5)["item"].tolist() == best["item"].tolist()


def test_a_model_of_releases_recommends_unseen_items(trained):
    model = latent_factors.load("tiny-release-popular_genre")
    fresh = model.task.interactions.item.categories[model.task.films["test"]]
    best = model.recommend("u0", 50)
    assert set(best["item"]) == set(fresh)
    assert best["score"].is_monotonic_decreasing


def test_a_model_of_the_next_item_goes_by_the_last_one(trained):
    model = latent_factors.load("tiny-sequence-markov")
    events = read_atomic(trained / "data/tiny/tiny.inter").sort_values("timestamp", kind="stable")
    own = events.loc[events["user_id"] == "u0", "item_id"].tolist()[:-1]  # the last one is test
    best = model.recommend("u0", 1000)
    assert not set(best["item"]) & set(own)
    assert best["score"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(model.follow(own, 1000), best)
    assert model.follow(["i1", own[-1]], 1)["score"][0] >= best["score"][0]  # fewer items are left out
    with pytest.raises(UserError, match=r"sequence.markov has nothing to go by in an empty history; name at least one"):
        model.follow([])
    with pytest.raises(UserError, match=r"tiny has no training item i99; name one that it has, such as i\d"):
        model.follow(["i1", "i99"])
    with pytest.raises(UserError, match=r"tiny has no user u; name one that it has, such as u\d"):
        model.recommend("u")


def test_each_run_has_its_own_weights(trained):
    first, second = (latent_factors.load("tiny-topk-bpr", run) for run in (0, 1))
    assert first.settings == points("topk", "bpr", tiny.TRAINED["topk", "bpr"])[0]
    assert not first.module.training
    assert not torch.equal(first.module.embedding.weight, second.module.embedding.weight)
    scores = first.module.embedding.weight[0] @ first.module.embedding.weight[first.task.inputs.items].T
    best = first.recommend(first.task.features.tokens[0][0], 1)
    place = first.task.features.tokens[1].get_loc(best["item"][0])
    assert best["score"][0] == pytest.approx(scores[place].item())


def test_a_rater_adds_biases_of_whom_it_knows(trained):
    model = latent_factors.load("tiny-rating-biases")
    rows = pd.DataFrame({"item_id": ["i1", "i1", "new"], "user_id": ["u2", "new", "new"]}, index=[5, 6, 7])
    predicted = model.predict(rows)
    user, item = (tokens.get_loc(name) for tokens, name in zip(model.task.features.tokens, ("u2", "i1"), strict=True))
    bias = model.module.bias.tolist()
    first = int(model.task.features.starts[1])
    by_hand = [model.task.mean + bias[user] + bias[first + item], model.task.mean + bias[first + item], model.task.mean]
    assert predicted.index.tolist() == [5, 6, 7]
    np.testing.assert_allclose(predicted, np.clip(by_hand, model.task.low, model.task.high), rtol=1e-5)
    with pytest.raises(UserError, match=r"no column user_id, which rating.biases needs; it takes user_id, item_id"):
        model.predict(rows[["item_id"]])


def test_a_clicker_takes_rows_of_the_inter_file(trained):
    model = latent_factors.load("tiny-ctr-lr")
    lines = model.task.lines("test")
    rows = read_atomic(trained / "data/tiny/tiny.inter").iloc[lines - 2].drop(columns="rating")
    expected = load_run(trained / "build/train/tiny-ctr-lr", model.task).outputs["test"]["probability"][0, 0]
    np.testing.assert_array_equal(model.predict(rows), expected)
    np.testing.assert_allclose(model.predict(rows[3:4]), expected[3:4], rtol=1e-6)
    rows["timestamp"] = "noon"
    with pytest.raises(UserError, match=r"timestamp is 'noon' in a row, and ctr.lr needs a number; correct it"):
        model.predict(rows)


def test_what_cannot_be_loaded(trained):
    popular = latent_factors.load("tiny-topk-popular")
    with pytest.raises(UserError, match=r"tiny has no user u; name one that it has, such as u\d"):
        popular.recommend("u")
    with pytest.raises(UserError, match=r"holds no model tiny-topk-bqr; did you mean tiny-topk-bpr or"):
        latent_factors.load("tiny-topk-bqr")
    with pytest.raises(UserError, match=r"tiny-topk-bpr has no run 2; name one from 0 to 1"):
        latent_factors.load("tiny-topk-bpr", 2)

    params = trained / "params.yaml"
    params.write_text(params.read_text().replace("seed: 2026", "seed: 2027"))
    load_settings.cache_clear()
    with pytest.raises(UserError, match=r"was trained on another split than params.yaml names"):
        latent_factors.load("tiny-topk-bpr")
    with (trained / "data/tiny/tiny.inter").open("a") as file:
        file.write("u0\ti_new\t3\t0\n")
    with pytest.raises(UserError, match=r"was trained on other data than data/tiny holds now; run `dvc repro`"):
        latent_factors.load("tiny-topk-bpr")


def test_nothing_is_trained(project):
    with pytest.raises(UserError, match="build/train holds no trained model; `dvc repro` trains them"):
        latent_factors.load("tiny-topk-bpr")


def test_a_user_without_training_events(trained):
    popular = latent_factors.load("tiny-topk-popular")
    users, items = popular.task.features.tokens
    cold = users[3]
    features = replace(popular.task.features, tokens=(users.drop(cold), items))
    without = replace(popular, task=replace(popular.task, features=features))
    with pytest.raises(UserError, match=rf"user {cold} of tiny has no training event, so topk.popular knows nothing"):
        without.recommend(cold)
