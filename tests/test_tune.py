import re
import shutil
from unittest.mock import Mock

import pandas as pd
import pytest

from conftest import HOME, planted, write_inter
from latent_factors import tune
from latent_factors.errors import TrainingError, UserError
from latent_factors.fit import set_up
from latent_factors.settings import TASKS, load_settings
from latent_factors.tasks import rating

BUDGET = "trials: 4, runs: 1, finalists: 0, final_runs: 3"


@pytest.fixture
def small(project):
    """A project whose tuning takes seconds."""
    path = project / "params.yaml"
    tasks = ", ".join(f"{task}: {{{BUDGET}}}" for task in TASKS)
    budget = f"tune: {{{tasks}, search: {{curve: 2, methods: 2}}, seed: 0, dims: [1, 3]}}\n"
    text = re.sub(r"^tune:.*", budget, path.read_text(), flags=re.M | re.S)
    path.write_text(re.sub(r"epochs: \d+", "epochs: 2", text))
    write_inter(project, "ml-100k", planted(users=40, items=30, rank=1, noise=0.5, filled=0.5))
    load_settings.cache_clear()
    return path


def test_winners_go_into_params_yaml_and_trials_into_a_record(small, capsys):
    before = small.read_text()
    tune.main(["rating.biases", "rating.mf", "topk.itemknn", "topk.bpr", "ctr.fm"])
    trials = pd.read_csv(small.parent / "reports" / "tuning" / "rating.csv")
    assert trials.groupby("model").size().to_dict() == {"biases": 4, "mf": 4}  # one budget
    assert trials[trials["model"] == "mf"].groupby("dim").size().to_dict() == {1: 2, 3: 2}
    load_settings.cache_clear()
    settings = load_settings()
    assert [point.dim for point in settings.curve.mf] == [1, 3]
    own = trials[trials["model"] == "mf"].set_index("validation_rmse").sort_index()
    best = own.iloc[0]
    assert (settings.rating.mf.dim, settings.rating.mf.l2) == (best["dim"], best["l2"])
    for point in settings.curve.mf:
        assert point.learning_rate == own[own["dim"] == point.dim]["learning_rate"].iloc[0]
    ranked = pd.read_csv(small.parent / "reports" / "tuning" / "topk.csv").sort_values("validation_ndcg@10")
    assert ranked.groupby("model").size().to_dict() == {"bpr": 4, "itemknn": 4}
    best = ranked[ranked["model"] == "bpr"].iloc[-1]
    assert (settings.topk.bpr.learning_rate, settings.topk.bpr.l2) == (best["learning_rate"], best["l2"])
    clicked = pd.read_csv(small.parent / "reports" / "tuning" / "ctr.csv").sort_values("validation_logloss")
    assert (settings.ctr.fm.learning_rate, settings.ctr.fm.l2) == tuple(clicked[["learning_rate", "l2"]].iloc[0])
    after = small.read_text()
    assert "# tuned in 4 trials" in after
    comments = re.findall(r"#.*", before)
    assert all(comment in after for comment in comments if "tuned in" not in comment)
    other = before[before.index("  als:"):before.index("  mlp:")]
    assert other in after  # models that were not named are left alone
    assert capsys.readouterr().out.startswith("rating.biases: best of 4 trials ")


def test_the_search_is_the_same_every_time_and_each_k_starts_from_the_last_best(small):
    settings = load_settings()
    problem = rating.prepare("ml-100k", settings.data, settings.split, set_up(settings.compute))
    first, second = (tune.tune("rating", "mf", settings, problem) for _ in range(2))
    assert first == second
    best = min(first[:2], key=lambda row: row["validation_rmse"])
    tuned = ("learning_rate", "l2", "l2_bias", "l2_power")
    assert [first[2][key] for key in tuned] == [best[key] for key in tuned]


def test_a_raised_budget_adds_trials_to_those_recorded(small):
    tune.main(["topk.itemknn"])
    record = small.parent / "reports" / "tuning" / "topk.csv"
    before = pd.read_csv(record)
    small.write_text(re.sub(r"topk:\s+\{\s*trials:\s+4", "topk: {trials: 6", small.read_text()))
    load_settings.cache_clear()
    tune.main(["topk.itemknn"])
    after = pd.read_csv(record)
    assert after["trial"].tolist() == list(range(6))
    assert after.iloc[:4].equals(before)
    assert not after.iloc[4:]["neighbours"].isin(before["neighbours"]).any()
    tune.main(["topk.itemknn"])
    assert pd.read_csv(record).equals(after)


def test_finalists_are_run_again_and_the_best_mean_wins(small):
    small.write_text(small.read_text().replace(BUDGET, BUDGET.replace("finalists: 0", "finalists: 2")))
    load_settings.cache_clear()
    tune.main(["topk.bpr"])
    trials = pd.read_csv(small.parent / "reports" / "tuning" / "topk.csv").sort_values("validation_ndcg@10")
    assert trials["final_ndcg@10"].notna().tolist() == [False, False, True, True]
    best = trials.loc[trials["final_ndcg@10"].idxmax()]
    load_settings.cache_clear()
    chosen = load_settings().topk.bpr
    assert (chosen.learning_rate, chosen.l2) == (best["learning_rate"], best["l2"])


def test_what_cannot_be_tuned(small):
    with pytest.raises(UserError, match=r"rating\.mean is no model that can be tuned; choose from rating\.biases,"):
        tune.main(["rating.mean"])


def test_only_what_cannot_be_trained_is_a_bad_trial(small, monkeypatch):
    settings = load_settings()
    problem = rating.prepare(settings.dataset, settings.data, settings.split, set_up(settings.compute))

    def reached(error: Exception) -> float:
        monkeypatch.setattr(tune, "fit", Mock(side_effect=error))
        return tune.score("rating", "mf", settings.rating.mf.model_dump(), problem, [0])

    assert reached(TrainingError("the loss became nan")) == float("inf")
    with pytest.raises(UserError, match="no such file"):
        reached(UserError("no such file"))


@pytest.mark.parametrize("name", ["params.yaml", "replications/params.yaml"])
def test_what_is_not_changed_in_a_file_of_settings_stays_as_it_was_written(tmp_path, name):
    path = tmp_path / "params.yaml"
    shutil.copy(HOME / name, path)
    with tune.edited(path):
        pass
    assert path.read_text() == (HOME / name).read_text()
