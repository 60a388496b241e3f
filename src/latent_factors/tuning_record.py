"""The record of all trials that tuned the models of a study: reports/tuning/<kind>.csv."""

import json
from pathlib import Path

import pandas as pd

from latent_factors.paths import root


def record(kind: str, name: str, dataset: str, tried: dict[str, list[dict]], score: str) -> pd.DataFrame:
    """Put the trials of a study's models in the place of those that the record has of them; return them.

    `tried` holds a row a trial of each model, with its number, its `score` and the settings tried.
    """
    rows = pd.DataFrame([
        {
            "dataset": dataset, "name": name, "model": model, "trial": row["trial"], "validation": row[score],
            "settings": json.dumps({key: value for key, value in row.items() if key not in ("trial", score)}),
        }
        for model, own in tried.items() for row in own
    ])
    path = where(kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    old = pd.read_csv(path) if path.is_file() else rows[:0]
    others = old[(old["name"] != name) | ~old["model"].isin(list(tried))]
    pd.concat([others, rows], ignore_index=True).to_csv(path, index=False)
    return rows


def where(kind: str) -> Path:
    """Return the path of a record."""
    return root() / "reports" / "tuning" / f"{kind}.csv"
