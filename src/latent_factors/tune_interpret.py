"""Choose how sparse autoencoders are trained, by what others than the judging users say, and write it into params.yaml.

    python -m latent_factors.tune_interpret

Every setting of GRID trains autoencoders of some RUNS of each model that is LOOKED_INTO, on the dictionary part of its
users, at the width and the active latents of params.yaml. The setting that leaves the least variance of the description
part unexplained, mean over the models, becomes `reconstructing`: on few users that may be one that lets most latents
die, and is a narrower dictionary in truth. Where latents are to be named, the best is taken of the settings that keep
enough of them alive in every model. As steps cost time, one with fewer of them wins if it is as good but for NEAR.
reports/tuning/interpret.csv has a row a setting and model: beside that fraction, what reconstructions do to the
validation ndcg of the same users, and the share of dead latents. Nothing of the test part is seen, nor of the users who
judge.
"""

import itertools
import sys
from dataclasses import replace

import pandas as pd
import torch

from latent_factors.errors import UserError, tell
from latent_factors.fit import set_up
from latent_factors.interpret.activations import Parts, before_test, cut
from latent_factors.interpret.study import Study
from latent_factors.interpret.trained import look_into
from latent_factors.paths import root, run_folder
from latent_factors.sections import Settings
from latent_factors.settings import TASKS, load_settings
from latent_factors.tasks import prepare
from latent_factors.tune import edited

LOOKED_INTO = ("topk.lightgcn", "topk.directau", "sequence.sasrec")
RUNS, DEAD = 2, 0.25  # how many runs of a model, and the share of its latents that may be dead
NEAR = 0.002  # of the variance
GRID = {"learning_rate": (0.003, 0.006, 0.012, 0.024, 0.048), "auxiliary": (0.1, 0.5, 2.0), "batches": (4, 8, 16)}
SCORE = "validation_unexplained"


def study_of(name: str, settings: Settings, device: torch.device) -> Study:
    """Return the study of TASK.MODEL in which the description part judges, by its events of validation.

    Raises UserError where the model was not trained.
    """
    task, model = name.split(".")
    problem = prepare(task, settings.dataset, settings.data, getattr(settings, TASKS[task][1]), device)
    seen = before_test(problem)
    runs, _ = look_into(run_folder("train", settings.dataset, task, model), name, problem, seen)
    parts = cut(len(runs[0].vectors), settings.interpret.parting)
    parts = Parts(parts.dictionary, parts.description, judging=parts.description)
    return Study(name, seen, runs[:RUNS], parts, settings.interpret, settings.statistics.level)


def attempt(study: Study, tried: dict) -> dict:
    """Return what autoencoders trained by some settings leave `validation_unexplained`, and what else is told."""
    own = study.settings.autoencoder.model_copy(update=tried)
    study = replace(study, settings=study.settings.model_copy(update={"autoencoder": own}))
    sae = study.learned(study.runs, own.expansion, own.active)
    found = study.reconstruction(sae).mean()
    with torch.no_grad():
        ndcg = study.ndcg(sae(study.vectors)).mean() / study.ndcg(study.vectors).mean()
    return {SCORE: found["unexplained"], "validation_ndcg_kept": ndcg.item(), "dead": found["dead"]}


def trials(settings: Settings, device: torch.device) -> pd.DataFrame:
    """Return a row a model and setting of GRID: which it was, and what came of it."""
    settings_tried = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    rows = []
    for name in LOOKED_INTO:
        study = study_of(name, settings, device)
        for trial, tried in enumerate(settings_tried):
            rows.append({"dataset": settings.dataset, "model": name, "trial": trial, **tried, **attempt(study, tried)})
            print(f"{name}  setting {trial + 1}/{len(settings_tried)}  {rows[-1][SCORE]:.4f}", file=sys.stderr)
    return pd.DataFrame(rows)


def best(rows: pd.DataFrame, dead: float) -> dict:
    """Return the setting with the smallest score, mean over the models, of those that let no more latents die.

    `dead` is their share, in no model exceeded. Of those NEAR the smallest score only the ones with the fewest steps
    take part. Raises UserError where every setting exceeds it.
    """
    trials = rows.groupby("trial").agg({SCORE: "mean", "dead": "max"} | dict.fromkeys(GRID, "first"))
    trials = trials[trials["dead"] <= dead]
    if trials.empty:
        raise UserError(
            f"every setting of GRID lets more than {dead:.0%} of some model's latents die; add smaller learning rates"
            " to it in latent_factors/tune_interpret.py"
        )
    near = trials[trials[SCORE] <= trials[SCORE].min() + NEAR]
    row = near.loc[near[near["batches"] == near["batches"].min()][SCORE].idxmin()]
    return {key: type(values[-1])(row[key]) for key, values in GRID.items()}


def main(words: list[str]) -> None:
    """Try every setting, record all, write the best into params.yaml."""
    if words:
        raise UserError("tune_interpret takes no word; edit GRID in latent_factors/tune_interpret.py to try others")
    settings = load_settings()
    rows = trials(settings, set_up(settings.compute.model_copy(update={"threads": 1})))  # steps too short to share
    path = root() / "reports" / "tuning" / "interpret.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False, float_format="%.6g")
    named, reconstructing = best(rows, DEAD), best(rows, 1.0)
    with edited(root() / "params.yaml") as values:
        values["interpret"]["autoencoder"].update(named)
        values["interpret"]["autoencoder"]["reconstructing"].update(reconstructing)
    print(f"best of {rows['trial'].nunique()} settings: {named}; of those, whatever dies: {reconstructing}")


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
