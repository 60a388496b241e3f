"""Tune the models of a study of rankings on its validation part, with one budget, into replications/params.yaml.

    python -m latent_factors.tune_ranking STUDY [MODEL ...]    by default every model that has something to tune

Each model gets the study's trials of optuna's TPE sampler with a fixed seed, judged by one run. Every trial goes into
reports/tuning/ranking.csv, those of the next item into sequences.csv.
"""

import contextlib
import functools
import sys

import optuna

from latent_factors.errors import UserError, tell
from latent_factors.fit import Task, derive_seeds, set_up
from latent_factors.paths import root
from latent_factors.processes import spread
from latent_factors.ranking_study import settings
from latent_factors.sections import RankingStudy, Seeds
from latent_factors.settings import load_settings
from latent_factors.spaces import space
from latent_factors.tasks import prepare
from latent_factors.tune import best, edited, try_settings
from latent_factors.tuning_record import record

RECORDS = {"ranking_studies": "ranking", "sequence_studies": "sequences"}  # of a kind of studies in reports/tuning


def tune(name: str, models: list[str]) -> None:
    """Tune models of a study, as many at a time as there are threads, and write after all of them.

    Raises UserError for a name that is no study of rankings, one that has no trials, or a model that it has not.
    """
    path = root() / "replications" / "params.yaml"
    replications, whole = load_settings(path), load_settings()
    studies = {own: (kind, study) for kind in RECORDS for own, study in getattr(replications, kind).items()}
    if name not in studies:
        raise UserError(f"{name} is no study of rankings in replications/params.yaml: choose from {', '.join(studies)}")
    kind, study = studies[name]
    if not study.trials:
        raise UserError(f"{name} has its settings from elsewhere; to tune it, raise its trials above 0")
    tunable = [model for model in settings(study) if space(study.task, model)]
    unknown = [model for model in models if model not in tunable]
    if unknown:
        raise UserError(f"{name} has no model {unknown[0]} to tune: choose from {', '.join(tunable)}")
    chosen = models or tunable
    with contextlib.chdir(path.parent):  # where the data is: what describes items is read when a model asks for it
        task = prepare(study.task, study.dataset, study.data, study.protocol, set_up(whole.compute))
        rows = spread(functools.partial(_tune, study, task, whole.tune.seed), chosen, whole.compute)
    tried = dict(zip(chosen, rows, strict=True))
    with edited(path) as values:
        for model, rows in tried.items():
            own = values[kind][name]["models"][model]
            own.update(best(dict(own), rows, task))
    rows = record(RECORDS[kind], name, study.dataset, tried, f"validation_{task.metric}")
    print(f"{name}: best validation {task.metric} of {study.trials} trials each:")
    print(rows.groupby("model", sort=False)["validation"].max().to_string())


def _tune(study: RankingStudy, task: Task, seed: int, model: str) -> list[dict]:
    """Return a row a trial of a model."""
    runs = derive_seeds(Seeds(root=seed, count=1), f"tune/{study.task}.{model}")
    sampler = optuna.samplers.TPESampler(seed=seed)
    base = settings(study)[model].model_dump()
    return try_settings(study.task, model, base, task, runs, study.trials, sampler)[0]


def main(words: list[str]) -> None:
    """Tune a study."""
    if not words:
        raise UserError("name a study of rankings in replications/params.yaml: tune_ranking STUDY [MODEL ...]")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tune(words[0], words[1:])


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
