"""Studies of input search: run, stored, read back, and compared within budgets."""

import dataclasses
import json
import re
import shutil
import types

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from conftest import HOME, write_inter
from latent_factors import tune_search
from latent_factors.claims import load_claims
from latent_factors.data import planted
from latent_factors.errors import UserError
from latent_factors.fronts import Compared, Judge, effects, summary
from latent_factors.recovery import recover
from latent_factors.search.methods import METHODS
from latent_factors.sections import (
    DNIS,
    FM,
    MDE,
    MF,
    NIS,
    Compute,
    NothingToSet,
    Planted,
    RandomDims,
    Shared,
    Statistics,
    StrongerL2,
    Variants,
)
from latent_factors.settings import load_settings
from latent_factors.study import Plan, Study, load, run
from latent_factors.tasks import prepare
from latent_factors.tune_search import within

STATISTICS = Statistics(replicates=200, level=0.95, seed=1, blocks=2)
GRADIENT = {"learning_rate": 0.01, "l2": 0.3, "l2_bias": 0.3, "l2_power": 0.5, "batch_size": 256, "patience": 2}
DNIS_ = DNIS(
    alpha_rate=0.05, l1=0.01, order="first", normalise="blocks", freeze=True, keep="best", epochs=2, patience=2,
)
RATES = [0.0, 0.5]


@pytest.fixture
def plan(project, settings) -> Plan:
    """All methods for MF with up to four dimensions, on planted ratings."""
    write_inter(project, "made", planted.ratings(60, 50, 1500, [4, 2, 1], 0.3, 1.5, 0))
    methods = {
        "uniform": NothingToSet(), "magnitude": NothingToSet(), "stronger_l2": StrongerL2(factors=[2.0]),
        "random_dims": RandomDims(draws=1), "mde": MDE(power=0.3),
        "nis": NIS(cost=1.0, controller_rate=0.1, epochs=2), "dnis": DNIS_,
        "variants": Variants(
            switches=["random blocks", "second order", "one scale"], blocks=[], dims=[], alpha_rates=[], l1s=[],
            stops=[],
        ),
    }
    return Plan(
        "rating", "mf", "made", settings.data, settings.split, [MF(dim=dim, epochs=3, **GRADIENT) for dim in (1, 2, 4)],
        Shared(dim=4, rates=RATES, blocks=3, alpha_share=0.1), methods, Compute(device="cpu", threads=1),
    )


def test_what_is_read_back_is_what_was_run_and_processes_change_nothing(plan, tmp_path):
    task = prepare(plan.task, plan.dataset, plan.data, plan.protocol, torch.device("cpu"))
    two = dataclasses.replace(plan, compute=Compute(device="cpu", threads=2))
    for name, own in (("one", plan), ("two", two)):
        (tmp_path / name).mkdir()
        rows = run(own, "dnis", [1, 2], tmp_path / name)
    files = ("study.json", "outputs.safetensors", "paths.safetensors")
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
    study = load([tmp_path / "one"], task)
    assert study.points == rows
    assert [(row["label"], row["point"]) for row in rows] == [
        (label, point) for label in ("dnis_as_found", "dnis") for point in ("0", "0.5")
    ]
    assert [path.shape[1:] for path in study.paths["dnis_as_found"]] == [(3, 4)] * 2
    predicted = study.outputs["dnis", "0.5"]["prediction"]
    for seed, own in enumerate(predicted):
        rmse = task.measure({"prediction": own}, "test")["rmse"].item()
        assert rmse == pytest.approx(rows[3]["test"][seed]["rmse"])
    weights = np.array(study.blocks["features"])
    assert np.dot(rows[3]["dims"][0], weights) == pytest.approx(rows[3]["entries"][0], abs=0.01)
    other = dataclasses.replace(task, parts=dataclasses.replace(task.parts, test=task.parts.test[::-1]))
    with pytest.raises(UserError, match="was searched on another split than params"):
        load([tmp_path / "one"], other)
    with pytest.raises(UserError, match="holds no search; `dvc repro` makes it"):
        load([tmp_path / "three"], task)


def test_every_claim_is_measured_where_every_method_was_run(plan, tmp_path, home_claims):
    for method in METHODS:
        (tmp_path / method).mkdir()
        run(plan, method, [1, 2], tmp_path / method)
    task = prepare(plan.task, plan.dataset, plan.data, plan.protocol, torch.device("cpu"))
    compared = Compared.of(load([tmp_path / method for method in METHODS], task), "rating", task, STATISTICS)
    assert compared.study.entries == 4 * task.inputs.number
    measured = {id for id, claim in home_claims.items() if claim.rule == "exceeds-corrected"}
    assert set(effects(compared, RATES)) == measured
    found = json.loads(json.dumps(summary(compared, RATES, home_claims)))
    assert {row["claim"] for row in found["effects"]} == measured
    assert {row["methods"] for row in found["fronts"]} == {
        "uniform", "magnitude", "stronger L2", "random dimensions", "MDE", "NIS", "DNIS", "DNIS, as found",
    }
    assert {row["variant"] for row in found["variants"]} == {"random blocks", "second order", "one scale"}
    for row in [*found["effects"], *found["fronts"], *found["variants"]]:
        assert row["low"] <= row["effect"] <= row["high"]


@pytest.fixture
def home_claims():
    """The claims of the project."""
    return load_claims(HOME / "notebooks" / "claims.yaml")


class Fixed:
    """A judge of scores that are given."""

    sign = -1
    task = types.SimpleNamespace(metric="rmse", larger_is_better=False)

    @staticmethod
    def replicates(outputs):
        return outputs["score"].mean(0).numpy()

    better = Judge.better


def fixed(points: dict[tuple[str, str], tuple[list[int], list[float], list[float]]]) -> Compared:
    """A study of two seeds: label and point → entries, validation and test scores."""
    rows = [
        {"label": label, "point": point, "entries": entries, "validation": [{"rmse": score} for score in validation]}
        for (label, point), (entries, validation, _) in points.items()
    ]
    outputs = {key: {"score": torch.tensor(test)[:, None]} for key, (_, _, test) in points.items()}
    return Compared(Study(4, 100, {}, rows, outputs, {}), Fixed())


def test_within_a_budget_validation_chooses_seed_by_seed():
    compared = fixed({
        ("a", "1"): ([50, 50], [0.9, 0.8], [1.0, 2.0]), ("a", "2"): ([100, 20], [0.8, 0.9], [3.0, 4.0]),
        ("b", "1"): ([10, 60], [0.5, 0.5], [0.5, 0.7]),
    })
    assert compared.budgets([0.0, 0.5, 0.95]) == [50, 5]
    assert compared.score(["a"])[0] == (3.0 + 2.0) / 2
    assert compared.score(["a"], 50)[0] == (1.0 + 2.0) / 2
    assert compared.score(["a"], 30) is None
    assert compared.score(["b"], 50) is None  # the second seed has none so small
    assert compared.score(["a", "b"], 60)[0] == (0.5 + 0.7) / 2
    assert compared.gain(["a"], ["b"], [60, 50])[0] == pytest.approx(-(1.5 - 0.6))
    assert compared.gain(["a"], ["b"], [50]) is None


def test_a_judge_scores_as_the_task_does(project, settings):
    write_inter(project, "made", planted.clicks(60, 50, 1500, [4, 2, 1], 2.0, 1.5, 0))
    for name, protocol in (("rating", "split"), ("ctr", "clicks"), ("topk", "ranking")):
        task = prepare(name, "made", settings.data, getattr(settings, protocol), torch.device("cpu"))
        torch.manual_seed(0)
        rows = len(task.parts.test)
        if name == "topk":
            hits = torch.rand(2, len(task.relevant("test")), 20) < 0.1
            outputs, metric = {"hits": hits}, "ndcg@10"
        else:
            key = {"rating": "prediction", "ctr": "probability"}[name]
            outputs, metric = {key: torch.rand(2, rows)}, {"rating": "rmse", "ctr": "auc"}[name]
        judge = Judge(name, task, STATISTICS, 2)
        mean = np.mean([
            task.measure({key: own[seed] for key, own in outputs.items()}, "test")[metric].item() for seed in range(2)
        ])
        assert judge.replicates(outputs)[0] == pytest.approx(mean, rel=1e-5)


def test_the_mean_over_budgets_of_the_best_that_fits():
    kept = [(50, 0.9), (20, 0.8), (5, 0.3)]
    assert within(kept, [60, 20], larger_is_better=True) == pytest.approx((0.9 + 0.8) / 2)
    assert within(kept, [60, 20], larger_is_better=False) == pytest.approx(0.3)
    assert np.isnan(within(kept, [60, 4], larger_is_better=True))


def test_tuning_writes_what_it_finds(project, capsys):
    path = project / "params.yaml"
    text = path.read_text().replace("curve: 20, methods: 12", "curve: 2, methods: 2")
    start = text.index("  bpr:\n    - {dim: 1")
    text = text[:start] + re.sub(r"    - \{dim: (4|8|16|32|64),.*\n", "", text[start:])
    for epochs in (200, 100, 50, 30, 8):
        text = text.replace(f"epochs: {epochs}", "epochs: 2")
    path.write_text(text.replace("      dim: 64 ", "      dim: 2 ").replace("      dim: 64\n", "      dim: 2\n"))
    write_inter(project, "ml-100k", planted.clicks(40, 30, 800, [2, 1], 2.0, 1.5, 0))
    (project / "replications").mkdir()
    shutil.copy(HOME / "replications" / "params.yaml", project / "replications")
    load_settings.cache_clear()
    tune_search.main(["bpr/curve", "bpr/mde", "bpr/dnis"])
    load_settings.cache_clear()
    settings = load_settings()
    trials = pd.read_csv(project / "reports" / "tuning" / "search.csv")
    assert trials.groupby("tuned").size().to_dict() == {"K = 1": 2, "K = 2": 2, "dnis": 2, "mde": 2}
    assert [point.dim for point in settings.curve.bpr] == [1, 2]
    best = trials[trials["tuned"] == "K = 2"].sort_values("validation").iloc[-1]
    assert settings.curve.bpr[1].l2 == json.loads(best["settings"])["l2"]
    best = trials[trials["tuned"] == "dnis"].sort_values("validation").iloc[-1]
    assert settings.search.bpr.dnis.l1 == json.loads(best["settings"])["l1"]
    assert "bpr: dnis, best of 2 trials" in capsys.readouterr().out
    with pytest.raises(UserError, match="svd is neither a model of search nor a study of replications/"):
        tune_search.main(["svd"])
    with pytest.raises(UserError, match="magnitude of bpr cannot be tuned: choose curve, dnis, mde, nis"):
        tune_search.main(["bpr/magnitude"])


def test_planted_dimensions_are_recovered():
    """Enough data of ranks 4 and 1, and the search ends within one of each."""
    point = {"dim": 8, "learning_rate": 0.01, "l2": 0.3, "l2_bias": 0.3, "l2_power": 0.5, "batch_size": 2048,
             "epochs": 60, "patience": 3}
    settings = Planted(
        users=300, items=300, rows=[30_000], ranks=[4, 1], noise=0.3, scale=6.0, fall=1.5, mf=MF(**point),
        fm=FM(**point),
        dnis=DNIS_.model_copy(update={"alpha_rate": 0.01, "l1": 0.03, "epochs": 60, "patience": 60, "keep": "last"}),
    )
    dims = recover(settings, "mf", 30_000, 1)
    assert abs(dims[0] - 4) <= 1
    assert abs(dims[1] - 1) <= 1
    assert len(recover(settings, "fm", 2000, 1)) == 2


def test_the_studies_of_replications_fit_their_tasks():
    replications = load_settings(HOME / "replications" / "params.yaml")
    for study in replications.studies.values():
        plan = Plan.of_study(study, replications.compute)
        assert plan.shared.dim in [point.dim for point in plan.points]
    stages = YAML(typ="safe").load((HOME / "replications" / "dvc.yaml").read_text())["stages"]
    for stage, section in (("study", "studies"), ("clicks", "click_studies"), ("ranking", "ranking_studies")):
        studies = getattr(replications, section)
        assert stages[stage]["foreach"] == {name: study.dataset for name, study in studies.items()}
