"""Turn the owner's MovieLens archives into atomic files."""

import zipfile
from pathlib import Path

import pandas as pd

from latent_factors.data.atomic import write_atomic
from latent_factors.errors import UserError

INTER = {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float"}
FLOATS = {"rating": float, "timestamp": float}
ITEM = {"item_id": "token", "movie_title": "token_seq", "release_year": "token", "class": "token_seq"}
USER = {"user_id": "token", "gender": "token", "age": "token", "occupation": "token", "zip_code": "token"}


def convert(archive: Path, layout: str, name: str, folder: Path) -> None:
    """Write the atomic files of a MovieLens zip into `folder`.

    `layout` "dat" is that of MovieLens 1M (`::` between cells, Latin-1), "csv" that of 20M and later.

    Raises UserError when the zip lacks a file.
    """
    with zipfile.ZipFile(archive) as files:
        try:
            if layout == "dat":
                ratings = _dat(files, f"{name}/ratings.dat", list(INTER)).astype(FLOATS)
                write_atomic(ratings, INTER, folder / f"{name}.inter")
                write_atomic(_dat(files, f"{name}/users.dat", list(USER)), USER, folder / f"{name}.user")
                films = _dat(files, f"{name}/movies.dat", ["item_id", "movie_title", "class"])
            else:
                ratings = pd.read_csv(files.open(f"{name}/ratings.csv"), dtype={"rating": float})
                write_atomic(ratings.set_axis(list(INTER), axis=1), INTER, folder / f"{name}.inter")
                films = pd.read_csv(files.open(f"{name}/movies.csv"), dtype=str)
                films = films.set_axis(["item_id", "movie_title", "class"], axis=1)
        except KeyError as error:
            raise UserError(f"{archive.name} lacks a file ({error.args[0]}); fetch it again") from None
    write_atomic(_described(films), ITEM, folder / f"{name}.item")


def _dat(files: zipfile.ZipFile, member: str, columns: list[str]) -> pd.DataFrame:
    lines = files.read(member).decode("latin-1").splitlines()
    return pd.DataFrame([line.split("::") for line in lines], columns=columns)


def _described(films: pd.DataFrame) -> pd.DataFrame:
    title = films["movie_title"].str.strip().str.extract(r"^(?P<title>.*?)(?:\s*\((?P<year>\d{4})\))?$")
    genres = films["class"].where(films["class"] != "(no genres listed)")
    return pd.DataFrame({
        "item_id": films["item_id"],
        "movie_title": title["title"].str.replace('"', "'").str.replace("\t", " "),
        "release_year": title["year"],
        "class": genres.str.replace("|", " "),
    })
