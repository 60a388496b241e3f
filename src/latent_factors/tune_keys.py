"""Tune the rankers of a study of keys on its validation part, with one budget, into replications/params.yaml.

    python -m latent_factors.tune_keys STUDY ...

Each arm gets the study's trials of optuna's TPE sampler with a fixed seed, judged by one run; the first is the setting
that stands there already. Every trial goes into reports/tuning/keys.csv.
"""

import contextlib
import functools
import sys

import optuna
import torch

from latent_factors.errors import tell
from latent_factors.fit import derive_seeds, set_up
from latent_factors.identifiers.keys import make
from latent_factors.key_study import Problem
from latent_factors.processes import spread
from latent_factors.sections import Arm, Seeds
from latent_factors.settings import load_settings
from latent_factors.tasks.ctr import CTRTask
from latent_factors.tune import suggestions, try_settings
from latent_factors.tune_study import find, keep, params


def tune(name: str) -> None:
    """Tune every arm of a study, as many at a time as there are threads.

    Raises UserError for a name that is no study of keys.
    """
    kind, study = find(name, ("key_studies",), "keys")
    settings = load_settings()
    device = set_up(settings.compute)
    with contextlib.chdir(params().parent):
        problem = Problem.of(study)
    work = functools.partial(tune_arm, problem, study.trials, settings.tune.seed, device)
    found = spread(work, list(study.arms.items()), settings.compute)
    tried = dict(zip(study.arms, found, strict=True))
    keep(kind, name, tried, CTRTask, "keys", lambda own, arm: own["arms"][arm]["fm"])


def tune_arm(problem: Problem, trials: int, seed: int, device: torch.device, named: tuple[str, Arm]) -> list[dict]:
    """Return a row a trial of an arm."""
    name, arm = named
    task, base = problem.clicks.task(make(arm.keys, problem.coded), device), arm.fm.model_dump()
    runs = derive_seeds(Seeds(root=seed, count=1), f"tune/keys.{name}")
    sampler = optuna.samplers.TPESampler(seed=seed)
    return try_settings("ctr", "fm", base, task, runs, trials, sampler, suggestions(base, task))[0]


def main(names: list[str]) -> None:
    """Tune the studies named, one after the other, writing after each."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in names:
        tune(name)


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
