"""A reader's own CSV of ratings becomes a data set; whatever cannot be used is counted, and told with its line."""

import contextlib
import csv
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd

from latent_factors.data.atomic import write_atomic
from latent_factors.errors import UserError, unwritable
from latent_factors.sections import Data

DELIMITERS = ",;\t|"
CELLS, USER, ITEM = "wrong number of cells", "user missing", "item missing"
RATING, TIME, PAIR = "rating is no number", "time unreadable", "pair that comes again"
TITLE = "title of an item that comes again"
REASONS = {"ratings": (CELLS, USER, ITEM, RATING, TIME, PAIR), "titles": (CELLS, ITEM, TITLE)}
LARGEST = 1e30  # as float32 numbers end soon after
LATEST = 1e11  # seconds, in the year 5138; a larger number counts milliseconds


@dataclass(frozen=True)
class Columns:
    """What the reader calls the columns; "" is a time or a title that there is not.

    `title` is a column of the file of titles where there is one, which then has a column `item` too.
    """

    user: str
    item: str
    rating: str
    timestamp: str = ""
    title: str = ""


@dataclass(frozen=True)
class Own:
    """A reader's ratings, as far as they can be used.

    Attributes:
        ratings: columns user, item (text), rating (float) and timestamp (float, seconds; none without times).
        titles: the title of each item that has one.
        bad: a row a line that was not used: `file` (ratings or titles), `line`, `reason`, and the `cell` at fault.
        read: how many rows each file has, its header and blank lines apart.
    """

    ratings: pd.DataFrame
    titles: pd.Series
    bad: pd.DataFrame
    read: dict[str, int]

    def counted(self) -> pd.DataFrame:
        """Return for each file and reason, the vain ones too, how many rows, the first lines and the first cell."""
        rows = {}
        for file in self.read:
            own = self.bad[self.bad["file"] == file]
            for reason in REASONS[file]:
                lines = own[own["reason"] == reason]
                first = ", ".join(map(str, lines["line"].head(3)))
                rows[file, reason] = {
                    "rows": len(lines), "lines": first + ", …" * (len(lines) > 3),
                    "first of them": lines["cell"].iloc[0] if len(lines) else "",
                }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["file", "reason"])


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises UserError when it is missing.
    """
    _present(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _present(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a CSV file")


def read(path: Path, columns: Columns, titles: Path | None = None) -> Own:
    """Read a CSV of ratings, and of titles where one is named.

    The delimiter is the one of DELIMITERS under which the header has all columns named. Cells may be quoted. Times are
    seconds or milliseconds since 1970, or dates as ISO 8601 has them (2004-01-31, 2004-01-31 13:05), taken as UTC
    where they name no zone. Of a pair of user and item that comes again the latest row counts, by time where there
    are times; of two titles of an item the first.

    Raises UserError for a file that is missing, not UTF-8, empty, without a column named, or with an open quote; and
    when no row can be used.
    """
    if titles and not columns.title:
        raise UserError(f"{titles} is to give titles, and no column of it is named; name it as title")
    named = [columns.user, columns.item, columns.rating, columns.timestamp, "" if titles else columns.title]
    table, odd, number = _read(path, dict(zip(("user", "item", "rating", "timestamp", "title"), named, strict=True)))
    good, bad = _sorted_out(table)
    if good.empty:
        most = pd.concat([odd, bad])["reason"].mode()
        why = f", mostly: {most[0]}" if len(most) else ""
        raise UserError(f"{path} has no row that can be used, of {number}{why}; name the right columns or correct it")
    left_out, counts, described = {"ratings": [odd, bad]}, {"ratings": number}, good
    if titles:
        table, odd, counts["titles"] = _read(titles, {"item": columns.item, "title": columns.title})
        described, bad = _first_of_each(table)
        left_out["titles"] = [odd, bad]
    told = pd.concat([part.assign(file=file) for file, parts in left_out.items() for part in parts])
    return Own(
        good.drop(columns=["line", "title"], errors="ignore").reset_index(drop=True),
        _titles(described),
        told.sort_values(["file", "line"], kind="stable").reset_index(drop=True),
        counts,
    )


def write(own: Own, name: str, data: Data, folder: Path) -> Path:
    """Write ratings and titles as the data set `name` in a folder such as data/; return folder/<name>.

    Columns are called as the section `data` of params.yaml has them. The data set appears as a whole, in place of one
    of that name, or not at all.

    Raises UserError for a name that no folder should have, and when the folder cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(f"{name!r} is no name of a data set; take letters, digits, dots and dashes")
    kinds = {"user": "token", "item": "token", "rating": "float", "timestamp": "float"}
    called = {old: getattr(data, old) for old in kinds if old in own.ratings}
    types = {called[old]: kinds[old] for old in called}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as place:
            part = Path(place, name)
            part.mkdir()
            write_atomic(own.ratings.rename(columns=called), types, part / f"{name}.inter")
            if len(own.titles):
                items = own.titles.rename("title").rename_axis(data.item).reset_index()
                write_atomic(items, {data.item: "token", "title": "token_seq"}, part / f"{name}.item")
            shutil.rmtree(folder / name, ignore_errors=True)
            part.rename(folder / name)
    except OSError as error:
        raise UserError(unwritable(error, folder)) from None
    return folder / name


@contextlib.contextmanager
def project(folder: Path) -> Iterator[None]:
    """Within, `folder` is the working folder and the root of a project: data sets are read from its data/."""
    mark = folder / "dvc.yaml"
    mark.touch()
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        mark.unlink()


def _read(path: Path, wanted: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the columns wanted as text, with the line on which each row begins; what is no row; and how many both are.

    `wanted` are the reader's names by ours; "" is not wanted.
    """
    wanted = {own: name for own, name in wanted.items() if name}
    _present(path)
    good, odd = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_delimiter(file.readline(), list(wanted.values()), path), strict=True)
            file.seek(0)
            header = [name.strip() for name in next(reader)]
            cells = itemgetter(*(header.index(name) for name in wanted.values()))
            line = reader.line_num + 1
            for row in reader:
                if len(row) == len(header):
                    good.append((line, *cells(row)))
                elif row:  # a blank line is no row
                    odd.append((line, CELLS, f"{len(row)} of {len(header)}"))
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}, from line {line} on: {error}; close the quote there, or double one within") from None
    table = pd.DataFrame(good, columns=["line", *wanted]).astype(dict.fromkeys(wanted, object))
    for name in wanted:  # tabs and ends of lines have no place in an atomic file
        table[name] = table[name].str.replace(r"\s+", " ", regex=True).str.strip()
    return table, pd.DataFrame(odd, columns=["line", "reason", "cell"]), len(good) + len(odd)


def _delimiter(header: str, names: list[str], path: Path) -> str:
    if not header.strip():
        raise UserError(f"{path} begins with an empty line; give it a header that names the columns")
    found = {delimiter: [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter))]
             for delimiter in DELIMITERS}
    for delimiter, cells in found.items():
        if set(names) <= set(cells):
            return delimiter
    cells = max(found.values(), key=lambda cells: (len(set(names) & set(cells)), len(cells)))
    (missing, *_) = (name for name in names if name not in cells)
    raise UserError(f"{path} has no column {missing}; it has {', '.join(cells)}: name one of them")


def _sorted_out(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return typed ratings, and the rows that are none with the first reason that holds."""
    typed = table.assign(rating=pd.to_numeric(table["rating"], errors="coerce").astype(float))
    faults = {USER: table["user"] == "", ITEM: table["item"] == "", RATING: ~(typed["rating"].abs() < LARGEST)}
    cells = {USER: table["user"], ITEM: table["item"], RATING: table["rating"]}
    if "timestamp" in table:
        typed["timestamp"] = _seconds(table["timestamp"])
        faults[TIME], cells[TIME] = typed["timestamp"].isna(), table["timestamp"]
    sound = ~np.logical_or.reduce(list(faults.values()))
    order = [name for name in ("timestamp", "line") if name in typed]
    last = typed[sound].sort_values(order, kind="stable").drop_duplicates(["user", "item"], keep="last").index
    faults[PAIR] = sound & ~table.index.isin(last)
    cells[PAIR] = table["user"] + ", " + table["item"]
    return typed.loc[np.sort(last)], _told(table["line"], faults, cells)


def _first_of_each(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the first title of each item, and the rows that are none."""
    missing = table["item"] == ""
    faults = {ITEM: missing, TITLE: ~missing & table.duplicated("item")}
    bad = _told(table["line"], faults, {ITEM: table["title"], TITLE: table["item"]})
    return table[~faults[ITEM] & ~faults[TITLE]], bad


def _told(line: pd.Series, faults: dict[str, np.ndarray], cells: dict[str, pd.Series]) -> pd.DataFrame:
    """Return a row a line at fault: its first reason, and the cell."""
    which = np.select([np.asarray(fault) for fault in faults.values()], range(len(faults)), default=-1)
    own = [np.asarray(cells[reason], object) for reason in faults]
    rows = np.flatnonzero(which >= 0)
    return pd.DataFrame({
        "line": line.to_numpy()[rows],
        "reason": np.array(list(faults), object)[which[rows]],
        "cell": np.stack(own)[which[rows], rows] if len(rows) else np.empty(0, object),
    })


def _seconds(cells: pd.Series) -> np.ndarray:
    """Return times (n,) in seconds since 1970, NaN for what is none."""
    seconds = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    seconds = np.where(seconds < LATEST, seconds, seconds / 1000)
    dates = pd.to_datetime(cells.where(np.isnan(seconds)), format="ISO8601", utc=True, errors="coerce")
    since = ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    seconds = np.where(np.isnan(seconds), since, seconds)
    return np.where(np.abs(seconds) < LATEST, seconds, np.nan)


def _titles(table: pd.DataFrame) -> pd.Series:
    """Return the first title that is not empty of each item."""
    if "title" not in table:
        return pd.Series(dtype=object, index=pd.Index([], dtype=object, name="item"), name="title")
    held = table[table["title"] != ""].drop_duplicates("item")
    return held.set_index("item")["title"]
