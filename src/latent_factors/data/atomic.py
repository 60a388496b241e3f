"""Read and write RecBole's atomic files: tab separated, no quoting, a header of name:type cells.

Types: token, token_seq (values separated by spaces), float, float_seq. An empty cell is a missing value.
"""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from latent_factors.errors import UserError

TYPES = ("token", "token_seq", "float", "float_seq")


def read_atomic(path: Path) -> pd.DataFrame:
    """Read an atomic file into a table with a column a name.

    token and token_seq columns hold strings (missing: None), float columns float64 (missing: NaN),
    float_seq columns strings. The types stand in `table.attrs["types"]`.

    Raises UserError when the file is missing, empty, truncated or malformed, naming the line.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; put the data set's files into {path.parent}")
    header = path.open(encoding="utf-8").readline().rstrip("\r\n")
    types = dict(_column(cell, path) for cell in header.split("\t"))
    try:
        table = pd.read_csv(
            path, sep="\t", names=list(types), header=0, dtype=object, quoting=csv.QUOTE_NONE,
            keep_default_na=False, na_values=[], encoding="utf-8", index_col=False, on_bad_lines="error",
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).removeprefix("Error tokenizing data. C error: ").split())
        raise UserError(f"{path} is malformed ({detail}); fetch or export it again") from None
    short = table.isna().any(axis=1).to_numpy()
    if short.any():
        line = int(short.argmax()) + 2
        raise UserError(f"{path}, line {line}, has fewer than {len(types)} cells; fetch or export it again")
    for name, kind in types.items():
        if kind == "float":
            table[name] = _numbers(table[name], path, name)
        else:
            table[name] = table[name].where(table[name] != "", None)
    table.attrs["types"] = types
    return table


def write_atomic(table: pd.DataFrame, types: dict[str, str], path: Path) -> None:
    """Write a table as an atomic file; `types` names its columns in order and their types.

    A float column of whole numbers is written without decimal points, a missing value as an empty cell.
    """
    cells = table[list(types)].copy()
    for name, kind in types.items():
        if kind == "float" and (cells[name].dropna() % 1 == 0).all():
            cells[name] = cells[name].astype("Int64")
    header = [f"{name}:{kind}" for name, kind in types.items()]
    cells.to_csv(path, sep="\t", index=False, header=header, quoting=csv.QUOTE_NONE, lineterminator="\n")


def _column(cell: str, path: Path) -> tuple[str, str]:
    name, _, kind = cell.rpartition(":")
    if not name or kind not in TYPES:
        raise UserError(f"{path}, line 1: {cell!r} is no name:type with a type of {', '.join(TYPES)}; correct it")
    return name, kind


def _numbers(column: pd.Series, path: Path, name: str) -> np.ndarray:
    numbers = pd.to_numeric(column.where(column != "", None), errors="coerce").to_numpy(np.float64)
    wrong = np.isnan(numbers) & (column != "").to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(f"{path}, line {row + 2}: {name} is {column.iloc[row]!r}, not a number; correct the line")
    return numbers

