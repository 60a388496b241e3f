"""What Sphinx builds the book from: chapters, ledger and first page as MyST Markdown and notebooks."""

import json
import shutil
from pathlib import Path

import nbformat
from jinja2 import Environment, PackageLoader, StrictUndefined

from latent_factors.book.chapter import for_book
from latent_factors.book.ledger import choices, rows, tally
from latent_factors.claims import load_claims
from latent_factors.pages import COVER, read_pages


def write_source(project: Path, source: Path) -> None:
    """Write what Sphinx builds the book from into a new folder.

    Raises UserError when there is no executed chapter.
    """
    pages = read_pages(project / "build" / "chapters")
    for name in ("chapters", "notebooks", "figures"):
        (source / name).mkdir(parents=True)
    for page in pages:
        folder = project / "build" / "chapters" / page.name
        nbformat.write(for_book(page), source / "chapters" / f"{page.name}.ipynb")
        shutil.copyfile(folder / f"{page.name}.ipynb", source / "notebooks" / f"{page.name}.ipynb")
        for figure in sorted((folder / "figures").glob("*.png")):
            shutil.copyfile(figure, source / "figures" / figure.name)
    measured = json.loads((project / "reports" / "claims.json").read_text(encoding="utf-8"))
    claims = load_claims(project / "notebooks" / "claims.yaml")
    for name in ("claims.json", "metrics.json"):
        shutil.copyfile(project / "reports" / name, source / name)
    templates = Environment(
        loader=PackageLoader("latent_factors", "templates/book"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )
    shared = {
        "pages": pages, "rows": rows(measured, claims, pages), "choices": choices(measured), "tally": tally(measured),
        "claims": claims, "cover": COVER if (source / "figures" / f"{COVER}.png").is_file() else None,
    }
    for name in ("index", "ledger"):
        (source / f"{name}.md").write_text(templates.get_template(f"{name}.md.j2").render(**shared), encoding="utf-8")
