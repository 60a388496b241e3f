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


def _log(trial: optuna.Trial, name: str, low: float, high: float) -> float:
    return float(f"{trial.suggest_float(name, low, high, log=True):.3g}")


def _biases(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {name: _log(trial, name, 0.1, 100) for name in ("user_damping", "item_damping")}


def _ridge(trial: optuna.Trial, frequency: float, low: float, high: float, bias: bool) -> dict[str, float]:
    """Suggest the penalty λ n_f^ν by its strength a rating at the mean frequency, which matters, and its tilt ν."""
    power = round(trial.suggest_float("l2_power", 0, 1), 2)
    scale = frequency ** (1 - power)
    strengths = {"l2": _log(trial, "l2", low, high)} | ({"l2_bias": _log(trial, "l2_bias", 1e-4, 0.3)} if bias else {})
    return {"l2_power": power} | {name: float(f"{value * scale:.3g}") for name, value in strengths.items()}


def _adam(trial: optuna.Trial, low: float, high: float) -> dict[str, float]:
    return {"learning_rate": _log(trial, "learning_rate", low, high)}


def _product(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _adam(trial, 1e-3, 2e-2) | _ridge(trial, frequency, 0.01, 1, bias=True)


def _network(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    """Suggest from wider ranges than for a product: a network can undo a shrunken embedding, or do without one."""
    return _adam(trial, 3e-4, 5e-2) | _ridge(trial, frequency, 1e-4, 10, bias=False)


# What is tuned, and within which bounds; every other setting stays as params.yaml has it.
SPACES: dict[str, Callable[[optuna.Trial, float], dict[str, float]]] = {
    "biases": _biases,
    "mf": _product,
    "als": lambda trial, frequency: _ridge(trial, frequency, 0.01, 1, bias=True),
    "mlp": _network,
    "neumf": _network,
}


def tune(model: str, settings: Settings, problem: rating.RatingTask) -> list[dict]:
    """Return a row a trial: dataset, model, dim, trial, the settings tried, mean validation RMSE of the runs."""
    base = getattr(settings.rating, model).model_dump()
    dims = settings.tune.dims if "dim" in base else [None]
    rows, start = [], None
    for dim in dims:
        trials, start = _study(model, base | ({"dim": dim} if dim else {}), start, len(dims), settings, problem)
        rows += [{"dataset": settings.dataset, "model": model, "dim": dim, **row} for row in trials]
    return rows


def _study(
    model: str, base: dict, start: dict | None, shares: int, settings: Settings, problem: rating.RatingTask
) -> tuple[list[dict], dict]:
    """Search one K, beginning with the suggestions `start`; return a row a trial and the best suggestions."""
    name = f"rating.{model}"
    runs = derive_seeds(Seeds(root=settings.tune.seed, count=settings.tune.runs), f"tune/{name}")
    seen = problem.frequency[problem.frequency > 0].mean().item()
    rows: list[dict] = []

    def objective(trial: optuna.Trial) -> float:
        tried = SPACES[model](trial, seen)
        (point,) = points("rating", model, base | tried)
        try:
            score = fit(name, lambda: build(model, point, problem.inputs), problem, point, runs).best.mean().item()
        except UserError:  # the loss became NaN: a bad trial, not a bad study
            score = float("inf")
        rows.append({"trial": trial.number, **tried, "validation_rmse": float(f"{score:.6g}")})
        return score

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=settings.tune.seed))
    if start is not None:
        study.enqueue_trial(start)
    study.optimize(objective, n_trials=settings.tune.trials // shares)
    return rows, study.best_params


def write_winners(path: Path, model: str, trials: pd.DataFrame) -> None:
    """Put a model's best settings into params.yaml, comments kept, the trial count beside them."""
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = yaml.load(path.read_text(encoding="utf-8"))
    section = values["rating"][model]
    tuned = [key for key in section if key in trials and trials[key].notna().all()]
    ranked = trials.sort_values("validation_rmse", kind="stable")
    if "dim" in section:
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
        others = pd.read_csv(record).query("model != @model") if record.is_file() else None
        pd.concat([others, trials], ignore_index=True).to_csv(record, index=False, float_format="%.6g")
        print(f"{model}: best of {len(trials)} trials {trials['validation_rmse'].min():.4f}")


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
