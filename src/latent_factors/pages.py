"""Executed chapters, as those read them who publish them."""

from dataclasses import dataclass
from pathlib import Path

import nbformat

from latent_factors.errors import UserError

COVER = "20-uniform-dimension-curve"  # the figure on the first page


@dataclass(frozen=True)
class Page:
    """An executed chapter: its name, heading and first paragraph, and the notebook."""

    name: str
    title: str
    opening: str
    notebook: nbformat.NotebookNode

    @property
    def number(self) -> str:
        """The two digits that its name begins with."""
        return self.name[:2]


def read_page(path: Path) -> Page:
    """Read an executed chapter."""
    notebook = nbformat.read(path, as_version=4)
    heading, _, rest = notebook.cells[0].source.partition("\n")
    paragraphs = rest.strip().split("\n\n")
    return Page(path.stem, heading.lstrip("# "), " ".join(paragraphs[0].split()), notebook)


def read_pages(chapters: Path) -> list[Page]:
    """Read all executed chapters below a folder, in reading order.

    Raises UserError when there are none.
    """
    folders = sorted(path for path in chapters.glob("*") if path.is_dir())
    if not folders:
        raise UserError(f"{chapters} holds no chapter; `dvc repro` runs them")
    return [read_page(folder / f"{folder.name}.ipynb") for folder in folders]
