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
    try:
        with path.open(encoding="utf-8") as file:
            types = dict(_column(cell, path) for cell in file.readline().rstrip("\r\n").split("\t"))
        _same_width(path, len(types))
        table = pd.read_csv(
            path, sep="\t", names=list(types), header=0, dtype=object, quoting=csv.QUOTE_NONE, encoding="utf-8",
            keep_default_na=False, na_values=[], index_col=False, skip_blank_lines=False,
        )
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text ({error.reason}); fetch or export it again") from None
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
        if kind == "float" and _whole(cells[name].dropna()):
            cells[name] = cells[name].astype("Int64")
    header = [f"{name}:{kind}" for name, kind in types.items()]
    cells.to_csv(path, sep="\t", index=False, header=header, quoting=csv.QUOTE_NONE, lineterminator="\n")


def _column(cell: str, path: Path) -> tuple[str, str]:
    name, _, kind = cell.rpartition(":")
    if not name or kind not in TYPES:
        raise UserError(f"{path}, line 1: {cell!r} is no name:type with a type of {', '.join(TYPES)}; correct it")
    return name, kind


def _same_width(path: Path, width: int) -> None:
    content = np.fromfile(path, np.uint8)
    ends = np.flatnonzero(content == ord("\n"))
    if content[-1] != ord("\n"):
        ends = np.append(ends, len(content))
    cells = np.diff(np.searchsorted(np.flatnonzero(content == ord("\t")), ends), prepend=0) + 1
    wrong = cells != width
    if wrong.any():
        line = int(wrong.argmax())
        raise UserError(
            f"{path}, line {line + 1}, has {cells[line]} of {width} cells; the file is cut short or malformed, fetch or"
            " export it again"
        )


def _numbers(column: pd.Series, path: Path, name: str) -> np.ndarray:
    numbers = pd.to_numeric(column.where(column != "", None), errors="coerce").to_numpy(np.float64)
    wrong = np.isnan(numbers) & (column != "").to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(f"{path}, line {row + 2}: {name} is {column.iloc[row]!r}, not a number; correct the line")
    return numbers


def _whole(numbers: pd.Series) -> bool:
    return bool(((numbers % 1 == 0) & (numbers.abs() < 2**53)).all())
