"""The part of the benchmark that spells ten items for every user of a larger data set, by beam search along the trie.

    python -m latent_factors.bench_decoding    measures (a minute) and puts its rows into reports/bench.json

`make bench` keeps those rows as they are. The model is not trained: what it writes takes as long.
"""

import functools
import sys

import torch

from latent_factors.bench_record import kept, put
from latent_factors.errors import UserError, tell
from latent_factors.fit import set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.sections import Generative, Sequences
from latent_factors.settings import load_settings
from latent_factors.tasks import prepare
from latent_factors.timing import clock

DATASET = "amazon-beauty"
PROTOCOL = Sequences(order="file", length=20, rank_history=False, cutoffs=[10])
MODEL = Generative(
    scheme={"sequential": {"order": "time", "base": 24, "seed": 0}}, dim=64, heads=2, hidden=128, layers=2, history=20,
    dropout=0.1, learning_rate=1e-3, batch_size=64, epochs=1, patience=1,
)
BEAMS = (10, 20)
NAMES = tuple(f"decode_{beams}_beams" for beams in BEAMS)


def decoding(dataset: str, beams: tuple[int, ...]) -> list[dict]:
    """Return the seconds in which each beam search finds ten items for the test of every user.

    Raises UserError for a data set that is not there, and for a list that is not of ten different items.
    """
    settings = load_settings()
    if not (root() / "data" / dataset).is_dir():
        raise UserError(f"data/{dataset} is not there; `make data NAME={dataset}` fetches it")
    device = set_up(settings.compute)
    task = prepare("generate", dataset, settings.data, PROTOCOL, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build("generative", MODEL, task.inputs).to(device).eval()
    rows, users = [], len(task.persons["test"])
    for width in beams:
        items, _ = task.search(model, "test", 10, width)
        if (items < 0).any() or (items.sort(1).values.diff(dim=1) == 0).any():
            raise UserError(f"a beam search of {width} wrote something that is no list of ten items; report this")
        rows.append({
            "name": f"decode_{width}_beams", "unit": "s",
            "value": clock(functools.partial(task.search, model, "test", 10, width)),
            "what": f"ten items out of {task.catalogue:,} for each of {users:,} users of {dataset}, {width} beams,"
            f" {model.spelled.shape[1]} tokens an item, {sum(own.numel() for own in model.parameters()):,} parameters,"
            f" {settings.compute.threads} threads",
        })
    return rows


def measured() -> list[dict]:
    """Return the rows that reports/bench.json holds."""
    return kept(NAMES)


def main() -> None:
    """Measure, print a line each, and put the rows into reports/bench.json."""
    put(NAMES, decoding(DATASET, BEAMS))


if __name__ == "__main__":
    sys.exit(tell(main))
