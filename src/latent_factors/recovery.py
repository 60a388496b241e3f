"""Does the search find planted dimensions? Made data of known rank, searched."""

import contextlib
import functools
import tempfile
from pathlib import Path

import torch

from latent_factors.data import planted
from latent_factors.data.atomic import write_atomic
from latent_factors.fit import derive
from latent_factors.models import build
from latent_factors.processes import spread
from latent_factors.search import dnis
from latent_factors.search.blocks import frequency_blocks
from latent_factors.search.warm import warm_start
from latent_factors.sections import Clicks, Compute, Data, Planted, Split
from latent_factors.tasks import prepare

KEPT = 0.1  # α above which a dimension counts as kept
SHARE = 0.1  # of the training rows, for α
DATA = Data(
    user="user_id", item="item_id", rating="rating", timestamp="timestamp", duplicates="refuse", min_user_ratings=1,
    min_item_ratings=1,
)


def recover_all(settings: Planted, jobs: list[tuple[str, int, int]], compute: Compute) -> list[list[int]]:
    """Return what `recover` finds for each job: a model, rows and a seed."""
    return spread(functools.partial(_recover, settings), jobs, compute)


def _recover(settings: Planted, job: tuple[str, int, int]) -> list[int]:
    return recover(settings, *job)


def recover(settings: Planted, model: str, rows: int, seed: int) -> list[int]:
    """Make data with so many rows, search, and return the dimensions that each block ends with (L,).

    `model` is mf, on ratings, or fm, on clicks. Runs on one thread.
    """
    torch.set_num_threads(1)
    common = (settings.users, settings.items, rows, list(settings.ranks))
    last = (settings.fall, derive(f"{seed}/{rows}"))
    split = Split(kind="random", validation=0.1, test=0.1, seed=derive(f"{seed}/split") % 2**32)
    if model == "mf":
        task, table, protocol = "rating", planted.ratings(*common, settings.noise, *last), split
    else:
        task, table = "ctr", planted.clicks(*common, settings.scale, *last)
        protocol = Clicks(split=split, positive_above=3, negative_below=3, min_count=1, skip=[])
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("dvc.yaml").touch()  # the root of a project of its own
        Path("data/planted").mkdir(parents=True)
        types = {"user_id": "token", "item_id": "token", "rating": "float"}
        write_atomic(table, types, Path("data/planted/planted.inter"))
        problem = prepare(task, "planted", DATA, protocol, torch.device("cpu"))
    point = getattr(settings, model)
    start = warm_start(
        f"{task}.{model}", functools.partial(build, model, point), problem, point, SHARE, seed
    )
    found = dnis.search(start, frequency_blocks(problem.frequency, len(settings.ranks)), settings.dnis)
    return (found.selection.alpha > KEPT).sum(1).tolist()
