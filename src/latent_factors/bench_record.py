"""Rows of reports/bench.json that commands of their own measure, as they take hours or are measured seldom."""

import json
from collections.abc import Collection
from pathlib import Path

from latent_factors.paths import root


def kept(names: Collection[str]) -> list[dict]:
    """Return the rows of these names that reports/bench.json holds."""
    return [row for row in _written()["results"] if row["name"] in names]


def put(names: Collection[str], rows: list[dict]) -> None:
    """Put rows in the place of those of these names, to four digits, and print a line each."""
    rows = [{**row, "value": round(row["value"], 4)} for row in rows]
    written = _written()
    written["results"] = [row for row in written["results"] if row["name"] not in names] + rows
    _path().write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['value']:9.3f} {row['unit']:6} {row['what']}")


def _written() -> dict:
    return json.loads(_path().read_text(encoding="utf-8")) if _path().is_file() else {"results": []}


def _path() -> Path:
    return root() / "reports" / "bench.json"
