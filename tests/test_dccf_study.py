"""DCCF under noise and without its parts: what is replaced, and what is measured."""

import shutil

import numpy as np
import pytest
import torch

from conftest import HOME, planted, write_inter
from latent_factors.data.noise import disturb
from latent_factors.data.table import load_interactions
from latent_factors.dccf_study import noisy, run
from latent_factors.fit import derive_seeds, fit
from latent_factors.intents import information, lift, redealt
from latent_factors.models import build
from latent_factors.settings import load_settings
from latent_factors.tasks import topk
from latent_factors.tune import edited

SMALL = {"dim": 4, "epochs": 1, "patience": 1, "batch_size": 512}


@pytest.fixture
def given(project):
    """The settings of both pipelines, made small, on made data."""
    folder = project / "replications"
    folder.mkdir()
    shutil.copy(HOME / "replications" / "params.yaml", folder)
    with edited(project / "params.yaml") as values:
        values["dataset"] = "made"
        for model in ("dccf", "lightgcn"):
            values["topk"][model].update(SMALL)
    with edited(folder / "params.yaml") as values:
        values["statistics"]["replicates"] = 100
        values["seeds"]["count"] = 2
        values["compute"] = {"device": "cpu", "threads": 1}
        values["dccf"]["noise"] = [0.1, 0.25]
    write_inter(project, "made", planted(60, 40, 2, 0.3, 0.4))
    load_settings.cache_clear()
    return load_settings(project / "params.yaml"), load_settings(folder / "params.yaml")


def test_noise_replaces_items_that_the_user_never_had(given):
    settings, _ = given
    before = load_interactions("made", settings.data, rated=False)
    rows = np.arange(0, len(before), 2)
    after = disturb(before, rows, 0.25, seed=3)
    moved = np.flatnonzero(before.item.codes != after.item.codes)
    assert len(moved) == round(0.25 * len(rows))
    assert set(moved) <= set(rows)
    assert (before.user.codes == after.user.codes).all()
    had = set(zip(before.user.codes, before.item.codes, strict=True))
    new = list(zip(after.user.codes[moved], after.item.codes[moved], strict=True))
    assert not had & set(new)
    assert len(set(new)) == len(new)
    assert (disturb(before, rows, 0.25, seed=3).item.codes == after.item.codes).all()
    assert (disturb(before, rows, 0.25, seed=4).item.codes != after.item.codes).any()


def test_only_training_is_disturbed(given):
    settings, _ = given
    task = topk.prepare("made", settings.data, settings.ranking, torch.device("cpu"))
    other = noisy(task, 0.25, seed=1)
    for part in ("validation", "test"):
        assert torch.equal(task.relevant(part), other.relevant(part))
        for one in (task, other):
            rows = getattr(one.parts, part)
            assert (one.interactions.item[rows] == task.interactions.item[rows]).all()
    assert other.size == task.size
    moved = other.interactions.item[task.parts.train] != task.interactions.item[task.parts.train]
    assert moved.mean() == pytest.approx(0.25, abs=0.01)


def test_what_was_replaced_is_neither_trained_on_nor_ranked(given):
    settings, _ = given
    task = topk.prepare("made", settings.data, settings.ranking, torch.device("cpu"))
    other = noisy(task, 0.25, seed=1)

    class Everything(torch.nn.Module):
        def scorer(self):
            return lambda users: torch.ones(len(users), other.catalogue)

    items, _ = other.recommend(Everything(), "test", other.catalogue)
    tokens = other.features.tokens[1]
    ranked = other.catalogue - other._before["test"].counts[other.persons["test"]]
    for person, row, number in zip(other.persons["test"].tolist(), items.tolist(), ranked.tolist(), strict=True):
        listed = {tokens[item] for item in row[:number]}
        for one in (task, other):  # neither what the user had before, nor what stands in its place
            own = one.interactions.item[one.parts.train][one.interactions.user.codes[one.parts.train] == person]
            assert not listed & set(own)
    moved = other.interactions.item[task.parts.train] != task.interactions.item[task.parts.train]
    trained = other.train[torch.from_numpy(np.flatnonzero(moved))]
    assert len(other.hidden) == len(trained)
    assert not set(map(tuple, other.ids[other.hidden].tolist())) & set(map(tuple, other.train.tolist()))


def test_the_study_measures_what_the_task_measures(given):
    settings, shared = given
    found = run(shared.dccf, settings, shared.seeds, shared.compute, shared.statistics)
    assert [effect["claim"] for effect in found["effects"]] == [*shared.dccf.ablations, shared.dccf.claim]
    ndcg = {(row["model"], row["share"]): row["ndcg"]["mean"] for row in found["noise"]}
    lost = {(row["model"], row["share"]): row["lost"]["mean"] for row in found["noise"] if row["share"]}
    task = topk.prepare("made", settings.data, settings.ranking, torch.device("cpu"))
    for model in ("dccf", "lightgcn"):
        point = getattr(settings.topk, model)
        seeds = derive_seeds(shared.seeds, f"topk.{model}")
        trained = fit(f"topk.{model}", lambda: build(model, point, task.inputs), task, point, seeds).models  # noqa: B023
        measured = [task.measure(task.outputs(one, "test"), "test")["ndcg@10"].item() for one in trained]
        assert ndcg[model, 0.0] == pytest.approx(np.mean(measured), abs=2e-6)
        assert lost[model, 0.25] == pytest.approx(1 - ndcg[model, 0.25] / ndcg[model, 0.0], abs=1e-5)
    for row, effect in zip(found["ablations"], found["effects"], strict=False):
        assert effect["mean"] == pytest.approx(ndcg["dccf", 0.0] - row["ndcg"]["mean"], abs=3e-6)
    assert found["effects"][-1]["mean"] == pytest.approx(lost["lightgcn", 0.25] - lost["dccf", 0.25], abs=3e-6)


def test_what_a_prototype_tells_of_a_genre():
    genres = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    assert information(np.array([0, 0, 1, 1]), genres) == pytest.approx(1)
    assert information(np.array([0, 1, 0, 1]), genres) == pytest.approx(0)
    assert information(np.array([0, 0, 1, 1]), np.ones((4, 2), bool)) == pytest.approx(0)
    assert information(np.array([0, 1]), np.zeros((2, 3), bool)) == 0
    prototype = np.array([0, 0, 1, 1])
    assert redealt(prototype, genres, np.array([0, 0, 1, 1]), 5, seed=0).tolist() == pytest.approx([1.0] * 5)
    chance = redealt(prototype, genres, np.zeros(4), 600, seed=0)
    assert chance.mean() == pytest.approx(1 / 3, abs=0.1)  # two of the six deals tell the genre, the others nothing
    assert lift(np.array([0, 0, 2, 2]), genres)[[0, 2]].tolist() == [[2.0, 0.0], [0.0, 2.0]]
