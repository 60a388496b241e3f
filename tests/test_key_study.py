"""The study of keys on made films: every arm is judged, the claims compare what they say, and winners are kept."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML
from sklearn.metrics import log_loss, roc_auc_score

from conftest import HOME, write_films
from latent_factors import key_study, tune_keys
from latent_factors.areas import Areas
from latent_factors.errors import UserError
from latent_factors.fit import derive_seeds
from latent_factors.identifiers.keys import Coded, make
from latent_factors.key_study import Problem, chances, prefixes
from latent_factors.paths import root
from latent_factors.sections import Compute, KeyStudy, Seeds, Statistics
from latent_factors.settings import load_settings
from latent_factors.stats import Bootstrap
from latent_factors.tasks import keyed
from latent_factors.training import train_points
from latent_factors.tune import edited

RESULTS = HOME / "reports" / "replications"
SEEDS, CPU = Seeds(root=1, count=2), Compute(device="cpu", threads=1)
STATISTICS = Statistics(replicates=100, level=0.9, seed=1, blocks=2)
FM = {
    "dim": 2, "learning_rate": 0.02, "l2": 0.1, "l2_bias": 0.1, "l2_power": 0.5, "batch_size": 64, "epochs": 2,
    "patience": 2,
}
KEYS = {
    "ids": {"plain": {}}, "content": {"content": {}}, "hashed": {"hashed": {"rows": 8, "seed": 0}},
    "unigrams": {"ngrams": {"length": 1, "rows": 8, "seed": 0}},
    "bigrams": {"ngrams": {"length": 2, "rows": 8, "seed": 0}}, "sub-words": {"subwords": {"rows": 8}},
}
STUDY = {
    "dataset": "made", "protocol": {"items": 0.2, "validation": 0.15, "test": 0.15, "seed": 3},
    "positive_above": 3.0, "negative_below": 3.0,
    "codes": {
        "source": "content", "levels": 2, "codes": 3, "dim": 4, "hidden": 4, "beta": 0.25, "epochs": 2,
        "batch_size": 8, "seed": 0, "words": 0.3, "year": 0.3,
    },
    "arms": {name: {"keys": keys, "fm": FM} for name, keys in KEYS.items()}, "trials": 2,
}


@pytest.fixture
def study(settings):
    write_films(root())
    return KeyStudy(**STUDY, data=settings.data)


def test_scores_are_those_of_scikit_learn_and_differences_those_of_the_scores(study):
    found = key_study.run(study, SEEDS, CPU, STATISTICS)
    rows = {row["arm"]: row for row in found["arms"]}
    assert list(rows) == list(KEYS)
    problem = Problem.of(study)
    name, new = "sub-words", problem.clicks.new("test")
    task = problem.clicks.task(make(study.arms[name].keys, problem.coded), torch.device("cpu"))
    (fitted,) = train_points("keys.fm", task, [study.arms[name].fm], derive_seeds(SEEDS, f"keys.{name}"), CPU)
    chance, label = chances(task, fitted).double().numpy(), task.test[2].numpy()
    for part, rows_ in (("all", new | True), ("new", new), ("known", ~new)):
        wanted = np.mean([roc_auc_score(label[rows_], own[rows_]) for own in chance])
        assert rows[name]["auc"][part]["mean"] == pytest.approx(wanted, abs=2e-6)
    assert rows[name]["logloss"] == pytest.approx(np.mean([log_loss(label, own) for own in chance]), abs=2e-6)
    assert rows["ids"]["table"] == 20
    assert rows["ids"]["parameters"] == (30 + 1 + 20) * 3 + 1
    assert rows["sub-words"]["table"] == 8
    assert found["new"]["test"]["items"] == 4
    assert found["new"]["test"]["rows"] == new.sum()
    effects = {row["claim"]: row for row in found["effects"]}
    best = min(("unigrams", "bigrams", "sub-words"), key=lambda arm: rows[arm]["validation"])
    assert {claim: row["of"] for claim, row in effects.items()} == {
        "codes-help-new-items": [best, "hashed"], "codes-help-all-items": [best, "hashed"],
        "content-trails-codes": [best, "content"], "sub-words-beat-n-grams": ["sub-words", "bigrams"],
    }
    for claim, row in effects.items():
        one, other = (rows[arm]["auc"]["new" if "new" in claim else "all"]["mean"] for arm in row["of"])
        assert row["mean"] == pytest.approx(one - other, abs=3e-6)
        assert row["low"] <= row["mean"] <= row["high"]
    assert found["over_plain"]["of"] == [best, "ids"]
    for part in ("all", "known", "new"):
        one, other = (rows[arm]["auc"][part]["mean"] for arm in (best, "ids"))
        assert found["over_plain"][part]["mean"] == pytest.approx(one - other, abs=3e-6)


def test_codes_are_learned_without_the_new_items(study):
    trained, changed = Problem.of(study), Problem.of(study.model_copy(update={"trials": 9}))
    assert (trained.coded.codes == changed.coded.codes).all()  # the same seed, the same codes
    assert trained.coded.codes.shape == (20, 2)
    assert (trained.coded.events == 0).sum() == 8
    assert trained.restored < 1


def test_prefixes_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [1.0, 0.0]])
    codes = np.array([[0, 0], [0, 1], [1, 0], [0, 0]])
    rows = prefixes(Coded(codes, 2, vectors, np.ones(4, int)))
    assert [row["pairs"] for row in rows] == [6, 3, 1]
    assert [row["cosine"] for row in rows] == pytest.approx([(0.6 + 0 + 1 + 0.8 + 0.6 + 0) / 6, 2.2 / 3, 1], abs=1e-6)
    alone = prefixes(Coded(np.arange(4)[:, None], 4, vectors, np.ones(4, int)))
    assert alone[1] == {"shared": 1, "pairs": 0, "cosine": None}


def test_a_replicate_counts_rows_as_often_as_their_user_and_their_item_were_drawn():
    generator = np.random.default_rng(0)
    users, items, label = generator.integers(9, size=300), 7 + generator.integers(20, size=300), np.arange(300) % 2
    scores = generator.normal(size=(1, 300)).round(1)  # so that many are level
    bootstrap = Areas(users, items, STATISTICS, 1)
    found = bootstrap.auc(scores, label)
    assert found[0] == pytest.approx(roc_auc_score(label, scores[0]))
    for replicate in (0, 7):
        weight = bootstrap._weights[replicate, users] * bootstrap._item_weights[replicate, items - 7]
        wanted = roc_auc_score(label, scores[0], sample_weight=weight)
        assert found[1 + replicate] == pytest.approx(wanted, abs=1e-6)
    assert bootstrap._item_weights.sum(1).tolist() == [20] * 100
    few = Areas(users, np.zeros(300, int), STATISTICS, 3)  # one item is drawn each time: users alone
    three = np.vstack([scores, scores[:, ::-1], -scores])
    assert few.auc(three, label).tolist() == pytest.approx(
        Bootstrap(users, STATISTICS, 3).auc(three, label).tolist(), abs=1e-6
    )


@pytest.mark.parametrize(("change", "message"), [
    ({"codes": STUDY["codes"] | {"source": "both"}}, "codes.source must be content"),
    ({"arms": {name: arm for name, arm in STUDY["arms"].items() if name != "hashed"}}, "needs an arm of hashed items"),
    ({"arms": {name: arm for name, arm in STUDY["arms"].items() if name != "content"}}, "content is missing"),
    ({"arms": {name: arm for name, arm in STUDY["arms"].items() if name != "bigrams"}}, "sub-words and bigrams"),
    ({"arms": STUDY["arms"] | {"both": {"keys": {"plain": {}, "content": {}}, "fm": FM}}}, "keys are of one kind"),
    ({"protocol": STUDY["protocol"] | {"test": 0.9}}, "must leave a training part"),
])
def test_a_study_that_lacks_what_is_compared_is_refused(settings, change, message):
    with pytest.raises(ValidationError, match=message):
        KeyStudy(**STUDY | change, data=settings.data)


def test_ratings_that_are_all_clicks_are_refused(study):
    with pytest.raises(UserError, match="made has not both clicks and others; set positive_above"):
        keyed.prepare(study.model_copy(update={"positive_above": -9.0, "negative_below": -10.0}))


def test_winners_go_into_the_study_and_trials_into_the_record(project, capsys):
    folder = project / "replications"
    folder.mkdir()
    (folder / "dvc.yaml").touch()
    shutil.copy(HOME / "replications" / "params.yaml", folder)
    with edited(folder / "params.yaml") as values:
        values["key_studies"]["ml-100k"].update(json.loads(json.dumps(STUDY)))  # so that no two arms share a dict
    write_films(folder)
    tune_keys.main(["ml-100k"])
    trials = pd.read_csv(project / "reports" / "tuning" / "keys.csv")
    assert trials.groupby("model").size().to_dict() == dict.fromkeys(KEYS, 2)
    load_settings.cache_clear()
    arms = load_settings(folder / "params.yaml").key_studies["ml-100k"].arms
    for name, own in trials.groupby("model"):
        winner = json.loads(own.loc[own["validation"].idxmin(), "settings"])
        assert {key: getattr(arms[name].fm, key) for key in winner} == winner
        assert arms[name].fm.epochs == 2
    assert "ml-100k: best validation logloss of 2 trials each" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"ml-2m is no study of keys in .*: choose from ml-100k"):
        tune_keys.main(["ml-2m"])


def test_the_studies_in_git_are_those_of_the_pipeline_and_set_by_the_best_of_their_trials():
    studies = load_settings(HOME / "replications" / "params.yaml").key_studies
    stages = YAML(typ="safe").load((HOME / "replications" / "dvc.yaml").read_text())["stages"]
    assert stages["keys"]["foreach"] == {name: study.dataset for name, study in studies.items()}
    trials = pd.read_csv(HOME / "reports" / "tuning" / "keys.csv")
    assert set(trials["name"]) == {path.stem.removeprefix("keys-") for path in RESULTS.glob("keys-*.json")}
    for (name, arm), own in trials.groupby(["name", "model"]):
        assert len(own) == studies[name].trials
        winner = json.loads(own.loc[own["validation"].idxmin(), "settings"])
        assert {key: getattr(studies[name].arms[arm].fm, key) for key in winner} == winner
        found = json.loads((RESULTS / f"keys-{name}.json").read_text(encoding="utf-8"))
        assert found["trials"] == studies[name].trials
        assert [row["arm"] for row in found["arms"]] == list(studies[name].arms)
