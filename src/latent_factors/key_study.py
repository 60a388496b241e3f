"""What should stand for an item in a ranker: itself, chance, its codes, or its content; with new items as the test."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latent_factors.areas import Areas
from latent_factors.evaluate import logloss
from latent_factors.fit import Fit, derive_seeds, set_up
from latent_factors.identifiers.keys import Coded, Keys, make
from latent_factors.identifiers.projected import content_vectors
from latent_factors.identifiers.rqvae import codes_of, restored_share, train
from latent_factors.sections import Arm, Compute, KeyStudy, Seeds, Statistics
from latent_factors.tasks import keyed
from latent_factors.tasks.ctr import CTRTask
from latent_factors.training import train_points

NAMES = ("mean", "low", "high")


@dataclass(frozen=True)
class Problem:
    """The data of a study and what keys are made of.

    Attributes:
        clicks: the events.
        coded: codes and content of the items.
        restored: which share of the variance of the content of new items the codes keep.
    """

    clicks: keyed.KeyedClicks
    coded: Coded
    restored: float

    @classmethod
    def of(cls, study: KeyStudy) -> "Problem":
        """Read the data; learn content and codes from the items of training, and give them to all.

        Raises UserError for anything wrong with the data or the settings.
        """
        clicks, own = keyed.prepare(study), study.codes
        trained = clicks.counts > 0
        vectors = content_vectors(clicks.described, trained, own)
        names = ("hidden", "dim", "levels", "codes", "beta", "epochs", "batch_size", "seed")
        model, _ = train(vectors[trained], **{name: getattr(own, name) for name in names})
        coded = Coded(codes_of(model, vectors).numpy(), own.codes, vectors, clicks.counts)
        return cls(clicks, coded, restored_share(model, vectors[~trained]))


def run(study: KeyStudy, seeds: Seeds, compute: Compute, statistics: Statistics) -> dict:
    """Train every arm under all seeds; return its test scores, and differences between them, as JSON holds them.

    Raises UserError for anything wrong with the data or the settings.
    """
    device = set_up(compute)
    problem = Problem.of(study)
    judge, rows = Judge(problem.clicks, statistics, seeds.count), {}
    for name, arm in study.arms.items():
        keys = make(arm.keys, problem.coded)
        task = problem.clicks.task(keys, device)
        (fitted,) = train_points("keys.fm", task, [arm.fm], derive_seeds(seeds, f"keys.{name}"), compute)
        rows[name] = about(arm, keys, fitted) | judge.told(name, chances(task, fitted))
    parts = problem.clicks.parts
    return {
        "dataset": study.dataset, "seeds": seeds.count, "trials": study.trials,
        "items": int((problem.coded.events > 0).sum()), "restored": round(problem.restored, 6),
        "rows": {part: len(own) for part, own in parts},
        "new": {part: _new(problem.clicks, part) for part in ("validation", "test")},
        "codes": {"levels": study.codes.levels, "codes": study.codes.codes}, "prefixes": prefixes(problem.coded),
        "arms": [{"arm": name, **row} for name, row in rows.items()],
        **compared(study, {name: row["validation"] for name, row in rows.items()}, judge),
    }


def about(arm: Arm, keys: Keys, fitted: Fit) -> dict:
    """Return what is told of an arm before its test scores."""
    return {
        "kind": arm.keys.kind, "table": keys.rows, "keys": round(keys.mean, 4), "different": keys.different,
        "parameters": sum(value.numel() for value in fitted.models[0].parameters()),
        "validation": round(fitted.best.mean().item(), 6),
    }


def chances(task: CTRTask, fitted: Fit) -> Tensor:
    """Return the probability of a click (S, m) that each run gives the test rows."""
    return torch.stack([task.predict(model, *task.test[:2]).cpu() for model in fitted.models])


def _new(clicks: keyed.KeyedClicks, part: str) -> dict[str, int]:
    rows = getattr(clicks.parts, part)[clicks.new(part)]
    return {"rows": len(rows), "items": len(np.unique(clicks.events.item.codes[rows]))}


class Judge:
    """Intervals of test scores over users, items and runs: of all rows, of those of known and those of new items."""

    def __init__(self, clicks: keyed.KeyedClicks, statistics: Statistics, seeds: int):
        new, rows = clicks.new("test"), clicks.parts.test
        users, items = (own.codes[rows].astype(np.int64) for own in (clicks.events.user, clicks.events.item))
        self.label = clicks.label[rows]
        self.masks = {"all": np.ones(len(rows), bool), "known": ~new, "new": new}
        self.bootstraps = {
            name: Areas(users[mask], items[mask], statistics, seeds)
            for name, mask in self.masks.items()
        }
        self.auc: dict[tuple[str, str], np.ndarray] = {}

    def told(self, arm: str, chance: Tensor) -> dict:
        """Return AUC and logloss of an arm's probabilities (S, m), and remember its AUC."""
        scores, losses = chance.numpy(), logloss(chance, torch.from_numpy(self.label))
        for name, mask in self.masks.items():
            self.auc[name, arm] = self.bootstraps[name].auc(scores[:, mask], self.label[mask])
        told = {name: self.interval(name, self.auc[name, arm]) for name in self.masks}
        return {"auc": told, "logloss": round(losses.mean().item(), 6)}

    def difference(self, name: str, one: str, other: str) -> dict[str, float]:
        """Return the interval of the AUC of one arm minus that of another."""
        return self.interval(name, self.auc[name, one] - self.auc[name, other])

    def interval(self, name: str, values: np.ndarray) -> dict[str, float]:
        """Return mean, low and high by name."""
        ends = self.bootstraps[name].interval(values)
        return {end: round(value, 6) for end, value in zip(NAMES, ends, strict=True)}


def compared(study: KeyStudy, validation: dict[str, float], judge: Judge) -> dict:
    """Return the interval of what each claim is decided by, and of the best keys of codes minus a row an item."""
    keys = {name: arm.keys for name, arm in study.arms.items()}
    best = min((name for name in keys if keys[name].of_codes), key=validation.get)
    plain, content = (next(name for name in keys if keys[name].kind == kind) for kind in ("plain", "content"))
    hashed = next(name for name in keys if keys[name].kind == "hashed" and keys[name].own.rows == keys[best].own.rows)
    large = {name: own for name, own in keys.items() if own.of_codes and own.own.rows == study.rows_of_both[-1]}
    bigrams = next(name for name, own in large.items() if own.kind == "ngrams" and own.ngrams.length == 2)
    words = next(name for name, own in large.items() if own.kind == "subwords")
    pairs = {
        "codes-help-new-items": ("new", best, hashed), "codes-help-all-items": ("all", best, hashed),
        "content-trails-codes": ("all", best, content), "sub-words-beat-n-grams": ("all", words, bigrams),
    }
    return {
        "effects": [
            {"claim": claim, "of": [one, other], **judge.difference(on, one, other)}
            for claim, (on, one, other) in pairs.items()
        ],
        "over_plain": {"of": [best, plain], **{on: judge.difference(on, best, plain) for on in judge.masks}},
    }


def prefixes(coded: Coded) -> list[dict]:
    """Return, for 0 to L shared first codes, how many pairs of items share them, and the mean cosine of such pairs."""
    vectors, rows = coded.vectors.double().numpy(), []
    for length in range(coded.codes.shape[1] + 1):
        group = np.unique(coded.codes[:, :length], axis=0, return_inverse=True)[1].reshape(-1) if length else 0
        group = np.zeros(len(vectors), int) + group
        sums = np.zeros((group.max() + 1, vectors.shape[1]))
        np.add.at(sums, group, vectors)
        sizes = np.bincount(group)
        pairs = int((sizes * (sizes - 1) // 2).sum())
        cosines = (np.square(sums).sum() - np.square(vectors).sum()) / 2
        rows.append({"shared": length, "pairs": pairs, "cosine": round(float(cosines) / pairs, 6) if pairs else None})
    return rows
