"""How sparse autoencoders are trained is chosen, recorded and written by one command."""

import pandas as pd
import pytest
import torch

from conftest import write_films
from latent_factors import tune_interpret
from latent_factors.errors import UserError
from latent_factors.fit import fit
from latent_factors.models import build
from latent_factors.paths import run_folder
from latent_factors.runs import save_run
from latent_factors.settings import load_settings
from latent_factors.tasks import topk


@pytest.fixture
def trained(project, monkeypatch):
    """A project of made films with two runs of BPR, and two settings to try."""
    write_films(project)
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("dataset: ml-100k", "dataset: made", 1))
    load_settings.cache_clear()
    settings = load_settings()
    task = topk.prepare("made", settings.data, settings.ranking, torch.device("cpu"))
    point = settings.topk.bpr.model_copy(update={"dim": 4, "batch_size": 64, "epochs": 2})
    runs = fit("topk.bpr", lambda: build("bpr", point, task.inputs), task, point, [1, 2])
    folder = run_folder("train", "made", "topk", "bpr")
    folder.mkdir(parents=True)
    save_run(folder, "topk.bpr", task, [point], [runs], [1, 2])
    monkeypatch.setattr(tune_interpret, "LOOKED_INTO", ("topk.bpr",))
    monkeypatch.setattr(tune_interpret, "DEAD", 0.9)
    monkeypatch.setattr(
        tune_interpret, "GRID", {"learning_rate": (1e-7, 0.02), "auxiliary": (0.25,), "batches": (2,)}
    )
    return path


def test_the_best_setting_is_recorded_and_written(trained, capsys):
    before = trained.read_text()
    tune_interpret.main([])
    rows = pd.read_csv(trained.parent / "reports" / "tuning" / "interpret.csv")
    assert rows["trial"].tolist() == [0, 1]
    assert rows["validation_unexplained"].iloc[1] < rows["validation_unexplained"].iloc[0]
    assert (rows["validation_ndcg_kept"] > 0).all()
    load_settings.cache_clear()
    own = load_settings().interpret.autoencoder
    assert (own.learning_rate, own.auxiliary, own.batches) == (0.02, 0.25, 2)
    assert own.reconstructing.model_dump() == {"learning_rate": 0.02, "auxiliary": 0.25, "batches": 2}
    assert "steering:" in before and len(before.splitlines()) == len(trained.read_text().splitlines())
    assert capsys.readouterr().out.startswith("best of 2 settings: ")
    record = (trained.parent / "reports" / "tuning" / "interpret.csv").read_bytes()
    tune_interpret.main([])
    assert (trained.parent / "reports" / "tuning" / "interpret.csv").read_bytes() == record


def test_latents_that_are_named_must_live():
    """By hand: the setting that reconstructs best is not taken where it lets too many latents of one model die."""
    rows = pd.DataFrame([
        {"trial": trial, "model": model, "learning_rate": rate, "auxiliary": 0.5, "batches": 8, "dead": dead,
         "validation_unexplained": score}
        for trial, rate, model, dead, score in (
            (0, 0.1, "one", 0.0, 0.1), (0, 0.1, "other", 0.3, 0.1), (1, 0.2, "one", 0.2, 0.3),
            (1, 0.2, "other", 0.2, 0.1), (2, 0.3, "one", 0.0, 0.2), (2, 0.3, "other", 0.0, 0.3),
        )
    ])
    assert tune_interpret.best(rows, 1.0) == {"learning_rate": 0.1, "auxiliary": 0.5, "batches": 8}
    assert tune_interpret.best(rows, 0.25)["learning_rate"] == 0.2
    assert tune_interpret.best(rows, 0.1)["learning_rate"] == 0.3
    quicker = rows[rows["trial"] == 2].assign(trial=3, batches=4, validation_unexplained=0.2515)
    assert tune_interpret.best(pd.concat([rows, quicker]), 0.1)["batches"] == 4
    with pytest.raises(UserError, match="every setting of GRID lets more than 10% of some model's latents die"):
        tune_interpret.best(rows[rows["trial"] < 2], 0.1)


def test_what_cannot_be_tried(trained, monkeypatch):
    with pytest.raises(UserError, match="tune_interpret takes no word; edit GRID"):
        tune_interpret.main(["topk.bpr"])
    monkeypatch.setattr(tune_interpret, "LOOKED_INTO", ("topk.lightgcn",))
    with pytest.raises(UserError, match="holds no trained model"):
        tune_interpret.main([])
