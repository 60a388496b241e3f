"""What the tuners of studies share: find a study, keep all its trials and the best of them."""

from collections.abc import Callable
from pathlib import Path

from ruamel.yaml.comments import CommentedMap

from latent_factors.errors import UserError
from latent_factors.fit import Task
from latent_factors.paths import root
from latent_factors.sections import Section
from latent_factors.settings import load_settings
from latent_factors.tune import best, edited
from latent_factors.tuning_record import record


def params() -> Path:
    """Return the file of the studies' settings."""
    return root() / "replications" / "params.yaml"


def find(name: str, kinds: tuple[str, ...], what: str) -> tuple[str, Section]:
    """Return the kind and the settings of a study in replications/params.yaml.

    Raises UserError for a name that is none; it calls the `kinds` studies of `what`.
    """
    settings = load_settings(params())
    studies = {own: (kind, study) for kind in kinds for own, study in getattr(settings, kind).items()}
    if name not in studies:
        raise UserError(f"{name} is no study of {what} in replications/params.yaml: choose from {', '.join(studies)}")
    return studies[name]


def keep(
    kind: str, name: str, tried: dict[str, list[dict]], problem: type[Task] | Task, csv: str,
    place: Callable[[CommentedMap, str], CommentedMap] = lambda study, model: study["models"][model],
) -> None:
    """Write the best of each model's trials into its study, all of them into the record `csv`, and print the best.

    `place` finds a model's settings in those of its study.
    """
    with edited(params()) as values:
        study = values[kind][name]
        for model, rows in tried.items():
            own = place(study, model)
            own.update(best(dict(own), rows, problem))
        dataset, trials = study["dataset"], study["trials"]
    rows = record(csv, name, dataset, tried, f"validation_{problem.metric}")
    print(f"{name}: best validation {problem.metric} of {trials} trials each:")
    print(rows.groupby("model", sort=False)["validation"].agg("max" if problem.larger_is_better else "min").to_string())
