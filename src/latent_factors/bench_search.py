"""The part of the benchmark on input search: what a search costs, what a stored table takes, and data of 20 M ratings.

    python -m latent_factors.bench_search    the last part alone, in a process of its own, as JSON
"""

import dataclasses
import functools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from latent_factors.data.features import rank_features
from latent_factors.data.splits import split
from latent_factors.data.table import Interactions
from latent_factors.embedding import UniformTable
from latent_factors.fit import Adam, derive_seeds, set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.search import dnis
from latent_factors.search.blocks import frequency_blocks
from latent_factors.search.methods import Case
from latent_factors.search.prune import keep_largest
from latent_factors.search.retrain import pruned
from latent_factors.search.warm import Warm
from latent_factors.sections import MF, Seeds, Settings
from latent_factors.settings import load_settings
from latent_factors.sized import SparseTable, memory
from latent_factors.study import MODELS, Plan
from latent_factors.tasks import prepare, rating
from latent_factors.timing import beside, clock

RATE = 0.95
BATCH = 4096
LOOK_UPS = 200
STEPS = 20
FEATURES = {"small": 2600, "large": 160_000}
RATINGS, USERS, ITEMS = 20_000_000, 138_500, 21_500  # the size of MovieLens 20M, and more features


def cost(settings: Settings, device: torch.device) -> list[dict]:
    """Time a search beside training the full table once more, and beside the grid of uniform dimensions."""
    return [row for model in MODELS for row in _cost(Plan.of_model(model, settings), settings.seeds.count, device)]


def _cost(plan: Plan, runs: int, device: torch.device) -> list[dict]:
    task = prepare(plan.task, plan.dataset, plan.data, plan.protocol, device)
    block = frequency_blocks(task.frequency, plan.shared.blocks)
    shares: dict[str, list[float]] = {"search": [], "whole": [], "grid": []}
    Case(f"{plan.task}.{plan.model}", task, plan.points, plan.shared, 0).train(plan.points[0])  # to warm up
    for seed in derive_seeds(Seeds(root=0, count=runs), f"bench/{plan.model}"):
        case = Case(f"{plan.task}.{plan.model}", task, plan.points, plan.shared, seed)
        grid = {point.dim: clock(functools.partial(case.train, point)) for point in plan.points}
        warm = clock(functools.partial(getattr, case, "warm"))
        start = time.perf_counter()
        found = dnis.search(case.warm, block, plan.methods["dnis"])
        alone = time.perf_counter() - start
        table = found.selection.folded()
        one = dataclasses.replace(case, shared=plan.shared.model_copy(update={"rates": [plan.shared.rates[-1]]}))
        last = clock(lambda one=one, found=found, table=table: list(
            one.shrink("dnis", found.model, table, table, found.mean)
        ))
        shares["search"].append(alone / grid[plan.shared.dim])
        shares["whole"].append((warm + alone + last) / grid[plan.shared.dim])
        shares["grid"].append(sum(grid.values()) / (warm + alone + last))
    all_of_it = "warm start, search, pruning and training on"
    whats = {
        "search": "the search, after its warm start, over training the full table once",
        "whole": f"{all_of_it} over training the full table once",
        "grid": f"training the grid of {len(plan.points)} uniform dimensions once over {all_of_it}",
    }
    return [
        {
            "name": f"search_{name}_{plan.model}_{which}", "value": pick(values), "unit": "ratio",
            "what": f"{plan.task}.{plan.model}, K = {plan.shared.dim}: time of {whats[name]}, {which} of {runs} runs",
        }
        for name, values in shares.items()
        for which, pick in (("median", statistics.median), ("least", min), ("most", max))
    ]


def storage() -> list[dict]:
    """Measure a table pruned to a twentieth: bytes on disk and in memory, and the time of a look-up, over the dense."""
    return [row for size, number in FEATURES.items() for row in _storage(size, number)]


def _storage(size: str, number: int) -> list[dict]:
    torch.manual_seed(0)
    dense = UniformTable(number, 64, torch.tensor([], dtype=torch.long))
    table = dense.weight.detach()
    table = table * keep_largest(table, RATE)
    stored, whole = SparseTable.of(table), table.numel() * table.element_size()
    ids = torch.randint(0, number, (BATCH,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.safetensors")
        save_file(stored.state_dict(), path)
        disk = path.stat().st_size
    with torch.no_grad():
        slow, plain = beside(functools.partial(stored, ids), functools.partial(dense, ids), LOOK_UPS)
    what = f"a table of {number:,} features, K = 64, {RATE:.0%} pruned, over the dense one"
    return [
        {"name": f"sparse_disk_{size}", "value": disk / whole, "unit": "ratio", "what": f"bytes on disk: {what}"},
        {"name": f"sparse_memory_{size}", "value": memory(stored) / whole, "unit": "ratio",
         "what": f"bytes in memory: {what}"},
        {"name": f"sparse_look_up_{size}", "value": slow / plain, "unit": "ratio",
         "what": f"time to look up {BATCH} features: {what}"},
    ]


def millions() -> list[dict]:
    """Measure a search on made data of 20 M ratings, in a process of its own."""
    words = [sys.executable, "-m", "latent_factors.bench_search"]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True, cwd=root()).stdout)


def made(generator: np.random.Generator) -> Interactions:
    """Return made ratings of MovieLens 20M's size, with users and items as uneven as there."""
    users = (USERS * generator.random(RATINGS) ** 2).astype(np.int32)
    items = (ITEMS * generator.random(RATINGS) ** 4).astype(np.int32)
    return Interactions(
        "made", pd.Categorical.from_codes(users, [f"u{n}" for n in range(USERS)]),
        pd.Categorical.from_codes(items, [f"i{n}" for n in range(ITEMS)]),
        generator.integers(1, 11, RATINGS).astype(np.float32) / 2, None, np.arange(2, RATINGS + 2), {},
    )


def main() -> None:
    """Warm up and search for some steps on made data of MovieLens 20M's size, prune and store; print what it took."""
    settings = load_settings()
    device = set_up(settings.compute)
    events = made(np.random.default_rng(0))
    parts = split(events, settings.split)
    columns = [events.user, events.item]
    features = rank_features(("user", "item"), columns, parts.train)
    task = rating.RatingTask(
        events, parts, features, torch.from_numpy(features.encode(columns)).to(device),
        torch.from_numpy(events.rating).to(device), 0.5, 5.0,
    )
    point = MF(dim=64, learning_rate=0.001, l2=1.0, l2_bias=0.1, l2_power=0.5, batch_size=BATCH, epochs=1, patience=1)
    rest, held = task.carve(settings.search.mf.shared.alpha_share, 0)
    trainer = Adam("rating.mf", build("mf", point, rest.inputs).to(device), rest, point, 0)
    trainer.step(*next(rest.batches(trainer.model, torch.Generator(device).manual_seed(0), BATCH)))
    block = frequency_blocks(task.frequency, settings.search.mf.shared.blocks)
    slow = settings.search.mf.dnis.model_copy(update={"alpha_rate": 1e-4})  # some steps do not empty the table
    bilevel = dnis.Bilevel(Warm(trainer, held, [], 0), block, slow)
    train_step, search_step = _steps([trainer, bilevel], rest)
    table = bilevel.selection.folded()
    mask = keep_largest(table, RATE)
    left = pruned(bilevel.model, table, mask, functools.partial(build, "mf", point), task, task.mean)
    stored = SparseTable.of(left.embedding.weight.detach())
    size = f"made data of {RATINGS / 1e6:.0f} M ratings and {task.inputs.number:,} features, K = 64, batch {BATCH}"
    rows = [
        ("millions_memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "GiB",
         f"{size}: peak memory of splitting, training, search, pruning and storing"),
        ("millions_training", train_step, "s", f"{size}: a step of training"),
        ("millions_search", search_step / train_step, "ratio", f"{size}: a step of the search over one of training"),
        ("millions_epoch", search_step * rest.size / BATCH / 3600, "h", f"{size}: an epoch of the search"),
        ("millions_stored", memory(stored) / 2**30, "GiB", f"{size}: the table {RATE:.0%} pruned"),
    ]
    names = ("name", "value", "unit", "what")
    print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))


def _steps(trainers: list[Adam], task: rating.RatingTask) -> list[float]:
    """Return the median seconds of a step of each trainer, their steps in turn."""
    batches = task.batches(trainers[0].model, torch.Generator(task.ids.device).manual_seed(0), BATCH)
    times = [[clock(functools.partial(trainer.step, *next(batches))) for trainer in trainers] for _ in range(STEPS)]
    return [statistics.median(own) for own in zip(*times, strict=True)]


if __name__ == "__main__":
    main()
