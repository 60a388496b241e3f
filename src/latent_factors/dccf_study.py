"""DCCF without each of its parts, and beside LightGCN when training events are replaced by random ones."""

import functools
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from latent_factors import ranking
from latent_factors.data.features import rank_features
from latent_factors.data.noise import disturb
from latent_factors.data.table import Interactions
from latent_factors.fit import derive, derive_seeds, fit_run, set_up
from latent_factors.models import build
from latent_factors.processes import spread
from latent_factors.sections import Compute, DCCFStudy, Section, Seeds, Settings, Statistics
from latent_factors.stats import Bootstrap
from latent_factors.tasks import topk

NAMES = ("mean", "low", "high")
MODELS = ("dccf", "lightgcn")  # the first should lose less to noise


def run(study: DCCFStudy, settings: Settings, seeds: Seeds, compute: Compute, statistics: Statistics) -> dict:
    """Train with the settings of the default pipeline, under all seeds; return what comes of it, as JSON holds it.

    Raises UserError for anything wrong with the data.
    """
    task = topk.prepare(settings.dataset, settings.data, settings.ranking, set_up(compute))
    planned = plan(study, settings)
    lists = iter(spread(functools.partial(hits, task), jobs(planned, seeds), compute))
    stacked = {name: torch.stack([next(lists) for _ in range(seeds.count)]) for name in planned}
    return summary(study, task, stacked, statistics, seeds.count)


def plan(study: DCCFStudy, settings: Settings) -> dict[tuple[str, float], tuple[str, Section]]:
    """Return the model and its setting for each model's name, or ablation's claim, and share of noise."""
    planned = {
        (model, share): (model, getattr(settings.topk, model))
        for share, model in product((0.0, *study.noise), MODELS)
    }
    return planned | {
        (claim, 0.0): ("dccf", settings.topk.dccf.model_copy(update=change.model_dump(exclude_unset=True)))
        for claim, change in study.ablations.items()
    }


def jobs(planned: dict[tuple[str, float], tuple[str, Section]], seeds: Seeds) -> list[tuple]:
    """Return what `hits` does for each plan and each seed, one plan after the other."""
    return [
        (model, point, share, seed, derive(f"{seeds.root}/noise/{share}/{number}"))
        for (_, share), (model, point) in planned.items()
        for number, seed in enumerate(derive_seeds(seeds, f"topk.{model}"))
    ]


def noisy(task: topk.TopKTask, share: float, seed: int) -> topk.TopKTask:
    """Return the task with a share of its training events replaced, as `disturb` does; validation and test stay.

    What was replaced is not ranked: the user has it, and a model that finds it would be charged with a miss for it.
    """
    interactions = disturb(task.interactions, task.parts.train, share, seed)
    features = rank_features(task.features.names, [interactions.user, interactions.item], task.parts.train)

    def numbered(events: Interactions) -> Tensor:
        return torch.from_numpy(features.encode([events.user, events.item])).to(task.ids.device)

    gone = np.flatnonzero(interactions.item.codes != task.interactions.item.codes)
    return replace(
        task, interactions=interactions, features=features,
        ids=torch.cat([numbered(interactions), numbered(task.interactions)[gone]]),
        person=torch.cat([task.person, task.person[gone]]),
        hidden=np.arange(len(gone)) + len(interactions),
    )


def hits(task: topk.TopKTask, job: tuple[str, Section, float, int, int]) -> Tensor:
    """Train a model at a point with a share of noise, under one seed and the noise's; return its test hits (U, k)."""
    model, point, share, seed, drawn = job
    disturbed = noisy(task, share, drawn) if share else task
    make = functools.partial(build, model, point, disturbed.inputs)
    trained, _, _ = fit_run(f"topk.{model}  noise {share:g}  seed {seed}", make, disturbed, point, seed)
    return disturbed.outputs(trained, "test")["hits"].cpu()


def summary(
    study: DCCFStudy, task: topk.TopKTask, stacked: dict[tuple[str, float], Tensor], statistics: Statistics, seeds: int
) -> dict:
    """Return ndcg at the first cutoff of each model's hits (S, U, k), by model or ablation and share of noise."""
    relevant, cutoff = task.relevant("test").cpu(), task.cutoffs[0]
    judge = Bootstrap(np.arange(len(relevant)), statistics, seeds)
    ndcg = {plan: judge.mean(ranking.ndcg(own, relevant, cutoff).numpy()) for plan, own in stacked.items()}
    lost = {(model, share): 1 - ndcg[model, share] / ndcg[model, 0.0] for share, model in product(study.noise, MODELS)}

    def interval(replicates: np.ndarray) -> dict[str, float]:
        return {name: round(value, 6) for name, value in zip(NAMES, judge.interval(replicates), strict=True)}

    most, (one, other) = max(study.noise), MODELS
    without = {claim: ndcg["dccf", 0.0] - ndcg[claim, 0.0] for claim in study.ablations}
    effects = without | {study.claim: lost[other, most] - lost[one, most]}
    return {
        "dataset": task.dataset, "rows": {part: len(own) for part, own in task.parts}, "users": len(relevant),
        "seeds": seeds, "cutoff": cutoff,
        "noise": [
            {"model": model, "share": share, "ndcg": interval(ndcg[model, share])}
            | ({"lost": interval(lost[model, share])} if share else {})
            for share, model in product((0.0, *study.noise), MODELS)
        ],
        "ablations": [
            {
                "claim": claim, "change": change.model_dump(exclude_unset=True), "ndcg": interval(ndcg[claim, 0.0]),
                "worth": interval(without[claim]),
            }
            for claim, change in study.ablations.items()
        ],
        "effects": [{"claim": claim, **interval(values)} for claim, values in effects.items()],
    }
