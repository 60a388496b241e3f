"""Recommenders on a larger data set under all seeds, and what comes of it for claims and published tables."""

from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latent_factors import ranking
from latent_factors.data.unmet import unmet
from latent_factors.errors import UserError
from latent_factors.fit import set_up
from latent_factors.ranking_claims import CLAIMS
from latent_factors.ranking_runs import Outcome, Runs
from latent_factors.sections import Compute, RankingStudy, Section, Seeds, Statistics
from latent_factors.settings import points
from latent_factors.stats import Bootstrap
from latent_factors.tasks import prepare, topk

NAMES = ("mean", "low", "high")


def run(study: RankingStudy, seeds: Seeds, compute: Compute, statistics: Statistics, folder: Path) -> dict:
    """Train every model under all seeds; return their test metrics, and differences between them, as JSON holds them.

    Every run is kept in a folder, and one that is there already is not trained again.

    Raises UserError for anything wrong with the data or the settings.
    """
    runs = begin(study, seeds, compute, folder)
    return _told(runs, {model: runs.train(model, point) for model, point in settings(study).items()}, statistics)


def so_far(study: RankingStudy, seeds: Seeds, compute: Compute, statistics: Statistics, folder: Path) -> dict:
    """Return the same of the runs that a folder has; a model that has none there is left out.

    Raises UserError where no model has one, and for anything wrong with the data or the settings.
    """
    runs = begin(study, seeds, compute, folder)
    found = {model: runs.kept(model, point) for model, point in settings(study).items()}
    found = {model: own for model, own in found.items() if own}
    if not found:
        raise UserError(f"{folder}/ has no run of a study on {study.dataset} with these settings; train one first")
    return _told(runs, found, statistics)


def begin(study: RankingStudy, seeds: Seeds, compute: Compute, folder: Path) -> Runs:
    """Return what trains a study's models and keeps their runs in a folder.

    Raises UserError for anything wrong with the data or the settings.
    """
    settings(study)  # before data are read
    task = prepare(study.task, study.dataset, study.data, study.protocol, set_up(compute))
    return Runs(study, task, seeds, compute, folder)


def _told(runs: Runs, found: dict[str, list[Outcome]], statistics: Statistics) -> dict:
    lists = {model: [outcome.hits for outcome in own] for model, own in found.items()}
    validation = {model: float(np.mean([outcome.validation for outcome in own])) for model, own in found.items()}
    devices = dict.fromkeys(outcome.device for own in found.values() for outcome in own)
    seeds = max(map(len, found.values()))
    return summary(runs.study, runs.task, lists, validation, statistics, seeds, ", ".join(devices))


def settings(study: RankingStudy) -> dict[str, Section]:
    """Return the typed settings of each model.

    Raises UserError for an unknown model, or settings that do not fit it.
    """
    return {model: points(study.task, model, values)[0] for model, values in study.models.items()}


def summary(
    study: RankingStudy, task: topk.TopKTask, lists: dict[str, list[Tensor]], validation: dict[str, float],
    statistics: Statistics, seeds: int, device: str,
) -> dict:
    """Return each metric of each model's hits (U, k), a list a seed, with intervals over users and seeds.

    A claim is decided where the study has all models that it names; `of` are the two compared, where it names several
    the best of them by `validation`. `device` says what trained them.

    Where items that a user has had are ranked, `again` is the share of users
    whose test item is one of them, and `new` holds the ndcg over the others.
    """
    relevant = task.relevant("test").cpu()
    judge = Bootstrap(np.arange(len(relevant)), statistics, seeds)
    stacked = {model: torch.stack(own) for model, own in lists.items()}

    def values(model: str, name: str, cutoff: int, users: np.ndarray | None = None) -> np.ndarray:
        return judge.mean(ranking.METRICS[name](stacked[model], relevant, cutoff).numpy(), users)

    def interval(replicates: np.ndarray) -> dict[str, float]:
        return {name: round(value, 6) for name, value in zip(NAMES, judge.interval(replicates), strict=True)}

    cutoff, kept = study.protocol.cutoffs[0], [name for name in ("recall", "hit", "ndcg") if name in task.metrics]
    ndcg = {model: values(model, "ndcg", cutoff) for model in stacked}
    again = task.again("test").cpu().numpy() if getattr(task, "rank_history", False) else None
    new = {} if again is None else {
        model: {"new": {f"ndcg@{cutoff}": interval(values(model, "ndcg", cutoff, ~again))}} for model in stacked
    }
    return {
        "dataset": study.dataset, "rows": {part: len(own) for part, own in task.parts}, "users": len(relevant),
        "items": task.catalogue, "seeds": seeds, "cutoff": cutoff, "device": device,
        **({} if again is None else {"again": round(float(again.mean()), 6)}),
        **({"unmet": _unmet(task)} if study.task == "topk" and study.protocol.split.kind == "given" else {}),
        "models": [
            {
                "model": model, "runs": len(own), "settings": study.models[model],
                "validation": round(validation[model], 6),
                "metrics": {
                    f"{name}@{k}": interval(values(model, name, k))
                    for name, k in product(kept, study.protocol.cutoffs)
                },
                **new.get(model, {}),
            }
            for model, own in stacked.items()
        ],
        "effects": [
            {"claim": claim, "of": [one, other], **interval(ndcg[one] - ndcg[other])}
            for claim, camps in CLAIMS.items() if {*camps[0], *camps[1]} <= set(ndcg)
            for one, other in [[max(camp, key=validation.get) for camp in camps]]
        ],
    }


def _unmet(task: topk.TopKTask) -> dict[str, float]:
    """Return the share of unmet events of each held-out part."""
    user, item = task.ids.cpu().numpy().T
    return {name: round(unmet(user, item, task.parts.train, rows), 6) for name, rows in list(task.parts)[1:]}
