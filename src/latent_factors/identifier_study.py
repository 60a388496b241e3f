"""How items are best spelled: one small model under every scheme, at several lengths and sizes, beside SASRec."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors import kept, ranking
from latent_factors.fit import derive_seeds, fit_run, set_up
from latent_factors.identifiers import Identifiers
from latent_factors.models import build
from latent_factors.processes import spread
from latent_factors.sections import Compute, Generative, IdentifierStudy, Scheme, Section, Seeds, Statistics
from latent_factors.settings import points
from latent_factors.stats import Bootstrap
from latent_factors.tasks import generate

NAMES = ("mean", "low", "high")
SLICES = 5  # of the catalogue, with equal shares of the events
ALIKE = ("sequential", "semantic", "collaborative")  # kinds that give like items like tokens, each alone
PROPER = (3, 4)  # tokens an item that should be best


@dataclass(frozen=True)
class Outcome:
    """One model under one seed.

    Attributes:
        hits: (U, k) which places of the exact test lists are hits.
        validation: ndcg at the first cutoff.
        parameters: how many.
        beams: for each width of the beam, which places of its test lists are hits (U, k), and which share of the items
            of the exact lists it found.
    """

    hits: Tensor
    validation: float
    parameters: int
    beams: dict[int, tuple[Tensor, float]]

    def write(self, path: Path) -> None:
        """Write this to a file."""
        kept.write(
            path, hits=self.hits.numpy(), validation=self.validation, parameters=self.parameters,
            widths=np.array(list(self.beams), np.int64),
            found=np.array([share for _, share in self.beams.values()]),
            **{f"beams {width}": hits.numpy() for width, (hits, _) in self.beams.items()},
        )

    @classmethod
    def read(cls, path: Path) -> "Outcome":
        """Return what a file holds."""
        with np.load(path, allow_pickle=False) as held:
            return cls(
                torch.from_numpy(held["hits"]), float(held["validation"]), int(held["parameters"]),
                {
                    int(width): (torch.from_numpy(held[f"beams {width}"]), float(share))
                    for width, share in zip(held["widths"], held["found"], strict=True)
                },
            )


def run(study: IdentifierStudy, seeds: Seeds, compute: Compute, statistics: Statistics, folder: Path) -> dict:
    """Train every arm under all seeds; return metrics, what identifiers cost, and differences, as JSON holds them.

    Every run is kept in a folder as soon as it is trained, and one that is there already, of the same settings and the
    same data, is not trained again. So a study that was cut off goes on, and can be trained in parts elsewhere.

    Raises UserError for anything wrong with the data or the settings.
    """
    task = generate.prepare(study.dataset, study.data, study.protocol, set_up(compute))
    trainer = Trainer(task, study, seeds, compute, folder)
    arms, scales = spelled(study), sizes(study)
    whole = {study.sized if name == "as it is" else name: point for name, point in (arms | scales).items()}
    runs = {name: trainer.train("generative", own, runs_of(study, name, seeds)) for name, own in whole.items()}
    found = {name: runs[name] for name in arms}
    scaled = {name: runs[study.sized if name == "as it is" else name] for name in scales}
    judge = Judge(task, found, statistics, seeds.count)
    first = judge.best([name for name in found if "leaky" not in name])
    rivals = {} if study.sasrec is None else {
        "tuned": points("sequence", "sasrec", study.sasrec)[0],
        "of equal size": nearest_sasrec(task, study.sasrec, found[first][0].parameters),
    }
    others = {
        f"SASRec, {name}": trainer.train("sasrec", point, runs_of(study, f"SASRec, {name}", seeds))
        for name, point in rivals.items()
    }
    return {
        "dataset": study.dataset, "users": len(judge.relevant), "items": task.catalogue, "trials": study.trials,
        "cutoffs": list(task.cutoffs), "sized": study.sized, "best": first,
        "published": study.published,
        "models": [
            {"model": name, "kinds": arms[name].scheme.name, **task.identify(arms[name].scheme).report(),
             **judge.told(own)}
            for name, own in found.items()
        ],
        "sizes": [
            {"size": name, "settings": _plain(scales[name]), **judge.told(own)} for name, own in scaled.items()
        ],
        "rivals": [
            {"model": name, "settings": _plain(point), **judge.told(others[f"SASRec, {name}"])}
            for name, point in rivals.items()
        ],
        "effects": judge.effects(arms, found, scaled, others, first),
    }


def runs_of(study: IdentifierStudy, name: str, seeds: Seeds) -> int:
    """Return under how many seeds an arm is trained."""
    return min(study.repeated.get(name, study.runs), seeds.count)


def spelled(study: IdentifierStudy) -> dict[str, Generative]:
    """Return the settings of every scheme by its name, those that differ in nothing but their length among them."""
    base = study.model.model_dump()
    longer = {
        f"sequential, base {base_}": Scheme(sequential={"order": "time", "base": base_, "seed": 0})
        for base_ in study.bases
    }
    return {
        name: Generative(**base | _learning(study, scheme) | {"scheme": scheme.model_dump()})
        for name, scheme in (study.schemes | longer).items()
    }


def _learning(study: IdentifierStudy, scheme: Scheme) -> dict:
    changes = study.learning.get(next(iter(scheme.kinds)))
    return changes.model_dump(exclude_unset=True) if changes else {}


def sizes(study: IdentifierStudy) -> dict[str, Generative]:
    """Return the settings of one scheme at every size, the base among them, by what is changed."""
    base = spelled(study)[study.sized]
    changed = {
        ", ".join(f"{key} {value}" for key, value in change.model_dump(exclude_unset=True).items()): change
        for change in study.sizes
    }
    return {"as it is": base} | {
        name: base.model_copy(update=change.model_dump(exclude_unset=True)) for name, change in changed.items()
    }


class Trainer:
    """Trains a study's models under all seeds, and keeps what they say of the test part in a folder.

    A model is one with its settings: whoever asks for the same again gets the same runs.
    """

    def __init__(
        self, task: generate.GenerateTask, study: IdentifierStudy, seeds: Seeds, compute: Compute, folder: Path
    ):
        self.task, self.study, self.seeds, self.compute, self.folder = task, study, seeds, compute, folder
        self.judging = task if study.judged is None else judged_by(task, study.judged)
        folder.mkdir(parents=True, exist_ok=True)

    def train(self, model: str, point: Section, runs: int) -> list[Outcome]:
        """Return the outcome of a model under each of the first seeds."""
        numbers = [number for number in range(runs) if not self.path(model, point, number).is_file()]
        if numbers:
            made = self._identify(point)  # once for all seeds
            spread(functools.partial(self._keep, model, point, made), numbers, self.compute)
        return [Outcome.read(self.path(model, point, number)) for number in range(runs)]

    def keep(self, model: str, point: Section, number: int) -> None:
        """Train a model under one seed, by its number, unless that has been done."""
        if not self.path(model, point, number).is_file():
            self._keep(model, point, self._identify(point), number)

    def path(self, model: str, point: Section, number: int) -> Path:
        """Return the file of a run: its name tells the settings and the data apart."""
        made_of = {
            "dataset": self.study.dataset, "data": self.study.data.model_dump(),
            "protocol": self.study.protocol.model_dump(), "beams": self.study.beams, "model": model,
            "settings": _plain(point), "seed": self._seed(model, point, number), "events": self.task.size,
        } | ({} if self.study.judged is None else {"judged": self.study.judged})
        return self.folder / kept.name(self.study.dataset, model, number, made_of)

    def _seed(self, model: str, point: Section, number: int) -> int:
        spelled = hasattr(point, "scheme")  # a rival has the seeds that it has in the pipeline
        name = f"generate.{point.scheme.model_dump_json(exclude_none=True)}" if spelled else f"sequence.{model}"
        return derive_seeds(self.seeds.model_copy(update={"count": number + 1}), name)[number]

    def _identify(self, point: Section) -> Identifiers | None:
        return self.task.identify(point.scheme) if hasattr(point, "scheme") else None

    def _keep(self, model: str, point: Section, made: Identifiers | None, number: int) -> None:
        seed, task = self._seed(model, point, number), self.task
        inputs = task.spelling(made) if made else task.inputs
        title = f"generate.{model}  {point.scheme.name if hasattr(point, 'scheme') else ''}  run {number + 1}"
        trained, score, _ = fit_run(title, functools.partial(build, model, point, inputs), self.judging, point, seed)
        exact, k = task.outputs(trained, "test"), max(task.cutoffs)
        widths = self.study.beams if hasattr(trained, "generate") else []
        Outcome(
            exact["hits"].cpu(), score, sum(weight.numel() for weight in trained.parameters()),
            {width: _searched(task, trained, exact["items"], k, width) for width in widths},
        ).write(self.path(model, point, number))


def judged_by(task: generate.GenerateTask, users: int) -> generate.GenerateTask:
    """Return a task whose validation part has some users alone, drawn with a fixed seed."""
    rows = task.parts.validation
    drawn = np.random.default_rng(0).permutation(len(rows))[:users]
    return replace(task, parts=replace(task.parts, validation=np.sort(rows[drawn])))


def _searched(
    task: generate.GenerateTask, trained: nn.Module, exact: Tensor, k: int, width: int
) -> tuple[Tensor, float]:
    items, hits = task.search(trained, "test", k, width)
    first = task.cutoffs[0]
    same = (exact[:, :first, None] == items[:, None, :first]).any(2)
    return hits.cpu(), same.double().mean().item()


def nearest_sasrec(task: generate.GenerateTask, settings: dict, parameters: int) -> Section:
    """Return SASRec with the width whose number of parameters is nearest to some number."""
    def size(point: Section) -> int:
        with torch.random.fork_rng(devices=[]):
            return sum(weight.numel() for weight in build("sasrec", point, task.inputs).parameters())

    widths = range(settings["heads"], 257, settings["heads"])
    made = [points("sequence", "sasrec", settings | {"dim": width, "hidden": width})[0] for width in widths]
    return min(made, key=lambda point: abs(size(point) - parameters))


class Judge:
    """Intervals of test metrics over users and runs, and the effects that claims ask for."""

    def __init__(
        self, task: generate.GenerateTask, found: dict[str, list[Outcome]], statistics: Statistics, seeds: int
    ):
        self.task, self.found = task, found
        self.relevant = task.relevant("test").cpu()
        self.bootstrap = Bootstrap(np.arange(len(self.relevant)), statistics, seeds)
        self.first = task.cutoffs[0]
        slices = ranking.slices(task.popularity, SLICES).cpu()
        person, item = (own.cpu() for own in task.truths["test"].cells(task.persons["test"]))
        self.rare = np.zeros(len(self.relevant), bool)
        self.rare[person[slices[item.cpu()] == SLICES - 1]] = True

    def values(self, hits: list[Tensor], name: str = "ndcg", cutoff: int = 0, rows: np.ndarray | None = None):
        """Return replicates (B + 1,) of a metric of the hits of all runs."""
        metric = ranking.METRICS[name](torch.stack(hits), self.relevant, cutoff or self.first)
        return self.bootstrap.mean(metric.numpy(), rows)

    def interval(self, values: np.ndarray) -> dict[str, float]:
        """Return mean, low and high by name."""
        ends = self.bootstrap.interval(values)
        return {name: round(value, 6) for name, value in zip(NAMES, ends, strict=True)}

    def told(self, runs: list[Outcome]) -> dict:
        """Return what is kept of an arm."""
        hits = [own.hits for own in runs]
        return {
            "parameters": runs[0].parameters, "seeds": len(runs), "validation": round(_validation(runs), 6),
            "metrics": {
                f"{name}@{cutoff}": self.interval(self.values(hits, name, cutoff))
                for name in ("ndcg", "hit") for cutoff in self.task.cutoffs
            },
            "rare": self.interval(self.values(hits, "hit", rows=self.rare)),
            "beams": [
                {
                    "beams": width, "found": round(float(np.mean([own.beams[width][1] for own in runs])), 6),
                    "ndcg": self.interval(self.values([own.beams[width][0] for own in runs])),
                }
                for width in runs[0].beams
            ],
        }

    def best(self, names: list[str]) -> str:
        """Return the scheme that is best in validation."""
        return max(names, key=lambda name: _validation(self.found[name]))

    def effects(
        self, arms: dict[str, Generative], found: dict[str, list[Outcome]], scaled: dict[str, list[Outcome]],
        others: dict[str, list[Outcome]], first: str,
    ) -> list[dict]:
        """Return the interval of what each claim is decided by, as far as the study has its schemes."""
        ndcg = {
            name: self.values([own.hits for own in runs]) for name, runs in (found | scaled | others).items()
        }
        honest = [name for name in found if "leaky" not in arms[name].scheme.kinds]
        alone = [name for name in honest if len(arms[name].scheme.kinds) == 1]
        alike = [name for name in alone if arms[name].scheme.name in ALIKE and "base" not in name]
        walked = [name for name in alone if getattr(arms[name].scheme.sequential, "order", "") == "time"]
        length = {name: int(self.task.identify(arms[name].scheme).lengths.max()) for name in walked}
        kinds = {arms[name].scheme.name: name for name in reversed(honest)}
        own_token, joined = kinds.get("independent"), kinds.get("collaborative+independent")
        ranked, grown = sorted(honest, key=self._reached(found)), sorted(scaled, key=self._reached(scaled))
        pairs = {}
        if alike and own_token:
            pairs["independent-trails"] = (self.best(alike), own_token)
        if joined and len(honest) > 1:
            pairs["clusters-with-own-token-best"] = (joined, self.best([name for name in honest if name != joined]))
        if others:
            pairs["spelling-beats-sasrec"] = (first, "SASRec, tuned")
            pairs["spelling-beats-sasrec-of-its-size"] = (first, "SASRec, of equal size")
        if alike and "title" in kinds:
            pairs["titles-trail"] = (self.best(alike), kinds["title"])
        leaky = [name for name in found if "leaky" in arms[name].scheme.kinds]
        if leaky and "sequential" in kinds:
            pairs["held-out-items-leak"] = (leaky[0], kinds["sequential"])
        proper = [name for name in walked if length[name] in PROPER]
        if proper and len(walked) > len(proper):
            others_ = [name for name in walked if name not in proper]
            pairs["three-or-four-tokens-best"] = (self.best(proper), self.best(others_))
        effects = {claim: ndcg[one] - ndcg[other] for claim, (one, other) in pairs.items()}
        if len(grown) > 1:
            pairs["scheme-beats-size"] = (ranked[-1], ranked[0], grown[-1], grown[0])
            effects["scheme-beats-size"] = ndcg[ranked[-1]] - ndcg[ranked[0]] - (ndcg[grown[-1]] - ndcg[grown[0]])
        content = [name for name in alone if getattr(arms[name].scheme.residual, "source", "") == "content"]
        if content and own_token:
            pairs["meaning-helps-new-items"] = (content[0], own_token)
            new, plain = (
                self.values([own.hits for own in found[name]], "hit", rows=self.rare)
                for name in pairs["meaning-helps-new-items"]
            )
            effects["meaning-helps-new-items"] = new - plain
        runs = {name: len(own) for name, own in (found | scaled | others).items()}
        return [
            {"claim": claim, "of": list(pairs[claim]), "seeds": min(runs[name] for name in pairs[claim]),
             **self.interval(own)}
            for claim, own in effects.items()
        ]

    @staticmethod
    def _reached(runs: dict[str, list[Outcome]]):
        return lambda name: _validation(runs[name])


def _validation(runs: list[Outcome]) -> float:
    return float(np.mean([own.validation for own in runs]))


def _plain(point: Section) -> dict:
    return point.model_dump(exclude_none=True)
