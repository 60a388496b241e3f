"""Tune uniform dimensions and the methods of input search on the validation part, one budget for all.

    python -m latent_factors.tune_search [NAME[/PART] ...]

NAME is a model of `search` in params.yaml, by default each, or a study of replications/params.yaml; PART is `curve` or
a method, by default all. First the model is tuned at each K, beginning with the best settings of the K before (MF on
the default data set is tuned by `latent_factors.tune`). Then each method: a setting is judged by the mean, over the
budgets that the rates leave, of the best validation score of its models within each. Winners go into the file that the
name stands in, every trial into reports/tuning/search.csv.
"""

import contextlib
import functools
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import pandas as pd
from ruamel.yaml.comments import CommentedSeq

from latent_factors.errors import UserError, tell
from latent_factors.fit import Task, derive_seeds, set_up
from latent_factors.paths import root
from latent_factors.search.methods import METHODS, Case
from latent_factors.sections import SearchBudget, Seeds
from latent_factors.settings import load_settings, points
from latent_factors.spaces import log
from latent_factors.study import MODELS, Plan
from latent_factors.tasks import prepare
from latent_factors.tune import best, edited, flow, try_settings


def _dnis(trial: optuna.Trial) -> dict:
    return {"alpha_rate": log(trial, "alpha_rate", 1e-3, 0.1), "l1": log(trial, "l1", 1e-5, 0.1)}


def _mde(trial: optuna.Trial) -> dict:
    return {"power": round(trial.suggest_float("power", 0, 1), 3)}


def _nis(trial: optuna.Trial) -> dict:
    return {"controller_rate": log(trial, "controller_rate", 0.01, 0.5), "cost": log(trial, "cost", 0.1, 10)}


SPACES: dict[str, tuple[list[str], Callable[[optuna.Trial], dict]]] = {  # what is judged, and what is tried
    "dnis": (["dnis"], _dnis), "mde": (["mde"], _mde), "nis": (["nis_multi", "nis_single"], _nis),
}


@dataclass(frozen=True)
class Target:
    """What is tuned, and where its settings stand: the file, and the keys of its points and of its methods."""

    plan: Plan
    problem: Task
    budget: SearchBudget
    file: Path
    points_at: list[str]
    search_at: list[str]

    @property
    def name(self) -> str:
        """TASK.MODEL."""
        return f"{self.plan.task}.{self.plan.model}"


def target(name: str) -> Target:
    """Find a name.

    Raises UserError for a name that is neither a model of `search` nor a study.
    """
    settings, replications = load_settings(), root() / "replications"
    if name in MODELS:
        plan = Plan.of_model(name, settings)
        budget = settings.tune.search
        places = root() / "params.yaml", ["curve", name], ["search", name]
    else:
        studies = load_settings(replications / "params.yaml").studies
        if name not in studies:
            known = ", ".join([*MODELS, *studies])
            raise UserError(f"{name} is neither a model of search nor a study of replications/: choose from {known}")
        plan = Plan.of_study(studies[name], settings.compute)
        budget = studies[name].tune
        places = replications / "params.yaml", ["studies", name, "points"], ["studies", name, "search"]
    with contextlib.chdir(root() if name in MODELS else replications):
        problem = prepare(plan.task, plan.dataset, plan.data, plan.protocol, set_up(plan.compute))
    return Target(plan, problem, budget, *places)


def tune_curve(target: Target, seed: int) -> tuple[list[dict], list[dict]]:
    """Tune the model at each K; return its settings there, and a row a trial."""
    rows, winners, start, problem = [], [], None, target.problem
    runs = derive_seeds(Seeds(root=seed, count=1), f"tune/{target.name}")
    for point in target.plan.points:
        base = {"dim": point.dim} | point.model_dump()
        trials, start = try_settings(
            target.plan.task, target.plan.model, base, problem, runs, target.budget.curve,
            optuna.samplers.TPESampler(seed=seed), start,
        )
        winners.append(best(base, trials, problem))
        score = f"validation_{problem.metric}"
        rows += [_record(row.pop("trial"), f"K = {point.dim}", row.pop(score), row) for row in trials]
    return winners, rows


def tune_method(target: Target, method: str, seed: int) -> tuple[dict, list[dict]]:
    """Tune a method; return its settings, and a row a trial."""
    labels, suggest = SPACES[method]
    (run,) = derive_seeds(Seeds(root=seed, count=1), f"tune/{target.name}/search")
    problem, section, rows = target.problem, target.plan.methods[method], []
    case = Case(target.name, problem, target.plan.points, target.plan.shared, run)
    sign = -1 if problem.larger_is_better else 1

    def objective(trial: optuna.Trial) -> float:
        tried = suggest(trial)
        kept = []
        for one in METHODS[method](case, section.model_copy(update=tried)):
            if one.label in labels:
                vectors = one.mask.shape[1] // case.point.dim
                kept.append((int(one.mask.sum()) // vectors, problem.score(one.model).item()))
            elif kept:
                break
        score = within(kept, [budget for _, budget in case.budgets()], problem.larger_is_better)
        rows.append(_record(trial.number, method, score, tried))
        return sign * score if math.isfinite(score) else math.inf

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=target.budget.methods)
    return json.loads(rows[study.best_trial.number]["settings"]), rows


def within(kept: list[tuple[int, float]], budgets: list[int], larger_is_better: bool) -> float:
    """Return the mean over budgets of the best score of models (entries, score) that fit; NaN where none does."""
    pick = functools.partial(max if larger_is_better else min, default=math.nan)
    return sum(pick(score for entries, score in kept if entries <= budget) for budget in budgets) / len(budgets)


def _record(trial: int, tuned: str, score: float, tried: dict) -> dict:
    return {"tuned": tuned, "trial": trial, "validation": float(f"{score:.6g}"), "settings": json.dumps(tried)}


def write(target: Target, keys: list[str], value: list[dict] | dict) -> None:
    """Put a curve's points or a method's settings at their place in the target's file."""
    with edited(target.file) as values:
        place = functools.reduce(lambda part, key: part[key], keys[:-1], values)
        if isinstance(value, dict):
            place[keys[-1]].update(value)
        else:
            place[keys[-1]] = CommentedSeq([flow(point) for point in value])


def main(names: list[str]) -> None:
    """Tune the names, one after the other, writing after each step."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed, record = load_settings().tune.seed, root() / "reports" / "tuning" / "search.csv"
    for words in names or MODELS:
        name, _, part = words.partition("/")
        own = target(name)
        if part not in ("", "curve", *SPACES):
            raise UserError(f"{part} of {name} cannot be tuned: choose curve, {', '.join(SPACES)}")
        if part in ("", "curve") and own.points_at != ["curve", "mf"]:
            winners, rows = tune_curve(own, seed)
            write(own, own.points_at, winners)
            _append(record, own, name, rows)
            own = replace(own, plan=replace(own.plan, points=points(own.plan.task, own.plan.model, winners)))
        for method in SPACES if not part else [part] if part in SPACES else []:
            winner, rows = tune_method(own, method, seed)
            write(own, [*own.search_at, method], winner)
            _append(record, own, name, rows)


def _append(record: Path, own: Target, name: str, rows: list[dict]) -> None:
    """Put trials in the place of those that the record has of the same name and thing tuned."""
    trials = pd.DataFrame(rows)
    trials.insert(0, "name", name)
    trials.insert(0, "dataset", own.problem.dataset)
    if record.is_file():
        old = pd.read_csv(record)
        same = (old["name"] == name) & old["tuned"].isin(trials["tuned"])
        trials = pd.concat([old[~same], trials], ignore_index=True)
    record.parent.mkdir(parents=True, exist_ok=True)
    trials.to_csv(record, index=False)
    pick = max if own.problem.larger_is_better else min
    scores = [row["validation"] for row in rows]
    print(f"{name}: {rows[-1]['tuned']}, best of {len(rows)} trials {pick(scores):.4f}")


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
