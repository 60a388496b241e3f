"""What a train stage leaves on disk, and how a chapter reads it back.

    run.json                   who was trained how, on which data: the settings of each point, seeds, sizes, scores
    weights.safetensors        each parameter (S, ...)
    outputs.safetensors        <part>/<name> (P, S, ...), what the task keeps of its predictions, and <part>/line (n,),
                               the lines of the .inter file they were made for; part is validation or test
    history.csv                point, seed, epoch, loss, validation
    metrics.json               mean test metrics of the first point, for `dvc metrics` and `dvc exp show`

A run has P points (one setting of a model; a uniform-dimension curve has one a K) and S seeds. Of several points only
scores and what they say of the test part are kept: they are compared, not used.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from latent_factors.errors import UserError
from latent_factors.fit import Fit, Task
from latent_factors.provenance import data_hash
from latent_factors.sections import Section

PARTS = ("validation", "test")


@dataclass(frozen=True)
class Run:
    """A trained model as a chapter sees it.

    Attributes:
        points: for each point its settings, number of parameters and scores a seed.
        seeds: (S,) the derived seeds.
        outputs: what the task keeps (P, S, ...), by part and name.
        history: a row a point, seed and epoch.
    """

    points: list[dict]
    seeds: list[int]
    outputs: dict[str, dict[str, Tensor]]
    history: pd.DataFrame


def save_run(
    folder: Path, name: str, task: Task, points: list[Section], fits: list[Fit], seeds: list[int]
) -> list[dict]:
    """Predict validation and test rows once for each point, write everything into `folder`, return a summary each."""
    stored: dict[str, list[Tensor]] = {}
    summaries, kept = [], PARTS if len(points) == 1 else ("test",)
    for point, fit in zip(points, fits, strict=True):
        summary = {
            "settings": point.model_dump(),
            "parameters": sum(value.numel() for value in fit.models[0].parameters()),
        }
        for part in PARTS:
            outputs = [task.outputs(model, part) for model in fit.models]
            scores = [task.measure(own, part) for own in outputs]
            summary[part] = {metric: [own[metric].item() for own in scores] for metric in scores[0]}
            for key in outputs[0] if part in kept else ():
                stored.setdefault(f"{part}/{key}", []).append(torch.stack([own[key] for own in outputs]).cpu())
        summaries.append(summary)
    tensors = {name: torch.stack(values) for name, values in stored.items()}
    tensors |= {f"{part}/line": torch.from_numpy(task.lines(part)) for part in kept}
    save_file(tensors, folder / "outputs.safetensors")
    if len(points) == 1:
        weights = {key: value.cpu().contiguous() for key, value in fits[0].weights.items()}
        save_file(weights, folder / "weights.safetensors")
    history = [{"point": number, **row} for number, fit in enumerate(fits) for row in fit.history]
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False, float_format="%.6g")
    sizes = {part: len(rows) for part, rows in task.parts}
    _write_json(folder / "run.json", {
        "dataset": task.dataset, "data_sha256": data_hash(task.dataset), "name": name, "seeds": seeds, "rows": sizes,
        "points": summaries,
    })
    section, model = name.split(".")
    means = {metric: round(sum(values) / len(values), 5) for metric, values in summaries[0]["test"].items()}
    _write_json(folder / "metrics.json", {section: {model: means}})
    return summaries


def load_run(folder: Path, task: Task) -> Run:
    """Read a run back; its rows are those of `task`.

    Raises UserError when it is missing, or was made on another split.
    """
    if not (folder / "run.json").is_file():
        raise UserError(f"{folder} holds no trained model; `dvc repro` trains it, `dvc pull` fetches it")
    summary = json.loads((folder / "run.json").read_text())
    stored = load_file(folder / "outputs.safetensors")
    outputs: dict[str, dict[str, Tensor]] = {}
    for part in {name.partition("/")[0] for name in stored}:
        if not torch.equal(stored.pop(f"{part}/line"), torch.from_numpy(task.lines(part))):
            raise UserError(f"{folder} was trained on another split than params.yaml names; run `dvc repro`")
    for key, value in stored.items():
        part, name = key.split("/")
        outputs.setdefault(part, {})[name] = value
    return Run(summary["points"], summary["seeds"], outputs, pd.read_csv(folder / "history.csv"))


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Return the stacked parameters (S, ...) by name."""
    return load_file(folder / "weights.safetensors")


def load_model(model: nn.Module, folder: Path, run: int = 0) -> nn.Module:
    """Fill a module with the weights of one run and return it."""
    model.load_state_dict({key: value[run] for key, value in load_weights(folder).items()})
    return model


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
