"""What a train stage leaves on disk, and how a chapter reads it back.

    run.json                   who was trained how: the settings of each point, seeds, sizes, scores
    weights.safetensors        each parameter as <point>/<name>, (S, ...)
    predictions.safetensors    <part>/prediction (P, S, n), clipped, and <part>/line (n,): the rated lines of the
                               .inter file; part is validation or test
    history.csv                point, seed, epoch, loss, validation
    metrics.json               mean test metrics of the first point, for `dvc metrics` and `dvc exp show`

A run has P points (one setting of a model; a uniform-dimension curve has one a K) and S seeds.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from latent_factors.errors import UserError
from latent_factors.evaluate import mae, mse, rmse
from latent_factors.fit import Fit
from latent_factors.settings import Section
from latent_factors.tasks.rating import RatingTask

METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"rmse": rmse, "mse": mse, "mae": mae}


@dataclass(frozen=True)
class Run:
    """A trained model as a chapter sees it.

    Attributes:
        points: for each point its settings, number of parameters and scores a seed.
        seeds: (S,) the derived seeds.
        prediction: (P, S, n) by part.
        history: a row a point, seed and epoch.
    """

    points: list[dict]
    seeds: list[int]
    prediction: dict[str, Tensor]
    history: pd.DataFrame


def save_run(
    folder: Path, name: str, task: RatingTask, points: list[Section], fits: list[Fit], seeds: list[int]
) -> list[dict]:
    """Predict validation and test rows once for each point, write everything into `folder`, return a summary each."""
    predictions = {}
    for part in ("validation", "test"):
        rows = getattr(task.parts, part)
        stacked = torch.stack([task.clip(fit.predict(task.ids[rows])) for fit in fits])
        predictions[f"{part}/prediction"] = stacked.cpu()
        predictions[f"{part}/line"] = torch.from_numpy(task.interactions.line[rows])
    summaries = [
        {
            "settings": point.model_dump(),
            "parameters": sum(value[0].numel() for value in fit.weights.values()),
            **{
                part: {
                    metric: function(predictions[f"{part}/prediction"][number], rating.cpu()).tolist()
                    for metric, function in METRICS.items()
                }
                for part, (_, rating) in (("validation", task.validation), ("test", task.test))
            },
        }
        for number, (point, fit) in enumerate(zip(points, fits, strict=True))
    ]
    save_file(predictions, folder / "predictions.safetensors")
    save_file(
        {f"{number}/{key}": value.cpu().contiguous() for number, fit in enumerate(fits)
         for key, value in fit.weights.items()},
        folder / "weights.safetensors",
    )
    history = [{"point": number, **row} for number, fit in enumerate(fits) for row in fit.history]
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False, float_format="%.6g")
    sizes = {part: len(rows) for part, rows in task.parts}
    _write_json(folder / "run.json", {
        "dataset": task.interactions.dataset, "name": name, "seeds": seeds, "rows": sizes, "points": summaries,
    })
    section, model = name.split(".")
    means = {metric: round(sum(values) / len(values), 5) for metric, values in summaries[0]["test"].items()}
    _write_json(folder / "metrics.json", {section: {model: means}})
    return summaries


def load_run(folder: Path, task: RatingTask) -> Run:
    """Read a run back; its rows are those of `task`.

    Raises UserError when it is missing, or was made on another split.
    """
    if not (folder / "run.json").is_file():
        raise UserError(f"{folder} holds no trained model; `dvc repro` trains it, `dvc pull` fetches it")
    summary = json.loads((folder / "run.json").read_text())
    stored = load_file(folder / "predictions.safetensors")
    for part in ("validation", "test"):
        lines = torch.from_numpy(task.interactions.line[getattr(task.parts, part)])
        if not torch.equal(stored[f"{part}/line"], lines):
            raise UserError(f"{folder} was trained on another split than params.yaml names; run `dvc repro`")
    prediction = {part: stored[f"{part}/prediction"] for part in ("validation", "test")}
    return Run(summary["points"], summary["seeds"], prediction, pd.read_csv(folder / "history.csv"))


def load_weights(folder: Path, point: int = 0) -> dict[str, Tensor]:
    """Return the stacked parameters (S, ...) of one point by name."""
    prefix = f"{point}/"
    weights = load_file(folder / "weights.safetensors")
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def load_model(model: nn.Module, folder: Path, run: int = 0, point: int = 0) -> nn.Module:
    """Fill a module with the weights of one run and return it."""
    model.load_state_dict({key: value[run] for key, value in load_weights(folder, point).items()})
    return model


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
