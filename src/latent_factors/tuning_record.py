"""The record of all trials that tuned the models of a study: reports/tuning/<kind>.csv."""

import json
from pathlib import Path

import pandas as pd

from latent_factors.paths import root

COLUMNS = ("dataset", "name", "model", "trial", "validation", "settings")


def record(kind: str, name: str, dataset: str, tried: dict[str, list[dict]], score: str) -> pd.DataFrame:
    """Put the trials of a study's models in the place of those that the record has of them; return them.

    `tried` holds a row a trial of each model, with its number, its `score` and the settings tried.
    """
    rows = _rows(name, dataset, tried, score)
    path = begun(kind)
    old = pd.read_csv(path)
    old[(old["name"] != name) | ~old["model"].isin(tried)].to_csv(path, index=False)
    _append(path, rows)
    return rows


def begun(kind: str) -> Path:
    """Return the path of a record, begun if there is none."""
    path = where(kind)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns=COLUMNS).to_csv(path, index=False)
    return path


def add(path: Path, name: str, dataset: str, model: str, score: str, row: dict) -> None:
    """Append one trial to the record at a path, in one piece: another process may do so at the same time."""
    _append(path, _rows(name, dataset, {model: [row]}, score))


def _rows(name: str, dataset: str, tried: dict[str, list[dict]], score: str) -> pd.DataFrame:
    return pd.DataFrame([
        {
            "dataset": dataset, "name": name, "model": model, "trial": row["trial"], "validation": row[score],
            "settings": text({key: value for key, value in row.items() if key not in ("trial", score)}),
        }
        for model, own in tried.items() for row in own
    ])


def text(tried: dict) -> str:
    """Return the settings of a trial as the record holds them."""
    return json.dumps(tried)


def _append(path: Path, rows: pd.DataFrame) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(rows.to_csv(index=False, header=False))


def where(kind: str) -> Path:
    """Return the path of a record."""
    return root() / "reports" / "tuning" / f"{kind}.csv"
