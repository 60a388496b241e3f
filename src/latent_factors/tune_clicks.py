"""Tune every model of a study of clicks on its validation part, with one budget, into replications/params.yaml.

    python -m latent_factors.tune_clicks STUDY ...

Each model gets the study's trials of optuna's TPE sampler with a fixed seed, judged by one run. The first of them is
the setting that stands there already; Wide&Deep and DeepFM begin with the best of FM. Every trial goes into
reports/tuning/clicks.csv.
"""

import contextlib
import functools
import sys

import optuna

from latent_factors.errors import tell
from latent_factors.fit import Task, derive_seeds, set_up
from latent_factors.processes import spread
from latent_factors.sections import CTR, ClickStudy, Seeds
from latent_factors.settings import load_settings
from latent_factors.tasks import prepare
from latent_factors.tune import suggestions, try_settings
from latent_factors.tune_study import find, keep, params

CHAINS = (("autoint_plus",), ("autoint",), ("autoint_flat",), ("fm", "widedeep", "deepfm"), ("lr",))  # longest first


def tune(name: str) -> None:
    """Tune every model of a study, as many chains at a time as there are threads.

    Raises UserError for a name that is no study of clicks.
    """
    kind, study = find(name, ("click_studies",), "clicks")
    settings = load_settings()
    with contextlib.chdir(params().parent):
        task = prepare(study.task, study.dataset, study.data, study.protocol, set_up(settings.compute))
    work = functools.partial(_tune_chain, study, task, settings.tune.seed)
    tried = dict(pair for chain in spread(work, list(CHAINS), settings.compute) for pair in chain.items())
    keep(kind, name, {model: tried[model] for model in CTR.model_fields}, task, "clicks")


def _tune_chain(study: ClickStudy, task: Task, seed: int, chain: tuple[str, ...]) -> dict[str, list[dict]]:
    """Return a row a trial of each model; every model after the first begins with the best settings of the first."""
    tried, start = {}, None
    for model in chain:
        base = getattr(study.models, model).model_dump()
        start = start or suggestions(base, task)
        runs = derive_seeds(Seeds(root=seed, count=1), f"tune/{study.task}.{model}")
        sampler = optuna.samplers.TPESampler(seed=seed)
        tried[model], found = try_settings(study.task, model, base, task, runs, study.trials, sampler, start)
        start = found if model == chain[0] else start
    return tried


def main(names: list[str]) -> None:
    """Tune the studies named, one after the other, writing after each."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in names:
        tune(name)


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
