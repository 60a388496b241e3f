"""Published numbers beside ours: read from notebooks/published.yaml, judged by one rule."""

import json
from pathlib import Path

import pandas as pd
from pydantic import Field
from ruamel.yaml import YAML

from latent_factors.errors import UserError
from latent_factors.paths import root
from latent_factors.sections import Rate, Section
from latent_factors.settings import parse


class Table(Section):
    """What a paper printed: metrics by model.

    `study` names what was measured here, a file of reports/replications. A number agrees when ours differs from it by
    at most `tolerance`, relative to it. `differences` says what of the protocol is not the paper's. `others` are rows
    of the same table whose models are not here.
    """

    paper: str
    study: str
    tolerance: Rate
    differences: str
    values: dict[str, dict[str, float]]
    others: dict[str, dict[str, float]] = Field(default_factory=dict)


def load_published(path: Path | None = None) -> list[Table]:
    """Read notebooks/published.yaml.

    Raises UserError for a malformed table.
    """
    path = path or root() / "notebooks" / "published.yaml"
    entries = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return [parse(Table, entry, f"{path.name}, table {number}") for number, entry in enumerate(entries, 1)]


def read_study(table: Table) -> dict:
    """Return what was measured for a table.

    Raises UserError when it is not there.
    """
    path = root() / "reports" / "replications" / f"{table.study}.json"
    if not path.is_file():
        raise UserError(f"published.yaml names the study {table.study}, and {path} is missing; run it or drop it")
    return json.loads(path.read_text(encoding="utf-8"))


def beside(table: Table, study: dict) -> pd.DataFrame:
    """Return a row a published number: model, metric, published, mean, low, high, difference (relative), verdict, runs.

    Raises UserError for a published number that was not measured.
    """
    rows = {row["model"]: row.get("metrics", row) for row in study["models"]}
    runs = {row["model"]: row.get("runs", study["seeds"]) for row in study["models"]}
    found = []
    for model, numbers in table.values.items():
        for metric, value in numbers.items():
            own = rows.get(model, {}).get(metric)
            if own is None:
                raise UserError(f"published.yaml, {table.study}: {metric} of {model} was not measured; drop the number")
            difference = own["mean"] / value - 1
            found.append({
                "model": model, "metric": metric, "published": value, **own, "difference": difference,
                "verdict": verdict(difference, table.tolerance), "runs": runs[model],
            })
    return pd.DataFrame(found)


def swaps(study: dict) -> list[tuple[str, str]]:
    """Return the pairs of models of which the first is ahead on the validation part, and behind on the test part.

    By ndcg at the study's first cutoff, the means over users and runs.
    """
    reached = {
        row["model"]: (row["validation"], row["metrics"][f"ndcg@{study['cutoff']}"]["mean"]) for row in study["models"]
    }
    return [
        (one, other) for one, (validation, test) in reached.items() for other, (theirs, later) in reached.items()
        if validation > theirs and test < later
    ]


def verdict(difference: float, tolerance: float) -> str:
    """Say whether a relative difference lies within a tolerance, above or below."""
    if abs(difference) <= tolerance:
        return "agrees"
    return "larger" if difference > 0 else "smaller"
