"""A study of rankings in parts: train some of its runs, and tell what those that are there say.

    python -m latent_factors.ranking_parts STUDY                 what is kept, into reports/replications
    python -m latent_factors.ranking_parts STUDY MODEL [RUN ...]    train a model: all its runs, or some, counted from 1

Run at the project's root. Results tell how many runs a model has; a model without one is left out of them.
"""

import contextlib
import json
import sys
from pathlib import Path

from latent_factors.errors import UserError, tell
from latent_factors.paths import root
from latent_factors.ranking_study import begin, settings, so_far
from latent_factors.sections import RankingStudy, Replications
from latent_factors.settings import load_settings
from latent_factors.tune_study import find, params

KINDS = {"ranking_studies": "ranking", "sequence_studies": "sequence"}  # of studies, and of their results' names


def main(words: list[str]) -> None:
    """Train a part of a study, or tell what there is of it."""
    if not words:
        raise UserError("name a study of rankings in replications/params.yaml: ranking_parts STUDY [MODEL [RUN ...]]")
    name, *part = words
    kind, study = find(name, tuple(KINDS), "rankings")
    results = root() / "reports" / "replications" / f"{KINDS[kind]}-{name}.json"
    whole = load_settings(params())
    with contextlib.chdir(params().parent):  # where the data are
        if part:
            _train(study, whole, *part)
            return
        found = so_far(study, whole.seeds, whole.compute, whole.statistics, Path("runs"))
    results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    lacking = [model for model in study.models if model not in {row["model"] for row in found["models"]}]
    print(f"{results.relative_to(root())}: " + ", ".join(f"{row['model']} {row['runs']}" for row in found["models"]))
    if lacking:
        print(f"no run of {', '.join(lacking)}")


def _train(study: RankingStudy, whole: Replications, model: str, *numbers: str) -> None:
    """Train a model of a study, under some seeds or all.

    Raises UserError for a model that the study has not, or a number of no run.
    """
    points = settings(study)
    if model not in points:
        raise UserError(f"the study has no model {model}: choose from {', '.join(points)}")
    runs = begin(study, whole.seeds, whole.compute, Path("runs"))
    known = {str(number + 1): number for number in runs.numbers(model, points[model])}
    wrong = [number for number in numbers if number not in known]
    if wrong:
        raise UserError(f"{model} has no run {wrong[0]}: choose from {', '.join(known)}")
    runs.train(model, points[model], [known[number] for number in numbers] or None)


if __name__ == "__main__":
    sys.exit(tell(lambda: main(sys.argv[1:])))
