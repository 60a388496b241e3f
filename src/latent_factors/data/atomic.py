"""Read and write RecBole's atomic files: tab separated, no quoting, a header of name:type cells.

Types: token, token_seq (values separated by spaces), float, float_seq. An empty cell is a missing value.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from latent_factors.errors import UserError

TYPES = ("token", "token_seq", "float", "float_seq")
BLOCK = 2**25  # bytes taken apart at a time; as strings they are twenty times as many


def read_atomic(path: Path) -> pd.DataFrame:
    """Read an atomic file into a table with a column a name.

    float columns hold float64 (missing: NaN), all others strings (missing: None). The types stand in
    `table.attrs["types"]`.

    Raises UserError when the file is missing, empty, truncated or malformed, naming the line.
    """
    table = read_coded(path)
    for name, kind in table.attrs["types"].items():
        if kind != "float":
            codes, tokens = table[name].array.codes, np.append(table[name].array.categories.to_numpy(object), None)
            table[name] = pd.Series(tokens[codes], dtype=object)
    return table


def read_coded(path: Path) -> pd.DataFrame:
    """Read an atomic file as `read_atomic` does, but with categoricals (categories sorted) for strings.

    So a file of tens of millions of lines takes four bytes a cell and the room of its different strings.
    """
    types = read_types(path)
    try:
        with path.open("rb") as file:
            file.readline()
            start = file.tell()
            rows = sum(block.count(b"\n") + (not block.endswith(b"\n")) for block in _blocks(file))
            file.seek(start)
            columns = {name: _Numbers(path, name, rows) if kind == "float" else _Tokens(rows)
                       for name, kind in types.items()}
            row = 0
            for block in _blocks(file):
                _same_width(path, block, row, len(types))
                part = pd.read_csv(
                    io.BytesIO(block), sep="\t", names=list(types), header=None, dtype=object, quoting=csv.QUOTE_NONE,
                    encoding="utf-8", keep_default_na=False, na_values=[], index_col=False, skip_blank_lines=False,
                )
                for name, column in columns.items():
                    column.add(part[name], row)
                row += len(part)
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from None
    table = pd.DataFrame({name: columns.pop(name).whole() for name in types}, copy=False)
    table.attrs["types"] = types
    return table


def read_types(path: Path) -> dict[str, str]:
    """Return the types of the columns of an atomic file, by name.

    Raises UserError when the file is missing, empty or has another header.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; put the data set's files into {path.parent}")
    try:
        with path.open("rb") as file:
            header = file.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from None
    return dict(_column(cell, path) for cell in header.split("\t"))


def tokens(column: pd.Series) -> pd.Categorical:
    """Return a column of `read_coded` with "" for what is missing, and no category that no row has."""
    held = column.array.remove_unused_categories()
    if (held.codes >= 0).all():
        return held
    return pd.Categorical.from_codes(held.codes + 1, held.categories.insert(0, ""))  # nothing sorts before ""


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


def _no_text(path: Path, error: UnicodeDecodeError) -> UserError:
    return UserError(f"{path} is no UTF-8 text ({error.reason}); fetch or export it again")


def _column(cell: str, path: Path) -> tuple[str, str]:
    name, _, kind = cell.rpartition(":")
    if not name or kind not in TYPES:
        raise UserError(f"{path}, line 1: {cell!r} is no name:type with a type of {', '.join(TYPES)}; correct it")
    return name, kind


def _blocks(file: io.BufferedReader) -> Iterator[bytes]:
    """Yield whole lines, some at a time."""
    while block := file.read(BLOCK) + file.readline():
        yield block


def _same_width(path: Path, block: bytes, row: int, width: int) -> None:
    content = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(content == ord("\n"))
    if content[-1] != ord("\n"):
        ends = np.append(ends, len(content))
    cells = np.diff(np.searchsorted(np.flatnonzero(content == ord("\t")), ends), prepend=0) + 1
    wrong = cells != width
    if wrong.any():
        first = int(wrong.argmax())
        raise UserError(
            f"{path}, line {row + first + 2}, has {cells[first]} of {width} cells; the file is cut short or malformed,"
            " fetch or export it again"
        )


class _Numbers:
    """A float column of n rows, taken in block by block."""

    def __init__(self, path: Path, name: str, rows: int):
        self.path, self.name, self.numbers = path, name, np.empty(rows)

    def add(self, column: pd.Series, start: int) -> None:
        numbers = pd.to_numeric(column.where(column != "", None), errors="coerce").to_numpy(np.float64)
        wrong = np.isnan(numbers) & (column != "").to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            cell = f"line {start + row + 2}: {self.name} is {column.iloc[row]!r}"
            raise UserError(f"{self.path}, {cell}, not a number; correct the line")
        self.numbers[start : start + len(numbers)] = numbers

    def whole(self) -> np.ndarray:
        return self.numbers


class _Tokens:
    """A column of n strings, taken in block by block; each different one has a code, in the order of appearance."""

    def __init__(self, rows: int):
        self.known: dict[str, int] = {}
        self.codes = np.empty(rows, np.int32)

    def add(self, column: pd.Series, start: int) -> None:
        codes, different = pd.factorize(column)
        own = [self.known.setdefault(token, len(self.known)) for token in different]
        self.codes[start : start + len(codes)] = np.array(own, np.int32)[codes]

    def whole(self) -> pd.Categorical:
        missing = self.known.get("")
        ordered = sorted(token for token in self.known if token)
        rank = np.empty(len(self.known), np.int32)
        rank[[self.known[token] for token in ordered]] = np.arange(len(ordered))
        if missing is not None:
            rank[missing] = -1
        return pd.Categorical.from_codes(rank[self.codes], pd.Index(ordered, dtype=object))


def _whole(numbers: pd.Series) -> bool:
    return bool(((numbers % 1 == 0) & (numbers.abs() < 2**53)).all())
