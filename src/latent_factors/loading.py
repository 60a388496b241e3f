"""Bring back what a train stage left in build/train."""

import difflib
import json

import torch

from latent_factors.errors import UserError
from latent_factors.fit import set_up
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.predict import Clicker, NextRecommender, Rater, Recommender
from latent_factors.provenance import data_hash
from latent_factors.runs import load_model, load_run
from latent_factors.settings import TASKS, load_settings, points
from latent_factors.tasks import prepare

KINDS = {
    "rating": Rater, "ctr": Clicker, "ctr_attributes": Clicker, "topk": Recommender, "release": Recommender,
    "sequence": NextRecommender, "generate": NextRecommender,
}


def load(name: str, run: int = 0) -> Recommender | Rater | Clicker:
    """Return one run of the model that build/train/<name> holds, with the settings that it was trained with.

    How the data are read and cut stands in params.yaml, and must still be what the model was trained on.

    Raises UserError for an unknown name or run, and for other data or another split.
    """
    folder = root() / "build" / "train" / name
    if not (folder / "run.json").is_file():
        raise UserError(_unknown(name))
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    dataset, (task_name, model) = about["dataset"], about["name"].split(".")
    if about.get("data_sha256") != data_hash(dataset):
        raise UserError(f"build/train/{name} was trained on other data than data/{dataset} holds now; run `dvc repro`")
    if not 0 <= run < len(about["seeds"]):
        raise UserError(f"build/train/{name} has no run {run}; name one from 0 to {len(about['seeds']) - 1}")
    settings = load_settings()
    protocol = getattr(settings, TASKS[task_name][1])
    task = prepare(task_name, dataset, settings.data, protocol, set_up(settings.compute))
    (point,) = points(task_name, model, load_run(folder, task).points[0]["settings"])
    with torch.random.fork_rng(devices=[]):
        module = load_model(build(model, point, task.inputs), folder, run)
    module = module.to(task.frequency.device).eval()
    return KINDS[task_name](about["name"], module, task, point, settings.data, protocol)


def _unknown(name: str) -> str:
    names = sorted(path.parent.name for path in (root() / "build" / "train").glob("*/run.json"))
    if not names:
        return "build/train holds no trained model; `dvc repro` trains them, `dvc pull` fetches them"
    near = difflib.get_close_matches(name, names, n=3, cutoff=0)
    return f"build/train holds no model {name}; did you mean {' or '.join(near)}?"
