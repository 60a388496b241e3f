"""Time what should be fast, as ratios within one run on one machine: `make bench` writes build/bench.json.

The file holds {"threads", "device", "machine", "versions", "results"}; `results` is a list of rows
{"name", "value", "unit", "what"}. Seconds are medians, and mean something only beside others of the same file.
"""

import contextlib
import functools
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch

from latent_factors.data.atomic import read_atomic
from latent_factors.errors import tell
from latent_factors.fit import derive_seeds, fit, set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.settings import Section, Settings, load_settings, points
from latent_factors.stats import Bootstrap
from latent_factors.tasks import rating

DIM = 64
PACKAGES = ("torch", "numpy", "pandas", "dvc", "papermill")
SCRIPT = """
import json, sys
code = [cell for cell in json.load(open("notebooks/train.ipynb"))["cells"] if cell["cell_type"] == "code"]
text = "\\n".join("".join(cell["source"]) for cell in code)
exec(text.replace('"mf"', '"mean"').replace('"rating.mf"', '"rating.mean"'))
"""


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of `work` over some repeats, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def training(settings: Settings, problem: rating.RatingTask, repeats: int) -> list[dict]:
    """Time an epoch of each factor model, all seeds stacked, and for MF the seeds one by one."""
    rows = []
    for model in ("mf", "als", "mlp", "neumf"):
        values = getattr(settings.rating, model).model_dump() | {"dim": DIM, "epochs": 1}
        (point,) = points("rating", model, values)
        seeds = derive_seeds(settings.seeds, f"bench.{model}")
        epoch = functools.partial(_epoch, model, point, problem)
        stacked = seconds(lambda epoch=epoch, seeds=seeds: epoch(seeds), repeats)
        what = f"{model}: one epoch with validation, K = {DIM}, {len(seeds)} runs together"
        rows.append({"name": f"epoch_{model}", "value": stacked, "unit": "s", "what": what})
        if model == "mf":
            apart = seconds(lambda epoch=epoch, seeds=seeds: [epoch([seed]) for seed in seeds], repeats)
            what = "mf: seconds of the runs one by one over seconds of the runs together"
            rows.append({"name": "stacking_gain", "value": apart / stacked, "unit": "ratio", "what": what})
    return rows


def _epoch(model: str, point: Section, problem: rating.RatingTask, seeds: list[int]) -> None:
    fit(f"bench.{model}", lambda: build(model, point, problem.inputs), problem, point, seeds)


def reading(settings: Settings, problem: rating.RatingTask, repeats: int) -> list[dict]:
    """Time the reader, the whole way to tensors, and the bootstrap."""
    path = root() / "data" / settings.dataset / f"{settings.dataset}.inter"
    users = problem.test[0][:, 0].cpu().numpy()
    errors = np.random.default_rng(0).random((settings.seeds.count, len(users)))
    bootstrap = Bootstrap(users, settings.statistics, settings.seeds.count)
    work = {
        "read": (lambda: read_atomic(path), f"read {path.name}"),
        "prepare": (
            lambda: rating.prepare(settings.dataset, settings.data, settings.split, problem.ids.device),
            "read, check, split and number the data set",
        ),
        "bootstrap": (
            lambda: bootstrap.mean(errors, root=True),
            f"{settings.statistics.replicates} replicates of an RMSE over {len(users)} test rows",
        ),
    }
    return [
        {"name": name, "value": seconds(function, repeats), "unit": "s", "what": what}
        for name, (function, what) in work.items()
    ]


def pipeline(repeats: int) -> list[dict]:
    """Time what the runner adds to a script, and a `dvc repro` with nothing to do."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True, "cwd": root()}
        runner = [
            sys.executable, "-m", "latent_factors.notebook", "notebooks/train.ipynb", "build/bench",
            "-p", "model", "mean", "-s", "settings", "rating.mean",
        ]
        environment = os.environ | {"LATENT_FACTORS_OUT": folder}
        plain = seconds(lambda: subprocess.run([sys.executable, "-c", SCRIPT], env=environment, **quiet), repeats)
        whole = seconds(lambda: subprocess.run(runner, **quiet), repeats)
        shutil.rmtree(root() / "build" / "bench")
    rows = [{
        "name": "runner_overhead", "value": whole - plain, "unit": "s",
        "what": f"notebooks/train.ipynb through the runner ({whole:.2f} s) minus the same code as a script",
    }]
    status = subprocess.run(["dvc", "status", "--quiet"], cwd=root(), check=False)
    if status.returncode == 0:
        idle = seconds(lambda: subprocess.run(["dvc", "repro"], **quiet), repeats)
        rows.append({"name": "idle_repro", "value": idle, "unit": "s", "what": "dvc repro with nothing to do"})
    return rows


def report(results: list[dict], settings: Settings, device: torch.device) -> dict:
    """Return what build/bench.json holds."""
    return {
        "threads": settings.compute.threads,
        "device": str(device),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "results": [{**row, "value": round(row["value"], 4)} for row in results],
    }


def main() -> None:
    """Run every measurement, print a line each, write build/bench.json."""
    settings = load_settings()
    device = set_up(settings.compute)
    problem = rating.prepare(settings.dataset, settings.data, settings.split, device)
    with contextlib.redirect_stderr(io.StringIO()):  # no line an epoch here
        results = training(settings, problem, 5)
    results += reading(settings, problem, 5) + pipeline(3)
    written = report(results, settings, device)
    path = root() / "build" / "bench.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(written, indent=1) + "\n")
    for row in written["results"]:
        print(f"{row['value']:9.3f} {row['unit']:6} {row['what']}")


if __name__ == "__main__":
    sys.exit(tell(main))
