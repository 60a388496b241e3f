"""What Sphinx builds the book from: chapters, ledger and first page as MyST Markdown and notebooks."""

import json
import shutil
from pathlib import Path

import nbformat
from jinja2 import Environment, PackageLoader, StrictUndefined

from latent_factors import cards
from latent_factors.book.chapter import for_book
from latent_factors.book.ledger import choices, rows, tally
from latent_factors.claims import load_claims
from latent_factors.pages import COVER, read_pages
from latent_factors.paths import root


def write_source(source: Path) -> None:
    """Write what Sphinx builds this project's book from into a new folder.

    Raises UserError when there is no executed chapter, or no trained model.
    """
    built, reports = root() / "build", root() / "reports"
    pages = read_pages(built / "chapters")
    for name in ("chapters", "notebooks", "figures"):
        (source / name).mkdir(parents=True)
    for page in pages:
        folder = built / "chapters" / page.name
        nbformat.write(for_book(page), source / "chapters" / f"{page.name}.ipynb")
        shutil.copyfile(folder / f"{page.name}.ipynb", source / "notebooks" / f"{page.name}.ipynb")
        for figure in sorted((folder / "figures").glob("*.png")):
            shutil.copyfile(figure, source / "figures" / figure.name)
    _write_guide(source)
    cards.write(source / "models")
    for name in ("claims.json", "metrics.json"):
        shutil.copyfile(reports / name, source / name)
    measured, claims = json.loads((reports / "claims.json").read_text(encoding="utf-8")), load_claims()
    shown = {
        "pages": pages, "rows": rows(measured, claims, pages), "choices": choices(measured), "tally": tally(measured),
        "claims": claims, "cover": COVER if (source / "figures" / f"{COVER}.png").is_file() else None,
    }
    templates = Environment(
        loader=PackageLoader("latent_factors", "templates/book"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )
    for name in ("index", "ledger"):
        (source / f"{name}.md").write_text(templates.get_template(f"{name}.md.j2").render(**shown), encoding="utf-8")


def _write_guide(source: Path) -> None:
    """Write the guide to experiments; its notebook, which is stored without outputs, is there to be taken."""
    folder = source / "guide"
    folder.mkdir()
    text = (root() / "notebooks" / "experiments.md").read_text(encoding="utf-8")
    text = text.replace("[`experiments.ipynb`](experiments.ipynb)", "{download}`experiments.ipynb`")
    (folder / "experiments.md").write_text(text, encoding="utf-8")
    shutil.copyfile(root() / "notebooks" / "experiments.ipynb", folder / "experiments.ipynb")
    shutil.copytree(root() / "reports" / "experiments", source / "reports" / "experiments")
