"""One method of input search under all seeds, and what it leaves on disk.

    study.json              who was searched how, and for each label and operating point: the share of the table kept,
                            the dimensions a feature keeps in each frequency block, validation and test scores, a seed
    outputs.safetensors     <label>/<point>/<name> (S, ...), what the task keeps of its test predictions, and line (n,),
                            the lines of the .inter file that they were made for
    paths.safetensors       <label>/<run> (E + 1, L, K), α before the search and after each epoch up to the one kept
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from latent_factors.errors import UserError
from latent_factors.fit import Task, set_up
from latent_factors.models import width
from latent_factors.processes import spread
from latent_factors.search.methods import METHODS, Case, Kept
from latent_factors.sections import Compute, Data, Search, Section, Settings, Shared
from latent_factors.settings import TASKS, points, typed_protocol
from latent_factors.tasks import prepare

MODELS = {"mf": "rating", "fm": "ctr", "bpr": "topk"}


@dataclass(frozen=True)
class Plan:
    """What is searched: the model with its settings at each K, and the data with how it is cut.

    Attributes:
        protocol: the section that cuts and judges the task.
        points: the model's settings at each K.
        shared: what all methods have.
        methods: the settings of each method, by name.
    """

    task: str
    model: str
    dataset: str
    data: Data
    protocol: Section
    points: list[Section]
    shared: Shared
    methods: dict[str, Section]
    compute: Compute

    @classmethod
    def of_model(cls, model: str, settings: Settings) -> "Plan":
        """Return the plan of a model of `search` in params.yaml."""
        task, search = MODELS[model], getattr(settings.search, model)
        return cls(
            task, model, settings.dataset, settings.data, getattr(settings, TASKS[task][1]),
            getattr(settings.curve, model), search.shared, _methods(search), settings.compute,
        )

    @classmethod
    def of_study(cls, study: Section, compute: Compute) -> "Plan":
        """Return the plan of a study of replications/params.yaml.

        Raises UserError where its protocol or points do not fit its task.
        """
        return cls(
            study.task, study.model, study.dataset, study.data, typed_protocol(study.task, study.protocol),
            points(study.task, study.model, study.points), study.search.shared, _methods(study.search), compute,
        )


def _methods(search: Search) -> dict[str, Section]:
    return {name: getattr(search, name) for name in METHODS}


def run(plan: Plan, method: str, seeds: list[int], folder: Path) -> list[dict]:
    """Run a method under each seed, write everything into `folder`, return a row a label and point.

    Raises UserError for anything wrong with the data or the settings.
    """
    runs = spread(functools.partial(_run, plan, method), seeds, plan.compute)
    rows, outputs, paths = [], {}, {}
    for same in zip(*runs, strict=True):  # one label and point under every seed
        label, point = same[0].label, same[0].point
        scores = {key: [one.scores[key] for one in same] for key in same[0].scores}
        rows.append({"label": label, "point": point} | scores)
        outputs |= {
            f"{label}/{point}/{name}": torch.stack([one.outputs[name] for one in same]) for name in same[0].outputs
        }
        paths |= {f"{label}/{number}": one.path for number, one in enumerate(same) if one.path is not None}
    about = {
        "dataset": plan.dataset, "task": plan.task, "model": plan.model, "method": method, "seeds": seeds,
        "dim": plan.shared.dim, "entries": runs[0][0].table, "blocks": runs[0][0].blocks, "points": rows,
    }
    save_file(outputs | {"line": runs[0][0].lines}, folder / "outputs.safetensors")
    save_file(paths, folder / "paths.safetensors")
    (folder / "study.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return rows


@dataclass(frozen=True)
class _Scored:
    """What one process tells of one model."""

    label: str
    point: str
    scores: dict
    outputs: dict[str, Tensor]
    path: Tensor | None
    blocks: dict
    table: int
    lines: Tensor


def _run(plan: Plan, method: str, seed: int) -> list[_Scored]:
    """Run a method under one seed, with one thread, in a process of its own."""
    device = set_up(plan.compute.model_copy(update={"threads": 1}))
    task = prepare(plan.task, plan.dataset, plan.data, plan.protocol, device)
    case = Case(f"{plan.task}.{plan.model}", task, plan.points, plan.shared, seed, plan.methods.get("dnis"))
    return [_score(kept, case) for kept in METHODS[method](case, plan.methods[method])]


def _score(kept: Kept, case: Case) -> _Scored:
    task, block = case.task, case.block
    features = torch.bincount(block)
    dims = torch.zeros(len(features), device=block.device).index_add(0, block, kept.mask.sum(1).float()) / features
    scores = {"entries": int(kept.mask.sum()), "dims": [round(dim, 4) for dim in dims.tolist()]}
    outputs = {part: task.outputs(kept.model, part) for part in ("validation", "test")}
    for part, own in outputs.items():
        scores[part] = {metric: value.item() for metric, value in task.measure(own, part).items()}
    return _Scored(
        kept.label, kept.point, scores, {name: value.cpu() for name, value in outputs["test"].items()},
        None if kept.path is None else kept.path.cpu(),
        {"features": features.tolist(), "rows": [
            round(task.frequency[block == number].mean().item(), 2) for number in range(len(features))
        ]},
        len(block) * width(case.model, case.point), torch.from_numpy(task.lines("test")),
    )


@dataclass(frozen=True)
class Study:
    """Every method that was run for a model on a data set.

    Attributes:
        dim: K-max.
        entries: of the table at K-max.
        blocks: the features of each frequency block, and the training rows that hold one of them on average.
        points: a row a label and operating point: label, point, and a list with an entry a seed for entries, dims,
            validation and test.
        outputs: by label and point, what the task keeps of test predictions (S, ...), by name.
        paths: by label, the α of each seed (E + 1, L, K).
    """

    dim: int
    entries: int
    blocks: dict[str, list]
    points: list[dict]
    outputs: dict[tuple[str, str], dict[str, Tensor]]
    paths: dict[str, list[Tensor]]


def load(folders: list[Path], task: Task) -> Study:
    """Read what methods left in their folders.

    Raises UserError when one is missing, or was made on another split.
    """
    points, outputs, paths, about = [], {}, {}, {}
    for folder in folders:
        if not (folder / "study.json").is_file():
            raise UserError(f"{folder} holds no search; `dvc repro` makes it, `dvc pull` fetches it")
        about = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        points += about["points"]
        stored = load_file(folder / "outputs.safetensors")
        if not torch.equal(stored.pop("line"), torch.from_numpy(task.lines("test"))):
            raise UserError(f"{folder} was searched on another split than params.yaml names; run `dvc repro`")
        for key, value in stored.items():
            label, point, name = key.split("/")
            outputs.setdefault((label, point), {})[name] = value
        stored = load_file(folder / "paths.safetensors")
        for key in sorted(stored, key=lambda key: int(key.split("/")[1])):
            paths.setdefault(key.split("/")[0], []).append(stored[key])
    return Study(about["dim"], about["entries"], about["blocks"], points, outputs, paths)
