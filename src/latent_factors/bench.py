"""Time what should be fast, as ratios within one run on one machine: `make bench` writes reports/bench.json.

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
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch

from latent_factors import (
    bench_bounds,
    bench_clicks,
    bench_decoding,
    bench_interpret,
    bench_peers,
    bench_search,
    bench_sequences,
    peers,
)
from latent_factors.data.atomic import read_atomic
from latent_factors.errors import tell
from latent_factors.figures import label
from latent_factors.fit import Adam, Task, derive_seeds, fit, set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.sections import Section, Seeds, Settings
from latent_factors.settings import TASKS, load_settings
from latent_factors.stats import Bootstrap
from latent_factors.tasks import prepare, rating, topk
from latent_factors.timing import beside, clock

PACKAGES = ("torch", "numpy", "pandas", "implicit", "dvc", "papermill")
EPOCHS = {
    "rating": ("mf", "als", "mlp", "neumf"),
    "ctr": ("lr", "fm", "widedeep", "deepfm", "autoint", "autoint_plus"),
    "topk": (
        "ials", "bpr", "neumf_implicit", "lightgcn", "directau", "directau_graph", "dccf", "towers", "towers_ssl",
        "cml",
    ),
    "sequence": ("gru4rec", "sasrec"),
}
COMPARED = {  # models and what an epoch of theirs is timed over, at which batches and with what else alike
    ("directau", "bpr"): ((256, 1024), {}),
    ("dccf", "lightgcn"): ((4096, 10240), {"layers": 2}),  # ours, and that of DCCF's authors
}
BOUNDED = {"uniformity": (256, 1024), "info_nce": (4096, 10240)}  # the batches, as above
SCRIPT = """
import json, sys
code = [cell for cell in json.load(open("notebooks/train.ipynb"))["cells"] if cell["cell_type"] == "code"]
text = "\\n".join("".join(cell["source"]) for cell in code)
exec(text.replace('"mf"', '"mean"').replace('"rating.mf"', '"rating.mean"'))
"""


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of `work` over some repeats, after one to warm up."""
    work()
    return statistics.median(clock(work) for _ in range(repeats))


def training(settings: Settings, device: torch.device, repeats: int) -> list[dict]:
    """Time an epoch, validation included, of each model trained by gradients or sweeps, with its setting."""
    rows = []
    for task, models in EPOCHS.items():
        problem = prepare(task, settings.dataset, settings.data, getattr(settings, TASKS[task][1]), device)
        for model in models:
            point = getattr(getattr(settings, task), model).model_copy(update={"epochs": 1})
            epoch = functools.partial(_fit, f"{task}.{model}", point, problem)
            dim = f", K = {point.dim}" if hasattr(point, "dim") else ""
            what = f"{task}.{model}: one epoch with validation{dim}"
            rows.append({"name": f"epoch_{task}_{model}", "value": seconds(epoch, repeats), "unit": "s", "what": what})
    return rows


def whole_trainings(settings: Settings, device: torch.device) -> list[dict]:
    """Time the training of one run of each top-k model to its end."""
    problem = topk.prepare(settings.dataset, settings.data, settings.ranking, device)
    rows = []
    for model in type(settings.topk).model_fields:
        point = getattr(settings.topk, model)
        work = functools.partial(_fit, f"topk.{model}", point, problem)
        what = f"topk.{model}: one run trained to its end, with its setting in params.yaml"
        rows.append({"name": f"train_topk_{model}", "value": seconds(work, 1), "unit": "s", "what": what})
    return rows


def _fit(name: str, point: Section, problem: Task) -> None:
    model = name.split(".")[1]
    fit(name, lambda: build(model, point, problem.inputs), problem, point, derive_seeds(Seeds(root=0, count=1), name))


def compared(settings: Settings, device: torch.device, repeats: int) -> list[dict]:
    """Time an epoch of a model over one of another at equal batches, K and depth."""
    problem, rows = topk.prepare(settings.dataset, settings.data, settings.ranking, device), []
    for (model, other), (sizes, alike) in COMPARED.items():
        for size in sizes:
            epochs = []
            for name in (model, other):
                point = getattr(settings.topk, name).model_copy(update={"batch_size": size, **alike})
                trainer = Adam(f"topk.{name}", build(name, point, problem.inputs).to(device), problem, point, seed=0)
                epochs.append(functools.partial(trainer.epoch, 1))
                epochs[-1]()  # to warm up
            mine, others = beside(*epochs, repeats)
            where = [f"batch {size}", f"{point.dim} dimensions", *(f"{value} {key}" for key, value in alike.items())]
            what = (
                f"an epoch of {label(model)} ({mine:.3f} s) over one of {label(other)} ({others:.3f} s),"
                f" {', '.join(where)}"
            )
            row = {"name": f"{model}_over_{other}_{size}", "value": mine / others, "unit": "ratio", "what": what}
            rows.append(row)
    return rows


def beside_recbole(settings: Settings, device: torch.device) -> list[dict]:
    """Measure speed and quality beside RecBole's, where its scripts and the data set that both have are there."""
    python = peers.recbole()
    if python is None or settings.dataset != "ml-100k":
        return []
    return bench_peers.speed(settings, device, python) + bench_peers.quality(settings, device, python)


def large(settings: Settings) -> list[dict]:
    """Measure a full ranking on Gowalla in a process of its own, and how training grows from ML-100K to it."""
    if not (root() / "data" / "gowalla" / "gowalla.inter").is_file():
        print("data/gowalla is not there (`make data NAME=gowalla`): no large data set is measured", file=sys.stderr)
        return []
    done = subprocess.run(
        [sys.executable, "-m", "latent_factors.bench_large", settings.dataset, "gowalla"],
        capture_output=True, text=True, check=True, cwd=root(),
    )
    return json.loads(done.stdout)


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
    """Return what reports/bench.json holds."""
    return {
        "threads": settings.compute.threads,
        "device": str(device),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "results": [{**row, "value": round(row["value"], 4)} for row in results],
    }


def main() -> None:
    """Run every measurement, print a line each, write reports/bench.json."""
    settings = load_settings()
    device = set_up(settings.compute)
    problem = rating.prepare(settings.dataset, settings.data, settings.split, device)
    with contextlib.redirect_stderr(io.StringIO()):  # no line an epoch here
        results = training(settings, device, 3) + whole_trainings(settings, device) + compared(settings, device, 7)
        results += bench_bounds.bounds(settings, device, BOUNDED, 5)
        results += bench_search.cost(settings, device) + bench_interpret.dictionaries(settings, device, 5)
    results += bench_search.storage() + bench_search.millions() + bench_clicks.planned()
    results += beside_recbole(settings, device) + bench_sequences.measured() + bench_decoding.measured()
    results += large(settings) + reading(settings, problem, 5) + pipeline(3)
    written = report(results, settings, device)
    (root() / "reports" / "bench.json").write_text(json.dumps(written, indent=1) + "\n")
    for row in written["results"]:
        print(f"{row['value']:9.3f} {row['unit']:6} {row['what']}")


if __name__ == "__main__":
    sys.exit(tell(main))
