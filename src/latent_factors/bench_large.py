"""Full ranking of a large data set in little memory: `python -m latent_factors.bench_large SMALL LARGE`.

Prints rows of the benchmark as JSON. It runs in a process of its own, so that the peak of memory is its own.
"""

import json
import resource
import sys
import time
from itertools import pairwise

from latent_factors.fit import Adam, set_up
from latent_factors.models import build
from latent_factors.sections import BPR
from latent_factors.settings import load_settings
from latent_factors.tasks import topk

POINT = BPR(dim=64, learning_rate=0.002, l2=0.01, l2_power=0.5, batch_size=2048, epochs=1, patience=1)


def measure(dataset: str) -> dict[str, float]:
    """Return the seconds to read, of a warm epoch of BPR-MF and of a full ranking, and the peak of memory in GiB."""
    settings = load_settings()
    clock = [time.perf_counter()]
    task = topk.prepare(dataset, settings.data, settings.ranking, set_up(settings.compute))
    clock.append(time.perf_counter())
    trainer = Adam("topk.bpr", build("bpr", POINT, task.inputs), task, POINT, seed=0)
    trainer.epoch(1)
    warm = time.perf_counter()
    trainer.epoch(2)
    clock.append(time.perf_counter())
    epoch = clock[-1] - warm
    task.measure(task.outputs(trainer.model, "test"), "test")
    clock.append(time.perf_counter())
    read, _, ranking = (after - before for before, after in pairwise(clock))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"read": read, "epoch": epoch, "ranking": ranking, "peak": peak, "events": task.size,
            "users": len(task.persons["test"]), "items": task.catalogue}


def main(small: str, large: str) -> None:
    """Measure both and print the rows."""
    few, many = measure(small), measure(large)
    size = f"{large}, {many['users']:,.0f} users by {many['items']:,.0f} items"
    growth = (many["epoch"] / many["events"]) / (few["epoch"] / few["events"])
    rows = [
        ("large_ranking", many["ranking"], "s", f"{size}: full ranking of BPR-MF, K = 64, ten metrics"),
        ("large_memory", many["peak"], "GiB", f"{size}: peak memory of reading, one epoch and the full ranking"),
        ("large_read", many["read"], "s", f"{size}: read, check, split and number"),
        ("large_epoch", many["epoch"], "s", f"{size}: one epoch of BPR-MF, {many['events']:,.0f} events, batch 2048"),
        ("large_growth", growth, "ratio", f"an epoch of BPR-MF an event: {large} over {small}"),
    ]
    names = ("name", "value", "unit", "what")
    print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))


if __name__ == "__main__":
    main(*sys.argv[1:])
