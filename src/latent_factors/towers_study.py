"""What the parts of self-supervised two-towers are worth, and whether they help more where labels are few."""

import functools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import optuna
import torch
from torch import Tensor

from latent_factors import ranking
from latent_factors.fit import derive_seeds, set_up
from latent_factors.processes import spread
from latent_factors.sections import Compute, Section, Seeds, Settings, Statistics, TowersStudy
from latent_factors.settings import points
from latent_factors.stats import Bootstrap
from latent_factors.tasks import topk
from latent_factors.training import train_points
from latent_factors.tune import best, try_settings

MODELS = ("towers", "towers_ssl")
SLICES = ("head", "middle", "tail")
CLAIMS = {  # the change whose absence should be better
    "cfm-beats-rfm": {"pattern": "rfm"},
    "uniform-beats-training-draws": {"ssl_draw": "training"},
    "log-q-helps": {"log_q": False},
}


class Arm(NamedTuple):
    """A model that learns from a share of the training events."""

    share: float
    model: str


def run(study: TowersStudy, settings: Settings, seeds: Seeds, compute: Compute, statistics: Statistics) -> dict:
    """Train every change and every arm under all seeds; return test metrics and differences, as JSON holds them.

    The settings are those of the default pipeline. With fewer events each model is tuned anew, both with `trials`.
    """
    task = topk.prepare(settings.dataset, settings.data, settings.ranking, set_up(compute))
    judge = _Judge(task, settings, statistics, seeds.count)
    changes = [change.model_dump(exclude_unset=True) for change in study.changes]
    tuned = settings.topk.towers_ssl
    own = derive_seeds(seeds, "topk.towers_ssl")
    changed = [tuned.model_copy(update=change) for change in changes]
    without = [
        judge.lists(task, fit.models) for fit in train_points("topk.towers_ssl", task, changed, own, compute)
    ]

    shares = (*study.shares, 1.0)
    arms = [Arm(share, model) for share in shares for model in MODELS]
    found = dict(zip(arms, spread(functools.partial(_tune, task, settings, study.trials), arms, compute), strict=True))
    lists = {}
    for arm, point in found.items():
        name, problem = f"topk.{arm.model}", thin(task, arm.share, settings.ranking.split.seed)
        (fit,) = train_points(name, problem, [point], derive_seeds(seeds, name), compute)
        lists[arm] = judge.lists(problem, fit.models)
    reference, few = lists[Arm(1.0, "towers_ssl")], min(shares)
    gains = {share: judge.gains(lists[Arm(share, "towers_ssl")], lists[Arm(share, "towers")]) for share in shares}
    return {
        "dataset": settings.dataset, "seeds": seeds.count, "trials": study.trials, "cutoffs": settings.ranking.cutoffs,
        "reference": judge.told(judge.values(reference)),
        "changes": [
            {"change": change, **judge.told(judge.values(own)), "lost": judge.told(judge.gains(reference, own))}
            for change, own in zip(changes, without, strict=True)
        ],
        "shares": [
            {
                "share": share, "events": thin(task, share, settings.ranking.split.seed).size,
                "models": {
                    model: {
                        "settings": found[Arm(share, model)].model_dump(),
                        **judge.told(judge.values(lists[Arm(share, model)])),
                    }
                    for model in MODELS
                },
                "gain": judge.told(gain),
            }
            for share, gain in gains.items()
        ],
        "effects": [
            *({"claim": claim, **judge.interval(judge.gains(reference, without[changes.index(change)])["ndcg"])}
              for claim, change in CLAIMS.items()),
            {"claim": "ssl-helps-sparse-more", **judge.interval(gains[few]["ndcg"] - gains[1.0]["ndcg"])},
        ],
    }


def thin(task: topk.TopKTask, share: float, seed: int) -> topk.TopKTask:
    """Return a task that learns from a share of its training events, drawn with `seed`, and is judged as before.

    Frequencies are those of what is left. The catalogue stays, and what a user had stays out of their list.
    """
    if share == 1:
        return task
    _, held = task.carve(share, seed)
    counts = torch.bincount(held.train.flatten(), minlength=task.features.number)
    return replace(held, features=replace(held.features, counts=counts.cpu().numpy()))


def _tune(task: topk.TopKTask, settings: Settings, trials: int, arm: Arm) -> Section:
    """Return the best of some trials for an arm; batches shrink with the share, so an epoch keeps its steps.

    With all events the setting is that of the default pipeline.
    """
    if arm.share == 1:
        return getattr(settings.topk, arm.model)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = thin(task, arm.share, settings.ranking.split.seed)
    base = getattr(settings.topk, arm.model).model_dump()
    base["batch_size"] = max(1, round(arm.share * base["batch_size"]))
    runs = derive_seeds(Seeds(root=settings.tune.seed, count=1), f"tune/topk.{arm.model}")
    sampler = optuna.samplers.TPESampler(seed=settings.tune.seed)
    rows, _ = try_settings("topk", arm.model, base, problem, runs, trials, sampler)
    (point,) = points("topk", arm.model, best(base, rows, problem))
    return point


class _Judge:
    """Intervals of test ndcg, and of recall within slices of the catalogue that hold a third of the events each."""

    def __init__(self, task: topk.TopKTask, settings: Settings, statistics: Statistics, seeds: int):
        self.relevant = task.relevant("test").cpu()
        self.bootstrap = Bootstrap(np.arange(len(self.relevant)), statistics, seeds)
        self.first, self.longest = settings.ranking.cutoffs[0], max(settings.ranking.cutoffs)
        self.slices = ranking.slices(task.popularity, len(SLICES)).cpu()
        person, item = task.truths["test"].cells(task.persons["test"])
        self.wanted = [
            torch.bincount(person[self.slices[item] == number], minlength=len(self.relevant)).cpu()
            for number in range(len(SLICES))
        ]

    def lists(self, task: topk.TopKTask, models: list[torch.nn.Module]) -> tuple[Tensor, Tensor]:
        """Return the items (S, U, k) of models' test lists, and which are hits (S, U, k)."""
        outputs = [task.outputs(model, "test") for model in models]
        return tuple(torch.stack([own[name] for own in outputs]).cpu() for name in ("items", "hits"))

    def values(self, lists: tuple[Tensor, Tensor]) -> dict[str, np.ndarray]:
        """Return replicates (B + 1,) of the ndcg, and of the recall within each slice."""
        items, hits = lists
        ndcg = self.bootstrap.mean(ranking.ndcg(hits, self.relevant, self.first).numpy())
        sliced = {
            name: self.bootstrap.mean(
                ranking.recall_within(hits, items, self.slices == number, wanted, self.longest).numpy(),
                (wanted > 0).numpy(),
            )
            for number, (name, wanted) in enumerate(zip(SLICES, self.wanted, strict=True))
        }
        return {"ndcg": ndcg, **sliced}

    def gains(self, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> dict[str, np.ndarray]:
        """Return replicates of each value of one's lists minus those of the other's."""
        first, second = self.values(one), self.values(other)
        return {name: first[name] - second[name] for name in first}

    def told(self, values: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
        """Return the interval of each."""
        return {name: self.interval(own) for name, own in values.items()}

    def interval(self, values: np.ndarray) -> dict[str, float]:
        """Return mean, low and high by name."""
        ends = self.bootstrap.interval(values)
        return {name: round(value, 6) for name, value in zip(("mean", "low", "high"), ends, strict=True)}
