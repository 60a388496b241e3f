"""Tune every model with one budget, on the validation part, and write the winners into params.yaml.

    python -m latent_factors.tune [MODEL ...]    by default every model that has something to tune

Each model gets `tune.trials` trials of optuna's TPE sampler with a fixed seed; a factor model spends them in
equal shares on the K of `tune.dims`, and begins each K with the best setting of the K before. The best trial of
each K becomes a point of the model's curve, the best of all its headline setting. Every trial stands in
reports/tuning.csv.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from latent_factors.errors import UserError, tell
from latent_factors.fit import derive_seeds, fit, set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.settings import Seeds, Settings, load_settings, points
from latent_factors.tasks import rating

Suggest = Callable[[optuna.Trial], dict[str, float]]


def _log(low: float, high: float) -> Callable[[optuna.Trial, str], float]:
    return lambda trial, name: float(f"{trial.suggest_float(name, low, high, log=True):.3g}")


# What is tuned, and within which bounds; every other setting stays as params.yaml has it.
SPACES: dict[str, dict[str, Callable[[optuna.Trial, str], float]]] = {
    "biases": {"user_damping": _log(0.1, 100), "item_damping": _log(0.1, 100)},
    "mf": {"learning_rate": _log(1e-3, 3e-2), "l2": _log(1e-3, 1), "l2_bias": _log(1e-4, 0.3)},
    "als": {"l2": _log(1e-2, 1), "l2_bias": _log(1e-4, 0.3)},
    "mlp": {"learning_rate": _log(1e-3, 3e-2), "l2": _log(1e-5, 1)},
    "neumf": {"learning_rate": _log(1e-3, 3e-2), "l2": _log(1e-5, 1)},
}


def tune(model: str, settings: Settings, problem: rating.RatingTask) -> list[dict]:
    """Return a row a trial: dataset, model, dim, trial, the settings tried, mean validation RMSE of the runs."""
    base = getattr(settings.rating, model).model_dump()
    dims = settings.tune.dims if "dim" in base else [None]
    rows, start = [], None
    for dim in dims:
        trials = _study(model, base | ({"dim": dim} if dim else {}), start, len(dims), settings, problem)
        best = min(trials, key=lambda row: row["validation_rmse"])
        start = {key: best[key] for key in SPACES[model]}
        rows += [{"dataset": settings.dataset, "model": model, "dim": dim, **row} for row in trials]
    return rows


def _study(
    model: str, base: dict, start: dict | None, shares: int, settings: Settings, problem: rating.RatingTask
) -> list[dict]:
    name = f"rating.{model}"
    runs = derive_seeds(Seeds(root=settings.tune.seed, count=settings.tune.runs), f"tune/{name}")
    rows: list[dict] = []

    def objective(trial: optuna.Trial) -> float:
        tried = {key: suggest(trial, key) for key, suggest in SPACES[model].items()}
        (point,) = points("rating", model, base | tried)
        try:
            score = fit(name, lambda: build(model, point, problem.inputs), problem, point, runs).best.mean().item()
        except UserError:  # the loss became NaN: a bad trial, not a bad study
            score = float("inf")
        rows.append({"trial": trial.number, **tried, "validation_rmse": score})
        return score

    sampler = optuna.samplers.TPESampler(seed=settings.tune.seed)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    if start is not None:
        study.enqueue_trial(start)
    study.optimize(objective, n_trials=settings.tune.trials // shares)
    return rows


def write_winners(path: Path, model: str, trials: pd.DataFrame) -> None:
    """Put a model's best settings into params.yaml, comments kept, the trial count beside them."""
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = yaml.load(path.read_text(encoding="utf-8"))
    section = values["rating"][model]
    tuned = list(SPACES[model])
    ranked = trials.sort_values("validation_rmse", kind="stable")
    if "dim" in section:
        tuned = ["dim", *tuned]
        best = ranked.groupby("dim").head(1).sort_values("dim")
        curve = CommentedSeq([_flow(section, row, tuned) for row in best.to_dict("records")])
        values["curve"][model] = curve
    section.update(_plain(ranked.iloc[0].to_dict(), tuned))
    values["rating"].yaml_add_eol_comment(f"tuned in {len(trials)} trials", model)
    text = io.StringIO()
    yaml.dump(values, text)
    part = path.with_suffix(".part")
    part.write_text(text.getvalue(), encoding="utf-8")
    part.replace(path)


def _flow(section: CommentedMap, row: dict, tuned: list[str]) -> CommentedMap:
    entry = CommentedMap({**section, **_plain(row, tuned)})
    entry.fa.set_flow_style()
    return entry


def _plain(row: dict, keys: list[str]) -> dict:
    return {key: int(row[key]) if key == "dim" else float(row[key]) for key in keys}


def main(models: list[str]) -> None:
    """Tune the models named, one after the other, writing after each."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = load_settings()
    unknown = [model for model in models if model not in SPACES]
    if unknown:
        raise UserError(f"{unknown[0]} is no model that can be tuned; choose from {', '.join(SPACES)}")
    problem = rating.prepare(settings.dataset, settings.data, settings.split, set_up(settings.compute))
    record = root() / "reports" / "tuning.csv"
    record.parent.mkdir(exist_ok=True)
    for model in models or SPACES:
        trials = pd.DataFrame(tune(model, settings, problem))
        write_winners(root() / "params.yaml", model, trials)
        known = pd.read_csv(record) if record.is_file() else pd.DataFrame(columns=["model"])
        everything = pd.concat([known[known["model"] != model], trials], ignore_index=True)
        everything.to_csv(record, index=False, float_format="%.6g")
        print(f"{model}: best of {len(trials)} trials {trials['validation_rmse'].min():.4f}")


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
