"""Methods of input search side by side: at each budget of parameters each stands with its best model within it.

What is best the validation part says, seed by seed; what is compared are test scores, by the paired bootstrap.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from latent_factors import ranking
from latent_factors.claims import Claim
from latent_factors.fit import Task
from latent_factors.sections import Statistics
from latent_factors.stats import Bootstrap, p_value
from latent_factors.study import Study

SUFFICES = {"rating": 0.5, "ctr": 0.05, "topk": 0.5}  # the share of the table that is said to do, by task
METHODS = {  # what stands as one method in a comparison: the labels that it may choose from
    "uniform": ["uniform"], "magnitude": ["magnitude"], "stronger L2": ["stronger_l2"],
    "random dimensions": ["random_dims"], "MDE": ["mde"], "NIS": ["nis_single", "nis_multi"],
    "DNIS": ["dnis"], "DNIS, as found": ["dnis_as_found"],
}
NAMES = ("effect", "low", "high")
REPLICATES = np.ndarray
"""(B + 1,) values of a quantity, the first the estimate."""


class Judge:
    """Turns kept predictions into replicates of the test metric that a task is compared by: RMSE, AUC or ndcg."""

    def __init__(self, name: str, task: Task, statistics: Statistics, seeds: int):
        """`name` is that of the task, `task` the prepared one, `seeds` the runs of each method."""
        self.kind, self.task, self.seeds = name.split("_")[0], task, seeds
        self.sign = -1 if self.kind == "rating" else 1
        self.bootstrap = Bootstrap(self._users(), statistics, seeds)

    @property
    def metric(self) -> str:
        """The metric's name."""
        return {"rating": "RMSE", "ctr": "AUC", "topk": self.task.metric}[self.kind]

    def replicates(self, outputs: dict[str, Tensor]) -> REPLICATES:
        """Return the metric of test predictions (S, ...), by name."""
        if self.kind == "rating":
            errors = (outputs["prediction"] - self.task.test[1].cpu()).square()
            return self.bootstrap.mean(errors.numpy(), root=True)
        if self.kind == "ctr":
            return self.bootstrap.auc(outputs["probability"].numpy(), self.task.test[2].cpu().numpy())
        relevant = self.task.relevant("test").cpu()
        return self.bootstrap.mean(ranking.ndcg(outputs["hits"], relevant, self.task.cutoffs[0]).numpy())

    def better(self, one: REPLICATES, other: REPLICATES) -> REPLICATES:
        """Return by how much one is better than another: more is always better."""
        return self.sign * (one - other)

    def _users(self) -> np.ndarray:
        rows = self.task.parts.test
        if self.kind == "topk":
            return np.arange(len(self.task.relevant("test")))
        events = self.task.interactions if self.kind == "rating" else self.task.events
        return events.user.codes[rows].astype(np.int64)


@dataclass(frozen=True)
class Compared:
    """A study with its judge.

    Attributes:
        study: what the methods left.
        judge: of its task.
    """

    study: Study
    judge: Judge
    _known: dict[tuple, REPLICATES] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, study: Study, name: str, task: Task, statistics: Statistics) -> "Compared":
        """Judge a study of the task called `name`, prepared as `task`."""
        return cls(study, Judge(name, task, statistics, len(study.points[0]["entries"])))

    @property
    def labels(self) -> list[str]:
        """What was run."""
        return list(dict.fromkeys(row["label"] for row in self.study.points))

    def best(self, labels: list[str], budget: int | None) -> list[dict] | None:
        """Return for each seed the row of the best model by validation, with no more entries than `budget`.

        None where a seed has no such model.
        """
        task, chosen = self.judge.task, []
        sign = -1 if task.larger_is_better else 1
        rows = [row for row in self.study.points if row["label"] in labels]
        for seed in range(len(rows[0]["entries"])):
            fit = [row for row in rows if budget is None or row["entries"][seed] <= budget]
            if not fit:
                return None
            chosen.append(min(fit, key=lambda row: sign * row["validation"][seed][task.metric]))
        return chosen

    def score(self, labels: list[str], budget: int | None = None) -> REPLICATES | None:
        """Return the test metric of the best models within a budget; None where a seed has none."""
        chosen = self.best(labels, budget)
        return None if chosen is None else self._of(tuple((row["label"], row["point"]) for row in chosen))

    def point(self, label: str, point: str) -> REPLICATES:
        """Return the test metric of one operating point."""
        return self._of(((label, point),) * self.judge.seeds)

    def gain(self, one: list[str], other: list[str], budgets: list[int]) -> REPLICATES | None:
        """Return by how much one is better than another, averaged over the budgets that both can meet; None if none."""
        pairs = [(self.score(one, budget), self.score(other, budget)) for budget in budgets]
        gains = [self.judge.better(*pair) for pair in pairs if pair[0] is not None and pair[1] is not None]
        return np.mean(gains, axis=0) if gains else None

    def budgets(self, rates: list[float]) -> list[int]:
        """Return the entries that each rate leaves, for those that prune any."""
        return [self.study.entries - round(rate * self.study.entries) for rate in rates if rate > 0]

    def tilt(self, label: str, point: str) -> REPLICATES:
        """Return how many more dimensions a feature of the most frequent block keeps than one of the rarest.

        In units of the mean over blocks.
        """
        (row,) = (row for row in self.study.points if (row["label"], row["point"]) == (label, point))
        dims = np.array(row["dims"])  # (S, L)
        return self.judge.bootstrap.over_seeds((dims[:, 0] - dims[:, -1]) / dims.mean(1))

    def _of(self, chosen: tuple[tuple[str, str], ...]) -> REPLICATES:
        """Return the test metric of a label and point a seed; a choice met again is not judged again."""
        if chosen not in self._known:
            outputs = [self.study.outputs[one] for one in chosen]
            self._known[chosen] = self.judge.replicates({
                name: torch.stack([own[name][seed] for seed, own in enumerate(outputs)]) for name in outputs[0]
            })
        return self._known[chosen]


def effects(compared: Compared, rates: list[float]) -> dict[str, REPLICATES]:
    """Return what is measured for each claim on input search, by its id; only of methods that were run."""
    there, budgets = set(compared.labels), compared.budgets(rates)
    found: dict[str, REPLICATES | None] = {}
    if {"dnis", "uniform"} <= there:
        best, share = compared.score(["uniform"]), SUFFICES[compared.judge.kind]
        few = compared.score(["dnis"], *compared.budgets([1 - share]))
        found["dnis-needs-fewer-parameters"] = None if few is None else compared.judge.better(few, best)
        found["dnis-beats-uniform"] = (
            compared.judge.better(compared.point("dnis", "0"), best) if 0 in rates else None
        )
        found["frequent-get-more"] = compared.tilt("dnis", f"{max(rates):g}") if budgets else None
    for claim, other in (
        ("dnis-beats-random", ["random_dims"]), ("dnis-beats-mde", ["mde"]),
        ("dnis-beats-nis", ["nis_single", "nis_multi"]), ("alpha-beats-magnitude", ["magnitude"]),
        ("normalising-helps", ["one scale"]), ("frequency-beats-chance", ["random blocks"]),
    ):
        if {"dnis", *other} <= there:
            found[claim] = compared.gain(["dnis"], other, budgets)
    if {"dnis", "second order"} <= there:
        found["second-beats-first"] = compared.gain(["second order"], ["dnis"], budgets)
    return {claim: values for claim, values in found.items() if values is not None}


def summary(compared: Compared, rates: list[float], claims: dict[str, Claim]) -> dict:
    """Return a study in numbers that JSON holds: effects for the claims, fronts of the methods, variants of DNIS.

    Each is (mean, low, high) of the test metric, or of a gain in it, such as that over the grid within the same budget
    (`over_uniform`, None where the grid has no such table); `p` is that of "the effect is the smallest that
    counts", before any correction.
    """
    judge, study = compared.judge, compared.study
    budgets, labels = compared.budgets(rates), compared.labels
    found = effects(compared, rates)
    bounds = {id: claims[id].bound(judge.kind) for id in found}
    grid = {budget: compared.score(["uniform"], budget) for budget in sorted([*budgets, study.entries])}
    return {
        "dataset": judge.task.dataset, "rows": judge.task.size, "task": judge.kind, "metric": judge.metric,
        "dim": study.dim,
        "entries": study.entries, "blocks": study.blocks, "seeds": judge.seeds,
        "effects": [
            {"claim": id, **_interval(judge, values), "bound": bounds[id], "p": round(p_value(values, bounds[id]), 6)}
            for id, values in found.items()
        ],
        "fronts": [
            {
                "methods": name, "budget": budget, **_interval(judge, values),
                "over_uniform": None if grid[budget] is None else _interval(judge, judge.better(values, grid[budget])),
            }
            for name, methods in METHODS.items() if set(methods) <= set(labels)
            for budget in grid if (values := compared.score(methods, budget)) is not None
        ],
        "variants": [
            {"variant": label, **_interval(judge, gain)}
            for label in labels if label not in {own for methods in METHODS.values() for own in methods}
            if "dnis" in labels and (gain := compared.gain([label], ["dnis"], budgets)) is not None
        ],
    }


def _interval(judge: Judge, values: REPLICATES) -> dict[str, float]:
    return {name: round(value, 6) for name, value in zip(NAMES, judge.bootstrap.interval(values), strict=True)}
