"""The same code on a GPU and on the processor beside it: `python -m latent_factors.bench_device [LARGE ...]`.

Writes reports/device.json: {"gpu", "threads", "versions", "results", "large", "ratios"}. A row of `results` is a model
of params.yaml, trained to its end under some seeds on both: its test metric there, how far the metric of one and the
same weights differs, and the seconds of an epoch. A row of `large` holds the seconds of an epoch and of a full ranking
on a larger data set, one of `ratios` the time of an epoch of one model over that of another, on the GPU. Random draws
differ between devices, so trained models agree as runs of two seeds do.
"""

import functools
import json
import platform
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import version

import torch
from torch import nn

from latent_factors.bench import compared
from latent_factors.bench_large import POINT
from latent_factors.errors import UserError, tell
from latent_factors.fit import Adam, Task, derive_seeds, fit_run, set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.sections import LightGCN, Section, Seeds, Settings
from latent_factors.settings import TASKS, load_settings
from latent_factors.tasks import prepare
from latent_factors.timing import clock

SEEDS = 3
MODELS = {
    "rating": ("mf", "mlp", "neumf"),
    "ctr": ("fm", "widedeep", "deepfm", "autoint_plus"),
    "topk": ("bpr", "neumf_implicit", "lightgcn"),
}
METRICS = {"rating": "rmse", "ctr": "auc", "topk": "ndcg@10"}
LARGE = {"bpr": POINT, "lightgcn": LightGCN(**POINT.model_dump(), layers=2)}
EPOCHS = 2  # timed, after one to warm up
DEVICES = {"cpu": torch.device("cpu"), "gpu": torch.device("cuda")}


def compare(settings: Settings) -> list[dict]:
    """Train every model on both devices; return a row a model."""
    rows = []
    for task, models in MODELS.items():
        tasks = {
            name: prepare(task, settings.dataset, settings.data, getattr(settings, TASKS[task][1]), device)
            for name, device in DEVICES.items()
        }
        for model in models:
            rows.append(_compare(f"{task}.{model}", tasks, getattr(getattr(settings, task), model), settings.seeds))
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _compare(name: str, tasks: dict[str, Task], point: Section, seeds: Seeds) -> dict:
    """Return what one model does on both devices."""
    task, model = name.split(".")
    metric = METRICS[task]
    row = {"task": task, "model": model, "metric": metric, "dataset": tasks["cpu"].dataset}
    for where, problem in tasks.items():
        make, scores, spent = functools.partial(build, model, point, problem.inputs), [], []
        for seed in derive_seeds(seeds.model_copy(update={"count": SEEDS}), name):
            trained, epochs, seconds = _timed(functools.partial(fit_run, f"{name} {where}", make, problem, point, seed))
            scores.append(_test(problem, trained, metric))
            spent.append(seconds / epochs)
        row |= {where: scores, f"{where}_epoch": statistics.median(spent)}
    moved = build(model, point, tasks["cpu"].inputs)
    moved.load_state_dict({key: value.cpu() for key, value in trained.state_dict().items()})
    return row | {"same_weights": abs(_test(tasks["cpu"], moved, metric) - row["gpu"][-1])}


def _timed(train: Callable[[], tuple[nn.Module, float, list[dict]]]) -> tuple[nn.Module, int, float]:
    """Return a trained model, its number of epochs, and the seconds they took."""
    result = []
    seconds = clock(lambda: result.append(train()))
    (model, _, history), = result
    return model, len(history), seconds


def _test(task: Task, model: nn.Module, metric: str) -> float:
    return task.measure(task.outputs(model, "test"), "test")[metric].item()


def large(settings: Settings, dataset: str) -> list[dict]:
    """Time epochs and full rankings of two recommenders on a larger data set, on both devices."""
    rows = []
    tasks = {
        where: prepare("topk", dataset, settings.data, settings.ranking, device) for where, device in DEVICES.items()
    }
    for model, point in LARGE.items():
        row = {"model": model, "dataset": dataset, "events": tasks["cpu"].size, "dim": point.dim}
        for where, task in tasks.items():
            trainer = Adam(f"topk.{model}", build(model, point, task.inputs).to(DEVICES[where]), task, point, seed=0)
            work = {
                "epoch": functools.partial(trainer.epoch, 1),
                "ranking": functools.partial(_test, task, trainer.model, "ndcg@10"),
            }
            for part, function in work.items():
                function()
                row[f"{where}_{part}"] = statistics.median(clock(function) for _ in range(EPOCHS))
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def ratios(settings: Settings) -> list[dict]:
    """Time an epoch of a model over one of another on the GPU, as the benchmark does on the processor."""
    where = torch.cuda.get_device_name() if DEVICES["gpu"].type == "cuda" else "a processor"
    return [row | {"what": f"{row['what']}, on {where}"} for row in compared(settings, DEVICES["gpu"], EPOCHS + 1)]


def main(names: list[str]) -> None:
    """Measure everything and write reports/device.json."""
    settings = load_settings()
    if set_up(settings.compute).type != "cuda":
        raise UserError("torch sees no GPU here, or compute.device in params.yaml is cpu: there is nothing to compare")
    results = compare(settings)
    written = {
        "gpu": torch.cuda.get_device_name(), "processor": platform.machine(), "threads": settings.compute.threads,
        "versions": {"python": platform.python_version(), "torch": version("torch")}, "seeds": SEEDS,
        "results": results, "large": [row for name in names for row in large(settings, name)],
        "ratios": ratios(settings),
    }
    (root() / "reports" / "device.json").write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
