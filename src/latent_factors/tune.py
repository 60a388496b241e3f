"""Tune every model of a task with one budget, on the validation part, and write the winners into params.yaml.

    python -m latent_factors.tune [TASK.MODEL ...]    by default every model that has something to tune

Each model gets the trials of its task (`tune.<task>.trials`) of optuna's TPE sampler with a fixed seed. A model with
a curve spends them in equal shares on the K of `tune.dims`, and begins each K with the best setting of the K before;
the best trial of each K becomes a point of the curve. The best trial of all becomes the model's setting; or, where a
task has finalists, the one of its best trials that does best under fresh seeds, as one run may be lucky. Every trial
stands in reports/tuning/<task>.csv; those of the data set that stand there already count, so a raised budget adds to
them, and to tune a changed model anew its rows are deleted first.
"""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from latent_factors.errors import TrainingError, UserError, tell
from latent_factors.fit import Task, derive_seeds, fit, set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.sections import Seeds, Settings
from latent_factors.settings import TASKS, load_settings, points
from latent_factors.spaces import SPACES, space
from latent_factors.tasks import prepare


def tune(task: str, model: str, settings: Settings, problem: Task, recorded: int = 0) -> list[dict]:
    """Make the trials that `recorded` ones leave of the budget, with a search of their own.

    Returns a row a trial: dataset, model, dim, trial, the settings tried, mean validation score of the runs.
    """
    if recorded >= getattr(settings.tune, task).trials:
        return []
    base = getattr(getattr(settings, task), model).model_dump()
    budget = getattr(settings.tune, task)
    curve = task == "rating" and hasattr(settings.curve, model)
    dims = settings.tune.dims if curve else [None]
    done, share = recorded // len(dims), (budget.trials - recorded) // len(dims)
    runs = derive_seeds(Seeds(root=settings.tune.seed, count=budget.runs), f"tune/{task}.{model}")
    rows, start = [], None
    for dim in dims:
        fixed = base | ({"dim": dim} if curve else {})
        sampler = optuna.samplers.TPESampler(seed=settings.tune.seed + recorded)
        trials, start = try_settings(task, model, fixed, problem, runs, share, sampler, start)
        about = {"dataset": settings.dataset, "model": model} | ({"dim": dim} if curve else {})
        rows += [about | row | {"trial": done + row["trial"]} for row in trials]
    return rows


def try_settings(
    task: str, model: str, base: dict, problem: Task, runs: list[int], trials: int,
    sampler: optuna.samplers.BaseSampler, start: dict | None = None, told: Callable[[dict], None] = lambda row: None,
    known: Callable[[dict], float | None] = lambda tried: None,
) -> tuple[list[dict], dict]:
    """Search a model's settings around `base`, beginning with the suggestions `start`.

    Returns a row a trial, with the mean validation score of the runs, and the best suggestions. Each row is `told` as
    soon as it is there; a trial whose score is `known` already is not made again, nor told.
    """
    seen = problem.frequency[problem.frequency > 0].mean().item()
    rows: list[dict] = []

    def objective(trial: optuna.Trial) -> float:
        tried = space(task, model)(trial, seen)
        before = known(tried)
        reached = score(task, model, base | tried, problem, runs) if before is None else before
        rows.append({"trial": trial.number, **tried, f"validation_{problem.metric}": reached})
        if before is None:
            told(rows[-1])
        return reached

    study = optuna.create_study(direction="maximize" if problem.larger_is_better else "minimize", sampler=sampler)
    if start is not None:
        study.enqueue_trial(start)
    study.optimize(objective, n_trials=trials)
    return rows, study.best_params


def suggestions(base: dict, problem: Task) -> dict:
    """Return the suggestions that lead to a setting: penalties by their strength a row, as `spaces` has them."""
    if "l2_power" not in base:
        return base
    scale = problem.frequency[problem.frequency > 0].mean().item() ** (1 - base["l2_power"])
    return base | {name: base[name] / scale for name in ("l2", "l2_bias") if name in base}


def best(base: dict, trials: list[dict], problem: Task) -> dict:
    """Return the settings `base` with what the best of some trials by validation set in them."""
    pick = max if problem.larger_is_better else min
    row = pick(trials, key=lambda row: row[f"validation_{problem.metric}"])
    return base | {key: value for key, value in row.items() if key in base}


def score(task: str, model: str, values: dict, problem: Task, runs: list[int]) -> float:
    """Return the mean validation score of some runs, to six digits; the worst there is for what cannot be trained."""
    (point,) = points(task, model, values)
    try:
        scores = fit(f"{task}.{model}", lambda: build(model, point, problem.inputs), problem, point, runs).best
    except TrainingError:  # a bad trial, not a bad study
        return -float("inf") if problem.larger_is_better else float("inf")
    return float(f"{scores.mean().item():.6g}")


def finals(task: str, model: str, settings: Settings, problem: Task, trials: pd.DataFrame) -> pd.DataFrame:
    """Run the best different settings of the trials again under fresh seeds; return the trials with those means."""
    budget, base = getattr(settings.tune, task), getattr(getattr(settings, task), model).model_dump()
    seeds = Seeds(root=settings.tune.seed, count=budget.runs + budget.final_runs)
    runs = derive_seeds(seeds, f"tune/{task}.{model}")[budget.runs :]
    tuned = [key for key in base if key in trials]
    for row, tried in rank(trials, problem).drop_duplicates(tuned).head(budget.finalists).iterrows():
        values = base | _plain(base, tried.to_dict(), tuned)
        trials.loc[row, f"final_{problem.metric}"] = score(task, model, values, problem, runs)
    return trials


def rank(trials: pd.DataFrame, problem: Task) -> pd.DataFrame:
    """Return trials with the best first: finalists by their final mean, then the others."""
    scores = [name for name in (f"final_{problem.metric}", f"validation_{problem.metric}") if name in trials]
    return trials.sort_values(scores, ascending=not problem.larger_is_better, kind="stable")


def write_winners(path: Path, task: str, model: str, ranked: pd.DataFrame) -> None:
    """Put a model's best settings, `ranked` best first, into params.yaml, the trial count beside."""
    with edited(path) as values:
        section = values[task][model]
        tuned = [key for key in section if key in ranked and ranked[key].notna().all()]
        if task == "rating" and model in values["curve"]:
            winners = ranked.groupby("dim").head(1).sort_values("dim")
            rows = [{**section, **_plain(section, row, tuned)} for row in winners.to_dict("records")]
            values["curve"][model] = CommentedSeq([flow(row) for row in rows])
        section.update(_plain(section, ranked.iloc[0].to_dict(), tuned))
        values[task].yaml_add_eol_comment(f"tuned in {len(ranked)} trials", model)


@contextlib.contextmanager
def edited(path: Path) -> Iterator[CommentedMap]:
    """Give a YAML file's values to change, and write it back whole, comments kept."""
    yaml = YAML()
    yaml.width = 4096  # lines stay as they are, and quotes
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = yaml.load(path.read_text(encoding="utf-8"))
    yield values
    text = io.StringIO()
    yaml.dump(values, text)
    part = path.with_suffix(".part")
    part.write_text(text.getvalue(), encoding="utf-8")
    part.replace(path)


def flow(values: dict) -> CommentedMap:
    """Return values that stand on one line of a YAML file."""
    entry = CommentedMap(values)
    entry.fa.set_flow_style()
    return entry


def _plain(section: CommentedMap, row: dict, keys: list[str]) -> dict:
    """Return tuned values as whole numbers where the section has whole numbers."""
    return {key: int(row[key]) if isinstance(section[key], int) else float(row[key]) for key in keys}


def main(names: list[str]) -> None:
    """Tune the models named, one after the other, writing after each."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = load_settings()
    every = [f"{task}.{model}" for task, models in SPACES.items() for model in models]
    unknown = [name for name in names if name not in every]
    if unknown:
        raise UserError(f"{unknown[0]} is no model that can be tuned; choose from {', '.join(every)}")
    device = set_up(settings.compute)
    for name in names or every:
        task, model = name.split(".")
        problem = prepare(task, settings.dataset, settings.data, getattr(settings, TASKS[task][1]), device)
        record = root() / "reports" / "tuning" / f"{task}.csv"
        record.parent.mkdir(parents=True, exist_ok=True)
        recorded = pd.read_csv(record) if record.is_file() else pd.DataFrame(columns=["dataset", "model"])
        own = (recorded["dataset"] == settings.dataset) & (recorded["model"] == model)
        fresh = pd.DataFrame(tune(task, model, settings, problem, int(own.sum())))
        trials = pd.concat([recorded[own].dropna(axis=1), fresh], ignore_index=True)
        ranked = rank(finals(task, model, settings, problem, trials), problem)
        write_winners(root() / "params.yaml", task, model, ranked)
        others = recorded[recorded["model"] != model]
        pd.concat([others, trials], ignore_index=True).to_csv(record, index=False, float_format="%.6g")
        print(f"{name}: best of {len(trials)} trials {ranked.iloc[0][f'validation_{problem.metric}']:.4f}")


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
