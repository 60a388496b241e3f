"""The data sets that can be fetched by name: origin, terms, checksums."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """Part of the catalogue: strict, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Wheel(Entry):
    """A Python package that ships the atomic files in `folder`."""

    requirement: str
    sha256: str
    folder: str


class Archive(Entry):
    """The owner's zip; `layout` is "dat" (MovieLens 1M) or "csv" (MovieLens 20M and later)."""

    url: str
    sha256: str
    layout: Literal["dat", "csv"]


class Dataset(Entry):
    """A data set: what it is, on what terms, where from; `files` maps file names to SHA-256."""

    title: str
    terms: str
    home: str
    wheel: Wheel | None = None
    archive: Archive | None = None
    files: dict[str, str] = {}


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Dataset]:
    """Return every data set by name."""
    entries = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
    return {name: Dataset.model_validate(entry) for name, entry in entries.items()}
