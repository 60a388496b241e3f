"""Tune the models of a study of rankings on its validation part, with one budget, into replications/params.yaml.

    python -m latent_factors.tune_ranking STUDY [MODEL ...]    by default every model that has something to tune

Each model gets the study's trials of optuna's TPE sampler with a fixed seed, judged by one run. The first of them is
the setting that stands there already; a model that contains another begins with what was best for that one. Every trial
goes into reports/tuning/ranking.csv as it ends, those of the next item into sequences.csv. Trials that stand there
already count: a search that was cut off goes on, and to tune a changed model anew its rows are deleted first.
"""

import contextlib
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd

from latent_factors.errors import UserError, tell
from latent_factors.fit import Task, derive_seeds, set_up
from latent_factors.processes import spread
from latent_factors.ranking_study import settings
from latent_factors.sections import RankingStudy, Seeds
from latent_factors.settings import load_settings
from latent_factors.spaces import space
from latent_factors.tasks import prepare
from latent_factors.tune import suggestions, try_settings
from latent_factors.tune_study import find, keep, params
from latent_factors.tuning_record import add, begun, text

RECORDS = {"ranking_studies": "ranking", "sequence_studies": "sequences"}  # of a kind of studies in reports/tuning

CONTAINED = {"cml_features": "cml", "towers_ssl": "towers"}  # in which, what is tuned of it under the same names


def tune(name: str, models: list[str]) -> None:
    """Tune models of a study, as many at a time as there are threads, and write the best settings after all of them.

    Raises UserError for a name that is no study of rankings, one that has no trials, or a model that it has not.
    """
    kind, study = find(name, tuple(RECORDS), "rankings")
    whole = load_settings()
    if not study.trials:
        raise UserError(f"{name} has its settings from elsewhere; to tune it, raise its trials above 0")
    tunable = [model for model in settings(study) if space(study.task, model) and model not in study.given]
    unknown = [model for model in models if model not in tunable]
    if unknown:
        raise UserError(f"{name} has no model {unknown[0]} to tune: choose from {', '.join(tunable)}")
    chosen, trials = models or tunable, begun(RECORDS[kind])
    told = functools.partial(add, trials, name, study.dataset)
    with contextlib.chdir(params().parent):  # where the data is: what describes items is read when a model asks for it
        task = prepare(study.task, study.dataset, study.data, study.protocol, set_up(whole.compute))
        tried, work = {}, functools.partial(_tune, study, task, whole.tune.seed, told)
        for part in ([own for own in chosen if own not in CONTAINED], [own for own in chosen if own in CONTAINED]):
            if part:
                rows = spread(work, [_recorded(trials, name, task, model) for model in part], whole.compute)
                tried |= dict(zip(part, rows, strict=True))
    keep(kind, name, tried, task, RECORDS[kind])


def _tune(
    study: RankingStudy, task: Task, seed: int, told: Callable[[str, str, dict], None],
    model: tuple[str, dict | None, dict[str, float]],
) -> list[dict]:
    """Return a row a trial of a model, given with its first trial and what is known of others.

    It is told with the model and its score's name.
    """
    name, start, known = model
    runs = derive_seeds(Seeds(root=seed, count=1), f"tune/{study.task}.{name}")
    sampler = optuna.samplers.TPESampler(seed=seed)
    base = settings(study)[name].model_dump()
    start = suggestions(base | (start or {}), task)
    told = functools.partial(told, name, f"validation_{task.metric}")
    return try_settings(
        study.task, name, base, task, runs, study.trials, sampler, start, told, lambda tried: known.get(text(tried))
    )[0]


def _recorded(trials: Path, name: str, task: Task, model: str) -> tuple[str, dict | None, dict[str, float]]:
    """Return a model, what its first trial is where that is not its setting, and the scores of recorded trials.

    The first is the one recorded, or else the best trial of the model that this one contains.
    """
    study = pd.read_csv(trials).query("name == @name")
    own, contained = (study[study["model"] == known] for known in (model, CONTAINED.get(model)))
    best_first = contained.sort_values("validation", ascending=not task.larger_is_better, kind="stable")
    first = [*own.loc[own["trial"] == 0, "settings"], *best_first["settings"]][:1]
    return model, json.loads(first[0]) if first else None, dict(zip(own["settings"], own["validation"], strict=True))


def main(words: list[str]) -> None:
    """Tune a study."""
    if not words:
        raise UserError("name a study of rankings in replications/params.yaml: tune_ranking STUDY [MODEL ...]")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tune(words[0], words[1:])


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
