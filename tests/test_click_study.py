"""Models of clicks on larger data: what is measured, and that the winners of tuning stand where they are read."""

import json
import shutil

import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from conftest import HOME, write_inter
from latent_factors import tune_clicks
from latent_factors.click_claims import CLAIMS
from latent_factors.click_study import run
from latent_factors.data import planted
from latent_factors.errors import UserError
from latent_factors.fit import derive_seeds
from latent_factors.sections import CTR, Compute, Seeds
from latent_factors.settings import load_settings
from latent_factors.tasks import prepare
from latent_factors.training import train_points
from latent_factors.tune import edited

SEEDS, CPU = Seeds(root=1, count=2), Compute(device="cpu", threads=1)
SMALL = {"epochs": 2, "patience": 2, "batch_size": 256}


@pytest.fixture
def study(project):
    """The first study of replications/params.yaml, made small, on made data."""
    folder = project / "replications"
    folder.mkdir()
    (folder / "dvc.yaml").touch()
    shutil.copy(HOME / "replications" / "params.yaml", folder)
    with edited(folder / "params.yaml") as values:
        values["statistics"]["replicates"] = 100
        own = values["click_studies"]["ml-1m"]
        own.update(dataset="made", task="ctr", trials=2)
        for model in own["models"].values():
            model.update(SMALL | ({"dim": 4, "head_dim": 4} if "heads" in model else {}))
    write_inter(folder, "made", planted.clicks(60, 50, 1500, [2, 1], 2.0, 1.5, 0))
    return "ml-1m"


def replications(project):
    load_settings.cache_clear()
    return load_settings(project / "replications" / "params.yaml")


def test_scores_are_those_of_scikit_learn_and_differences_those_of_the_scores(project, study, monkeypatch):
    settings = replications(project)
    own = settings.click_studies[study]
    monkeypatch.chdir(project / "replications")
    found = run(own, SEEDS, CPU, settings.statistics)
    rows = {row["model"]: row for row in found["models"]}
    assert list(rows) == list(CTR.model_fields)
    task = prepare("ctr", "made", own.data, own.protocol, torch.device("cpu"))
    (fitted,) = train_points("ctr.fm", task, [own.models.fm], derive_seeds(SEEDS, "ctr.fm"), CPU)
    ids, values, label = task.test
    chances = [task.predict(model, ids, values).double().numpy() for model in fitted.models]
    for name, metric in (("auc", roc_auc_score), ("logloss", log_loss)):
        assert rows["fm"][name]["mean"] == pytest.approx(
            sum(metric(label.numpy(), chance) for chance in chances) / 2, abs=2e-6
        )
    assert rows["deepfm"]["over_deepfm"] == {"mean": 0, "low": 0, "high": 0}
    for effect in found["effects"]:
        one, other = CLAIMS[effect["claim"]]
        assert effect["mean"] == pytest.approx(rows[one]["auc"]["mean"] - rows[other]["auc"]["mean"], abs=3e-6)
        assert effect["low"] <= effect["mean"] <= effect["high"]
    assert found["rows"] == {part: len(lines) for part, lines in task.parts}


def test_winners_go_into_the_study_and_trials_into_the_record(project, study, capsys):
    tune_clicks.main([study])
    trials = pd.read_csv(project / "reports" / "tuning" / "clicks.csv")
    assert trials.groupby("model").size().to_dict() == dict.fromkeys(CTR.model_fields, 2)
    models = replications(project).click_studies[study].models
    for model, own in trials.groupby("model"):
        winner = json.loads(own.loc[own["validation"].idxmin(), "settings"])
        assert {key: getattr(getattr(models, model), key) for key in winner} == winner
        assert getattr(models, model).epochs == 2
    assert "ml-1m: best validation logloss of 2 trials each" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"ml-2m is no study of clicks in .*: choose from ml-1m"):
        tune_clicks.main(["ml-2m"])


def test_the_studies_in_git_are_set_by_the_best_of_their_trials():
    studies = load_settings(HOME / "replications" / "params.yaml").click_studies
    trials = pd.read_csv(HOME / "reports" / "tuning" / "clicks.csv")
    assert set(trials["name"]) == set(studies)
    for (name, model), own in trials.groupby(["name", "model"]):
        assert len(own) == studies[name].trials
        winner = json.loads(own.loc[own["validation"].idxmin(), "settings"])
        assert {key: getattr(getattr(studies[name].models, model), key) for key in winner} == winner
