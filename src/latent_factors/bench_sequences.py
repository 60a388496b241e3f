"""The part of the benchmark that sets SASRec beside RecBole's: speed and quality on the same split.

    python -m latent_factors.bench_sequences    measures (hours) and puts its rows into reports/bench.json

`make bench` keeps those rows as they are.
"""

import contextlib
import functools
import io
import statistics
import sys
import tempfile
from pathlib import Path

import torch

from latent_factors import peers
from latent_factors.bench_record import kept, put
from latent_factors.errors import UserError, tell
from latent_factors.fit import Adam, Task, derive_seeds, fit, set_up
from latent_factors.models import build
from latent_factors.sections import SASRec, Seeds, Settings
from latent_factors.settings import load_settings
from latent_factors.tasks import prepare
from latent_factors.timing import clock

SEEDS = 12  # of ours: one run tells little
EPOCHS = 3  # of ours that are timed
MOST_EPOCHS = 40
NAMES = ("recbole_epoch_sasrec", "recbole_ndcg_sasrec")
ONCE = "recbole_epoch_gpu_sasrec"  # on a GPU, to which RecBole's script does not go
THEIRS = {"dim": 64, "layers": 2, "heads": 2, "hidden": 256}  # RecBole's sizes


def beside_recbole(settings: Settings, device: torch.device, python: Path) -> list[dict]:
    """Compare an epoch of SASRec, and its test ndcg where all items are ranked, with RecBole's.

    RecBole's model has its defaults and one seed, as an epoch of it takes minutes: each item is predicted from a
    history of its own, where ours predicts all items of a window at once. For quality ours has the setting of
    params.yaml, which was tuned for lists without what users had; for speed it has RecBole's sizes. Both stop once ten
    epochs brought nothing.
    """
    protocol = settings.sequences.model_copy(update={"rank_history": True})  # RecBole ranks all items
    problem, threads = prepare("sequence", settings.dataset, settings.data, protocol, device), settings.compute.threads
    k = protocol.cutoffs[0]
    with tempfile.TemporaryDirectory() as folder:
        same = peers.write_in_order(problem, Path(folder))
        config = {
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
            "train_neg_sample_args": None, "MAX_ITEM_LIST_LENGTH": protocol.length, "topk": protocol.cutoffs,
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        }
        theirs = peers.run(python, "SASRec", same, threads, MOST_EPOCHS, config, Path(folder))
    base = settings.sequence.sasrec
    sized = base.model_copy(update=THEIRS)
    trainer = Adam("sequence.sasrec", build("sasrec", sized, problem.inputs).to(device), problem, sized, seed=0)
    trainer.epoch(1)  # to warm up
    epoch = statistics.median(clock(functools.partial(trainer.epoch, 1)) for _ in range(EPOCHS))
    runs = _quality(base, problem)
    reached, error = statistics.mean(runs), statistics.stdev(runs) / SEEDS**0.5
    peer = theirs["test"][f"ndcg@{k}"]
    return [
        {
            "name": NAMES[0], "value": theirs["epoch_s"] / epoch, "unit": "ratio",
            "what": f"sasrec, 64 dimensions, 2 layers, length {protocol.length}: RecBole's epoch in seconds"
            f" ({theirs['epoch_s']:.1f}) over ours ({epoch:.2f})",
        },
        {
            "name": NAMES[1], "value": reached - peer, "unit": "ndcg",
            "what": f"sasrec, the same split, all items ranked: our test ndcg@{k} ({reached:.4f}, the setting"
            f" of params.yaml, mean of {SEEDS} seeds, standard error {error:.4f}) less RecBole's ({peer:.4f}, its"
            " defaults)",
        },
    ]


def _quality(base: SASRec, problem: Task) -> list[float]:
    """Return the test ndcg of some runs of SASRec."""
    runs = derive_seeds(Seeds(root=0, count=SEEDS), "bench/sasrec")
    with contextlib.redirect_stderr(io.StringIO()):  # no line an epoch here
        trained = fit("sequence.sasrec", lambda: build("sasrec", base, problem.inputs), problem, base, runs).models
    return [problem.measure(problem.outputs(one, "test"), "test")[problem.metric].item() for one in trained]


def measured() -> list[dict]:
    """Return the rows that reports/bench.json holds."""
    return kept((*NAMES, ONCE))


def main() -> None:
    """Measure, print a line each, and put the rows into reports/bench.json."""
    settings, python = load_settings(), peers.recbole()
    if python is None:
        raise UserError("there is nothing to measure beside: put RecBole's scripts into ../shared/peers")
    put(NAMES, beside_recbole(settings, set_up(settings.compute), python))


if __name__ == "__main__":
    sys.exit(tell(main))
