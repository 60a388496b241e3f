"""Recommenders on a larger data set under all seeds, and what comes of it for claims and published tables."""

import functools
from itertools import product

import numpy as np
import torch
from torch import Tensor

from latent_factors import ranking
from latent_factors.data.unmet import unmet
from latent_factors.fit import derive_seeds, fit_run, set_up
from latent_factors.models import build
from latent_factors.processes import spread
from latent_factors.ranking_claims import CLAIMS
from latent_factors.sections import Compute, RankingStudy, Section, Seeds, Statistics
from latent_factors.settings import points
from latent_factors.stats import Bootstrap
from latent_factors.tasks import prepare, topk

NAMES = ("mean", "low", "high")


def run(study: RankingStudy, seeds: Seeds, compute: Compute, statistics: Statistics) -> dict:
    """Train every model under all seeds; return their test metrics, and differences between them, as JSON holds them.

    Raises UserError for anything wrong with the data or the settings.
    """
    trained = settings(study)
    task = prepare(study.task, study.dataset, study.data, study.protocol, set_up(compute))
    lists, validation = {}, {}
    for model, point in trained.items():
        name = f"{study.task}.{model}"
        own = derive_seeds(seeds, name)[: seeds.count if point.random else 1]
        found = spread(functools.partial(hits, task, name, point), own, compute)
        lists[model], scores = map(list, zip(*found, strict=True))
        validation[model] = float(np.mean(scores))
    device = torch.cuda.get_device_name() if task.ids.is_cuda else "cpu"
    return summary(study, task, lists, validation, statistics, seeds.count, device)


def settings(study: RankingStudy) -> dict[str, Section]:
    """Return the typed settings of each model.

    Raises UserError for an unknown model, or settings that do not fit it.
    """
    return {model: points(study.task, model, values)[0] for model, values in study.models.items()}


def hits(task: topk.TopKTask, name: str, point: Section, seed: int) -> tuple[Tensor, float]:
    """Train TASK.MODEL under one seed; return which places of users' test lists are hits (U, k), and its validation."""
    make = functools.partial(build, name.split(".")[1], point, task.inputs)
    trained, score, _ = fit_run(f"{name}  seed {seed}", make, task, point, seed)
    return task.outputs(trained, "test")["hits"].cpu(), score


def summary(
    study: RankingStudy, task: topk.TopKTask, lists: dict[str, list[Tensor]], validation: dict[str, float],
    statistics: Statistics, seeds: int, device: str,
) -> dict:
    """Return each metric of each model's hits (U, k), a list a seed, with intervals over users and seeds.

    A claim is decided where the study has all models that it names; `of` are the two compared, where it names several
    the best of them by `validation`. `device` says in words what trained them.

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
