"""Every model of clicks on a larger data set, and what comes of it for the claims of chapter 30."""

import numpy as np

from latent_factors.click_claims import CLAIMS
from latent_factors.fit import derive_seeds, set_up
from latent_factors.sections import CTR, ClickStudy, Compute, Seeds, Statistics
from latent_factors.stats import Bootstrap
from latent_factors.tasks import prepare
from latent_factors.training import train_points

NAMES = ("mean", "low", "high")


def run(study: ClickStudy, seeds: Seeds, compute: Compute, statistics: Statistics) -> dict:
    """Train every model under all seeds; return their test scores, and differences between them, as JSON holds them.

    Raises UserError for anything wrong with the data or the settings.
    """
    task = prepare(study.task, study.dataset, study.data, study.protocol, set_up(compute))
    label = task.test[2].cpu().numpy()
    judge = Bootstrap(task.events.user.codes[task.parts.test].astype(np.int64), statistics, seeds.count)
    rows, auc = [], {}
    for model in CTR.model_fields:
        name, point = f"{study.task}.{model}", getattr(study.models, model)
        (fitted,) = train_points(name, task, [point], derive_seeds(seeds, name), compute)
        chance = np.stack([task.predict(one, *task.test[:2]).cpu().numpy() for one in fitted.models])
        auc[model] = judge.auc(chance, label)
        rows.append({
            "model": model, "parameters": sum(value.numel() for value in fitted.models[0].parameters()),
            "auc": _interval(judge, auc[model]), "logloss": _interval(judge, judge.mean(_loss(chance, label))),
        })
    for row in rows:
        row["over_deepfm"] = _interval(judge, auc[row["model"]] - auc["deepfm"])
    return {
        "dataset": study.dataset, "task": study.task, "rows": {part: len(own) for part, own in task.parts},
        "fields": list(task.features.names), "features": task.features.number, "seeds": seeds.count,
        "trials": study.trials, "models": rows,
        "effects": [
            {"claim": claim, **_interval(judge, auc[one] - auc[other])} for claim, (one, other) in CLAIMS.items()
        ],
    }


def _loss(chance: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the logloss of each row (S, n) for probabilities (S, n)."""
    chance = chance.astype(np.float64).clip(1e-15, 1 - 1e-15)
    return -np.log(np.where(label > 0, chance, 1 - chance))


def _interval(judge: Bootstrap, values: np.ndarray) -> dict[str, float]:
    return {name: round(value, 6) for name, value in zip(NAMES, judge.interval(values), strict=True)}
