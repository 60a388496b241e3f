"""The part of the benchmark on click data of Criteo's size: does all of it fit into memory, from file to search?

    python -m latent_factors.bench_clicks ROWS    read the ROWS rows of data/made, split, encode, search; print JSON

A made file has Criteo's 39 fields, each with as large a share of its values as of its rows. The benchmark makes two
small ones, each in a process of its own, and draws a line through their peaks of memory.
"""

import functools
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from latent_factors.fit import Adam, endless, set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.search import dnis
from latent_factors.search.blocks import frequency_blocks
from latent_factors.search.warm import Warm
from latent_factors.sections import FM, Clicks, Split
from latent_factors.settings import load_settings
from latent_factors.tasks import ctr
from latent_factors.timing import clock

ROWS = 45_840_617
NUMERIC = 13
VALUES = (  # of each categorical field of the whole data set
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10, 5652,
    2173, 4, 7046547, 18, 15, 286181, 105, 142572,
)
SMALL = (ROWS // 20, ROWS // 10)
WRITTEN = 2**18  # rows at a time
STEPS = 5
BLOCKS = 20
BATCH = 4096
POINT = FM(dim=16, learning_rate=0.001, l2=1.0, l2_bias=0.1, l2_power=0.5, batch_size=BATCH, epochs=1, patience=1)
CLICKS = Clicks(
    split=Split(kind="random", validation=0.1, test=0.1, seed=0), positive_above=0.5, negative_below=0.5, min_count=10,
    skip=[],
)


def write(path: Path, rows: int) -> None:
    """Write a made file: a label, 13 numbers, and 26 tokens of eight digits, the frequent ones far more often."""
    generator = np.random.default_rng(0)
    names = ["label:float", *(f"I{n + 1}:float" for n in range(NUMERIC)), *(f"C{n + 1}:token" for n in range(26))]
    values = [max(3, round(number * rows / ROWS)) if number > 1000 else number for number in VALUES]
    with path.open("wb") as file:
        file.write(("\t".join(names) + "\n").encode())
        for first in range(0, rows, WRITTEN):
            count = min(WRITTEN, rows - first)
            cells = [_digits(generator.integers(0, 2, count), 1)]
            cells += [_digits(generator.integers(0, 1000, count), 3) for _ in range(NUMERIC)]
            cells += [_digits((number * generator.random(count) ** 3).astype(np.int64), 8) for number in values]
            line = np.concatenate(cells, 1)
            line[:, -1] = ord("\n")
            line.tofile(file)


def _digits(numbers: np.ndarray, width: int) -> np.ndarray:
    """Return numbers (n,) as text (n, width + 1) that ends in a tab."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    digits = (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)
    return np.concatenate([digits, np.full((len(numbers), 1), ord("\t"), np.uint8)], 1)


def measure(rows: int) -> dict[str, float]:
    """Read, split and encode data/made, then search for some steps; return peaks of memory in GiB, and seconds."""
    settings = load_settings()
    device = set_up(settings.compute)
    data, search = settings.data.model_copy(update={"rating": "label"}), settings.search.fm.dnis
    start = time.perf_counter()
    task = ctr.prepare("made", data, CLICKS, device)
    read, read_peak = time.perf_counter() - start, _peak()
    rest, held = task.carve(0.1, 0)
    trainer = Adam("ctr.fm", build("fm", POINT, rest.inputs).to(device), rest, POINT, 0)
    batches = endless(rest, trainer.model, 0, BATCH)
    trainer.step(*next(batches))
    bilevel = dnis.Bilevel(Warm(trainer, held, [], 0), frequency_blocks(task.frequency, BLOCKS), search)
    steps = [clock(functools.partial(bilevel.step, *next(batches))) for _ in range(STEPS)]
    return {
        "rows": rows, "features": task.inputs.number, "read": read, "read_peak": read_peak, "peak": _peak(),
        "step": statistics.median(steps),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def alone(rows: int) -> dict[str, float]:
    """Measure a made file in a process of its own, in a project of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "data", "made")
        made.mkdir(parents=True)
        for name in ("dvc.yaml", "params.yaml"):
            shutil.copy(root() / name, folder)
        write(made / "made.inter", rows)
        words = [sys.executable, "-m", "latent_factors.bench_clicks", str(rows)]
        return json.loads(subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder).stdout)


def planned() -> list[dict]:
    """Return rows of the benchmark: the peak of memory that the whole of Criteo would take, by a line through two."""
    few, many = (alone(rows) for rows in SMALL)
    slope = {name: (many[name] - few[name]) / (many["rows"] - few["rows"]) for name in ("read", "peak")}
    whole = {name: many[name] + slope[name] * (ROWS - many["rows"]) for name in slope}
    what = f"made clicks with Criteo's 39 fields, {many['rows']:,} rows and {many['features']:,} features"
    line = f"by a line through {few['rows']:,} and {many['rows']:,}"
    return [
        {"name": "clicks_memory", "value": many["peak"], "unit": "GiB",
         "what": f"{what}: peak memory of reading, splitting, encoding and a search with FM, K = {POINT.dim}"},
        {"name": "clicks_memory_whole", "value": whole["peak"], "unit": "GiB",
         "what": f"the same of {ROWS:,} rows, {line}"},
        {"name": "clicks_read_whole", "value": whole["read"] / 3600, "unit": "h",
         "what": f"reading, splitting and encoding {ROWS:,} rows, {line}"},
        {"name": "clicks_search", "value": many["step"], "unit": "s",
         "what": f"{what}: a step of the search, batch {BATCH}"},
    ]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
