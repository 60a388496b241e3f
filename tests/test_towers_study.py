"""The study of two towers: fewer events change what is learned from, not what is judged."""

import numpy as np
import pytest
import torch

from conftest import write_films
from latent_factors import ranking, towers_study
from latent_factors.sections import Compute, Seeds, TowersStudy
from latent_factors.tasks import topk

SEEDS, CPU = Seeds(root=1, count=2), Compute(device="cpu", threads=1)
SMALL = {"dim": 3, "hidden": [5, 4], "batch_size": 64, "epochs": 2}


@pytest.fixture
def settings(project, settings):
    """The project's settings, with small towers, on made data."""
    write_films(project)
    points = {name: getattr(settings.topk, name).model_copy(update=SMALL) for name in towers_study.MODELS}
    return settings.model_copy(update={
        "dataset": "made", "topk": settings.topk.model_copy(update=points),
        "statistics": settings.statistics.model_copy(update={"replicates": 100}),
    })


def test_fewer_events_change_what_is_learned_from_and_nothing_else(settings):
    task = topk.prepare("made", settings.data, settings.ranking, torch.device("cpu"))
    few = towers_study.thin(task, 0.3, seed=1)
    assert few.size == round(0.3 * task.size)
    assert set(few.parts.train) < set(task.parts.train)
    assert few.catalogue == task.catalogue
    assert few.popularity.sum() == few.size
    assert few.inputs.attributes(2).item.ids.equal(task.inputs.attributes(2).item.ids)
    for part in ("validation", "test"):
        assert np.array_equal(getattr(few.parts, part), getattr(task.parts, part))
        assert few._before[part].items.equal(task._before[part].items)
    assert towers_study.thin(task, 1.0, seed=1) is task


def test_what_is_told_is_what_the_task_measures(settings):
    changes = [{"pattern": "rfm"}, {"ssl_draw": "training"}, {"log_q": False}]
    study = TowersStudy(changes=changes, shares=[0.3], trials=1)
    found = towers_study.run(study, settings, SEEDS, CPU, settings.statistics)
    assert [row["change"] for row in found["changes"]] == changes
    few, whole = found["shares"]
    assert (few["share"], whole["share"]) == (0.3, 1.0)
    assert few["models"]["towers"]["settings"]["batch_size"] == round(0.3 * SMALL["batch_size"])
    assert whole["models"]["towers"]["settings"] == settings.topk.towers.model_dump()
    effects = {row["claim"]: row["mean"] for row in found["effects"]}
    assert set(effects) == {*towers_study.CLAIMS, "ssl-helps-sparse-more"}
    assert effects["ssl-helps-sparse-more"] == pytest.approx(
        few["gain"]["ndcg"]["mean"] - whole["gain"]["ndcg"]["mean"], abs=3e-6
    )
    for row in found["changes"]:
        for name, lost in row["lost"].items():
            assert lost["mean"] == pytest.approx(found["reference"][name]["mean"] - row[name]["mean"], abs=3e-6)
            assert lost["low"] <= lost["mean"] <= lost["high"]


def test_recall_within_a_slice_by_hand():
    items = torch.tensor([[0, 3, -1], [2, 1, 0]])
    hits = torch.tensor([[True, True, False], [True, False, True]])
    inside = torch.tensor([True, False, True, False])
    recall = ranking.recall_within(hits, items, inside, torch.tensor([2, 4]), 2)
    assert recall.tolist() == [0.5, 0.25]
