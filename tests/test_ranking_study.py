"""Recommenders on larger data: what is measured is what the task measures."""

import functools
import json
import shutil

import optuna
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from conftest import HOME, planted, write_films, write_inter
from latent_factors import models, ranking_parts, ranking_runs, ranking_study, tune, tune_ranking
from latent_factors.errors import UserError
from latent_factors.fit import derive_seeds, fit, fit_run
from latent_factors.ranking_runs import Outcome
from latent_factors.ranking_study import run, settings, summary
from latent_factors.sections import Compute, RankingStudy, Seeds
from latent_factors.settings import load_settings
from latent_factors.spaces import space
from latent_factors.tasks import topk
from latent_factors.tune import edited

FEATURES = {
    "dim": 4, "margin": 0.5, "covariance": 0.1, "negatives": 2, "learning_rate": 0.01, "hidden": 4, "dropout": 0.3,
    "min_count": 2, "pull": 1.0, "drawn": 8, "batch_size": 64, "epochs": 1, "patience": 1,
}
SEEDS, CPU = Seeds(root=1, count=2), Compute(device="cpu", threads=1)


@pytest.fixture
def replications(project):
    """The first study of replications/params.yaml, made small, on made data, with a model that has no chance in it."""
    folder = project / "replications"
    folder.mkdir()
    (folder / "dvc.yaml").touch()
    shutil.copy(HOME / "replications" / "params.yaml", folder)
    with edited(folder / "params.yaml") as values:
        values["statistics"]["replicates"] = 100
        study = values["ranking_studies"]["amazon-beauty"]
        study["dataset"] = "made"
        for model in study["models"].values():
            model.update(dim=4, epochs=2, patience=2)
        study["models"]["ease"] = {"l2": 10.0}
    write_inter(project, "made", planted(60, 40, 2, 0.3, 0.4))
    load_settings.cache_clear()
    return load_settings(folder / "params.yaml")


def test_metrics_are_those_of_the_task_and_differences_those_of_the_metrics(replications, tmp_path):
    study = replications.ranking_studies["amazon-beauty"]
    found = run(study, SEEDS, CPU, replications.statistics, tmp_path / "runs")
    rows = {row["model"]: row for row in found["models"]}
    assert {model: row["runs"] for model, row in rows.items()} == {
        "bpr": 2, "lightgcn": 2, "directau": 2, "directau_graph": 2, "ease": 1,
    }
    task = topk.prepare("made", study.data, study.protocol, torch.device("cpu"))
    for model in ("bpr", "ease"):
        point = settings(study)[model]
        seeds = derive_seeds(SEEDS, f"topk.{model}")[: rows[model]["runs"]]
        make = functools.partial(models.build, model, point, task.inputs)
        trained = fit(f"topk.{model}", make, task, point, seeds).models
        measured = [task.measure(task.outputs(one, "test"), "test") for one in trained]
        reached = sum(task.score(one).item() for one in trained) / len(trained)
        assert rows[model]["validation"] == pytest.approx(reached, abs=2e-6)
        for metric, own in rows[model]["metrics"].items():
            assert own["mean"] == pytest.approx(sum(one[metric].item() for one in measured) / len(measured), abs=2e-6)
            assert own["low"] <= own["mean"] <= own["high"]
    assert {effect["claim"]: effect["of"] for effect in found["effects"]} == {
        "lightgcn-beats-mf": ["lightgcn", "bpr"], "directau-beats-bpr": ["directau", "bpr"],
        "directau-beats-lightgcn": ["directau", "lightgcn"], "graph-helps-directau": ["directau_graph", "directau"],
    }
    for effect in found["effects"]:
        one, other = (rows[model]["metrics"]["ndcg@20"]["mean"] for model in effect["of"])
        assert effect["mean"] == pytest.approx(one - other, abs=3e-6)


def test_where_a_claim_names_several_models_the_best_by_validation_are_compared(replications, monkeypatch):
    claims = {"made": (("bpr", "lightgcn"), ("ease", "directau")), "lacking": (("bpr",), ("cml",))}
    monkeypatch.setattr(ranking_study, "CLAIMS", claims)
    study = replications.ranking_studies["amazon-beauty"]
    task = topk.prepare("made", study.data, study.protocol, torch.device("cpu"))
    shape = (len(task.relevant("test")), max(study.protocol.cutoffs))
    lists = {model: [torch.full(shape, model in ("bpr", "ease"))] for model in ("bpr", "lightgcn", "ease", "directau")}
    validation = {"bpr": 0.2, "lightgcn": 0.1, "ease": 0.3, "directau": 0.4}
    (effect,) = summary(study, task, lists, validation, replications.statistics, 1, "cpu")["effects"]
    assert effect["of"] == ["bpr", "directau"] and effect["mean"] > 0.5


def test_an_outcome_is_read_as_it_was_written(tmp_path):
    hits = torch.rand(7, 11, generator=torch.Generator().manual_seed(0)) < 0.3
    Outcome(hits, 0.1234, "cpu").write(tmp_path / "run.npz")
    read = Outcome.read(tmp_path / "run.npz")
    assert torch.equal(read.hits, hits) and (read.validation, read.device) == (0.1234, "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_a_run_that_is_kept_is_not_trained_again(replications, tmp_path, monkeypatch):
    study, kept = replications.ranking_studies["amazon-beauty"], tmp_path / "runs"
    few = study.model_copy(update={"models": {name: study.models[name] for name in ("bpr", "ease")}})
    found = run(few, SEEDS, CPU, replications.statistics, kept)
    held = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert sorted(name.split("-")[1] for name in held) == ["bpr", "bpr", "ease"]
    trained = []
    monkeypatch.setattr(ranking_runs, "fit_run", lambda title, *rest: trained.append(title) or fit_run(title, *rest))
    assert run(few, SEEDS, CPU, replications.statistics, kept) == found and not trained
    next(kept.glob("*-bpr-*-2.npz")).unlink()  # a study that was cut off
    assert run(few, SEEDS, CPU, replications.statistics, kept) == found
    assert trained == ["topk.bpr  run 2"] and {path.name: path.read_bytes() for path in kept.iterdir()} == held
    changed = few.model_copy(update={"models": few.models | {"ease": {"l2": 11.0}}, "repeated": {"bpr": 1}})
    rows = run(changed, SEEDS, CPU, replications.statistics, kept)["models"]
    assert trained[1:] == ["topk.ease  run 1"]
    assert [(row["model"], row["runs"]) for row in rows] == [("bpr", 1), ("ease", 1)]


@pytest.mark.parametrize("key", ["given", "repeated"])
def test_what_a_study_says_of_a_model_that_it_has_not_is_refused(replications, key):
    study = replications.ranking_studies["amazon-beauty"].model_dump()
    with pytest.raises(ValidationError, match="given and repeated must name models of the study, got 'cml'"):
        RankingStudy(**study | {key: {"given": ["cml"], "repeated": {"cml": 2}}[key]})


def test_a_model_whose_setting_is_given_is_not_tuned(project, replications):
    with edited(project / "replications" / "params.yaml") as values:
        values["ranking_studies"]["amazon-beauty"].update(trials=1, given=["bpr"])
    load_settings.cache_clear()
    with pytest.raises(UserError, match="has no model bpr to tune: choose from lightgcn, directau, "):
        tune_ranking.main(["amazon-beauty", "bpr"])


def test_a_study_is_trained_and_told_in_parts(project, replications, capsys):
    (project / "replications" / "data").symlink_to(project / "data")
    with edited(project / "replications" / "params.yaml") as values:
        values["compute"]["threads"], values["seeds"] = 1, {"root": 1, "count": 2}
    load_settings.cache_clear()
    results = project / "reports" / "replications" / "ranking-amazon-beauty.json"
    results.parent.mkdir(parents=True)
    for words, sentence in (
        ([], "name a study of rankings in replications/params.yaml"),
        (["beuty"], "beuty is no study of rankings"),
        (["amazon-beauty"], "runs/ has no run of a study on made with these settings; train one first"),
        (["amazon-beauty", "cml"], "the study has no model cml: choose from bpr, lightgcn, directau, "),
        (["amazon-beauty", "bpr", "3"], "bpr has no run 3: choose from 1, 2"),
        (["amazon-beauty", "ease", "2"], "ease has no run 2: choose from 1"),
    ):
        with pytest.raises(UserError, match=sentence):
            ranking_parts.main(words)
    assert not results.exists()
    for words in (["bpr", "2"], ["ease"]):
        ranking_parts.main(["amazon-beauty", *words])
    ranking_parts.main(["amazon-beauty"])
    told = capsys.readouterr().out
    assert "ranking-amazon-beauty.json: bpr 1, ease 1\nno run of lightgcn, directau, directau_graph" in told
    ranking_parts.main(["amazon-beauty", "bpr"])
    ranking_parts.main(["amazon-beauty"])
    study = load_settings(project / "replications" / "params.yaml").ranking_studies["amazon-beauty"]
    few = study.model_copy(update={"models": {name: study.models[name] for name in ("bpr", "ease")}})
    whole = run(few, SEEDS, CPU, replications.statistics, project / "replications" / "elsewhere")
    assert json.loads(results.read_text()) == whole


def test_the_next_item_is_studied_alike(replications, tmp_path):
    study = replications.sequence_studies["beauty"]
    small = {"dim": 4, "batch_size": 32, "epochs": 2, "patience": 2}
    changed = {
        model: {key: small.get(key, value) for key, value in values.items()} for model, values in study.models.items()
    }
    data = study.data.model_copy(update={"timestamp": "timestamp"})
    study = study.model_copy(update={"dataset": "made", "data": data, "models": changed})
    found = run(study, SEEDS, CPU, replications.statistics, tmp_path / "runs")
    assert {row["model"]: row["runs"] for row in found["models"]} == {
        "popular": 1, "markov": 1, "itemknn_last": 1, "gru4rec": 2, "sasrec": 2,
    }
    assert list(found["models"][0]["metrics"]) == [f"{name}@{k}" for name in ("hit", "ndcg") for k in (10, 5, 20)]
    assert [effect["claim"] for effect in found["effects"]] == [
        "sasrec-beats-gru4rec", "sasrec-beats-markov", "sasrec-beats-neighbours", "neighbours-match-gru4rec",
    ]
    assert "again" not in found
    alike = study.protocol.model_copy(update={"rank_history": True})
    again = study.model_copy(update={"protocol": alike})
    found = run(again, SEEDS, CPU, replications.statistics, tmp_path / "runs")
    assert found["again"] == 0  # nobody takes an item twice in made data
    assert all(row["new"]["ndcg@10"] == row["metrics"]["ndcg@10"] for row in found["models"])


def test_an_unknown_model_is_one_sentence(replications):
    study = replications.ranking_studies["amazon-beauty"]
    wrong = study.model_copy(update={"models": {"directa": study.models["directau"]}})
    with pytest.raises(UserError, match="unknown topk model 'directa': choose one of"):
        settings(wrong)


def test_a_model_of_studies_alone_has_settings_and_something_to_tune(replications):
    study = replications.ranking_studies["amazon-beauty"].model_copy(update={"models": {"cml_features": FEATURES}})
    assert settings(study)["cml_features"].model_dump() == FEATURES
    tried = space("topk", "cml_features")(optuna.trial.FixedTrial(FEATURES), 1.0)
    assert tried.keys() <= FEATURES.keys()
    assert space("topk", "popular") is None


def test_winners_go_into_the_study_and_trials_into_the_record(project, replications, capsys):
    (project / "replications" / "data").symlink_to(project / "data")
    with edited(project / "replications" / "params.yaml") as values:
        values["ranking_studies"]["amazon-beauty"]["trials"] = 2
    load_settings.cache_clear()
    tune_ranking.main(["amazon-beauty", "bpr", "ease"])
    assert "amazon-beauty: best validation ndcg@20 of 2 trials each" in capsys.readouterr().out
    tune_ranking.main(["amazon-beauty", "ease"])  # its trials count: none is added
    trials = pd.read_csv(project / "reports" / "tuning" / "ranking.csv")
    assert trials.groupby("model").size().to_dict() == {"bpr": 2, "ease": 2}
    load_settings.cache_clear()
    points = settings(load_settings(project / "replications" / "params.yaml").ranking_studies["amazon-beauty"])
    for model, own in trials.groupby("model"):
        winner = json.loads(own.loc[own["validation"].idxmax(), "settings"])
        assert {key: getattr(points[model], key) for key in winner} == winner


@pytest.mark.parametrize("model", ["bpr", "ease"])
def test_the_first_trial_is_the_setting_that_stands_there(project, replications, model):
    (project / "replications" / "data").symlink_to(project / "data")
    with edited(project / "replications" / "params.yaml") as values:
        study = values["ranking_studies"]["amazon-beauty"]
        study["trials"], stood = 1, dict(study["models"][model])
    load_settings.cache_clear()
    tune_ranking.main(["amazon-beauty", model])
    (tried,) = pd.read_csv(project / "reports" / "tuning" / "ranking.csv")["settings"]
    assert json.loads(tried) == pytest.approx({key: stood[key] for key in json.loads(tried)}, rel=0.01)  # three digits


def test_what_describes_items_is_found_beside_the_study(project, replications):
    write_films(project)
    (project / "data").rename(project / "replications" / "data")
    with edited(project / "replications" / "params.yaml") as values:
        study = values["ranking_studies"]["amazon-beauty"]
        study["trials"], study["models"]["cml_features"] = 1, FEATURES
    load_settings.cache_clear()
    tune_ranking.main(["amazon-beauty", "cml_features"])
    (reached,) = pd.read_csv(project / "reports" / "tuning" / "ranking.csv")["validation"]
    assert reached > 0


def test_what_contains_another_model_begins_at_its_best(project, replications, monkeypatch):
    (project / "replications" / "data").symlink_to(project / "data")
    with edited(project / "replications" / "params.yaml") as values:
        study = values["ranking_studies"]["amazon-beauty"]
        study["trials"] = 3
        study["models"] = {
            "rp3beta": {"neighbours": 5, "alpha": 1.0, "beta": 1.0}, "itemknn": {"neighbours": 5, "shrinkage": 1.0},
        }
    load_settings.cache_clear()
    monkeypatch.setattr(tune_ranking, "CONTAINED", {"rp3beta": "itemknn"})
    tune_ranking.main(["amazon-beauty"])
    trials = pd.read_csv(project / "reports" / "tuning" / "ranking.csv")
    tried = {model: own.sort_values("trial") for model, own in trials.groupby("model")}
    best = tried["itemknn"].loc[tried["itemknn"]["validation"].idxmax(), "settings"]
    assert json.loads(tried["rp3beta"]["settings"].iloc[0])["neighbours"] == json.loads(best)["neighbours"]


def test_studies_of_the_next_item_have_a_record_of_their_own(project, replications):
    (project / "replications" / "data").symlink_to(project / "data")
    with edited(project / "replications" / "params.yaml") as values:
        values["sequence_studies"]["beauty"].update(dataset="made", trials=2)
        values["sequence_studies"]["beauty"]["data"]["timestamp"] = "timestamp"
    load_settings.cache_clear()
    tune_ranking.main(["beauty", "markov"])
    trials = pd.read_csv(project / "reports" / "tuning" / "sequences.csv")
    assert trials["name"].tolist() == ["beauty"] * 2
    winner = json.loads(trials.loc[trials["validation"].idxmax(), "settings"])
    load_settings.cache_clear()
    changed = load_settings(project / "replications" / "params.yaml").sequence_studies["beauty"]
    assert changed.models["markov"] == winner


def test_a_search_that_is_cut_short_leaves_its_trials_and_goes_on_from_them(project, replications, monkeypatch):
    reached = [0.25]
    monkeypatch.setattr(tune, "score", lambda *given: reached.pop())
    record = project / "reports" / "tuning" / "ranking.csv"
    (project / "replications" / "data").symlink_to(project / "data")
    with edited(project / "replications" / "params.yaml") as values:
        values["ranking_studies"]["amazon-beauty"]["trials"] = 2
    load_settings.cache_clear()
    with pytest.raises(IndexError):
        tune_ranking.main(["amazon-beauty", "ease"])
    (first,) = pd.read_csv(record).to_dict("records")
    assert [first[key] for key in ("name", "model", "trial", "validation")] == ["amazon-beauty", "ease", 0, 0.25]
    for further in ([0.125], []):  # one trial is left, then none
        reached[:] = further
        load_settings.cache_clear()
        tune_ranking.main(["amazon-beauty", "ease"])
        trials = pd.read_csv(record)
        assert trials.to_dict("records")[0] == first and trials["validation"].tolist() == [0.25, 0.125]


def test_what_cannot_be_tuned_is_one_sentence(replications):
    for words, sentence in (
        ([], "name a study of rankings in replications/params.yaml"),
        (["beuty"], "beuty is no study of rankings in .*: choose from amazon-beauty, .*beauty, sports, toys, yelp"),
        (["amazon-beauty"], "amazon-beauty has its settings from elsewhere; to tune it, raise its trials above 0"),
    ):
        with pytest.raises(UserError, match=sentence):
            tune_ranking.main(words)


@pytest.mark.parametrize(("kind", "record"), tune_ranking.RECORDS.items())
def test_the_studies_in_git_are_set_by_the_best_of_their_trials(kind, record):
    studies = getattr(load_settings(HOME / "replications" / "params.yaml"), kind)
    tuned = {name for name, study in studies.items() if study.trials}
    path = HOME / "reports" / "tuning" / f"{record}.csv"
    trials = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["name", "model"])
    assert set(trials["name"]) == tuned
    for name, of_study in trials.groupby("name"):
        assert of_study.groupby("model").size().min() == studies[name].trials
        tunable = {model for model in studies[name].models if space(studies[name].task, model)}
        assert set(of_study["model"]) == tunable - set(studies[name].given)
        for model, own in of_study.groupby("model"):
            winner = json.loads(own.loc[own["validation"].idxmax(), "settings"])
            point = settings(studies[name])[model]
            assert {key: getattr(point, key) for key in winner} == winner


def test_the_results_in_git_are_of_the_studies_as_they_stand():
    whole = load_settings(HOME / "replications" / "params.yaml")
    for kind, name in ranking_parts.KINDS.items():
        for key, study in getattr(whole, kind).items():
            path = HOME / "reports" / "replications" / f"{name}-{key}.json"
            told = {row["model"]: row for row in json.loads(path.read_text())["models"]}
            assert list(told) == list(study.models)
            for model, point in settings(study).items():
                runs = study.repeated.get(model, whole.seeds.count) if point.random else 1
                assert (told[model]["settings"], told[model]["runs"]) == (study.models[model], runs)
