"""Publish executed chapters, figures, metrics and the ledger to reports/, where they stand in Git.

    python -m latent_factors.publish

chapters/<name>.ipynb and .html, figures/<name>.png and .svg, metrics.json, README.md (for a code host),
index.html and style.css (for a browser). The pages need no network: formulas are MathML.
"""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert as mathml
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from latent_factors.errors import UserError, tell
from latent_factors.paths import root

# nbconvert's plain cells, with the code folded away
CELLS = """{% extends "basic/index.html.j2" %}
{% block input_group %}<details><summary>code</summary>{{ super() }}</details>{% endblock %}"""
COVER = "20-uniform-dimension-curve"  # the figure on the first page


@dataclass(frozen=True)
class Page:
    """An executed chapter: its name, heading and first paragraph, and the notebook."""

    name: str
    title: str
    opening: str
    notebook: nbformat.NotebookNode


class _Renderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML and links to chapters' pages."""

    def block_math(self, body: str) -> str:
        return mathml(body, display="block")

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, re.sub(r"^(\d\d-[\w-]+)\.ipynb", r"\1.html", url), title)


def read_page(path: Path) -> Page:
    """Read an executed chapter."""
    notebook = nbformat.read(path, as_version=4)
    heading, _, rest = notebook.cells[0].source.partition("\n")
    paragraphs = rest.strip().split("\n\n")
    return Page(path.stem, heading.lstrip("# "), " ".join(paragraphs[0].split()), notebook)


def to_html(markdown: str) -> str:
    """Return Markdown as HTML."""
    return MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True)).render(markdown)


def body(page: Page) -> str:
    """Return a chapter as HTML, its figures as links to figures/."""
    notebook = page.notebook.copy()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            figure = output.get("metadata", {}).get("figure")
            if figure:
                output.metadata["filenames"] = {"image/png": f"../figures/{figure}.png"}
    exporter = HTMLExporter(raw_template=CELLS, filters={"markdown2html": to_html})
    return exporter.from_notebook_node(notebook)[0]


def publish(chapters: Path, reports: Path) -> None:
    """Write the pages of all executed chapters below `chapters` into `reports`.

    Raises UserError when there are none.
    """
    folders = sorted(path for path in chapters.glob("*") if path.is_dir())
    if not folders:
        raise UserError(f"{chapters} holds no chapter; `dvc repro` runs them")
    pages = [read_page(folder / f"{folder.name}.ipynb") for folder in folders]
    for name in ("chapters", "figures"):
        shutil.rmtree(reports / name, ignore_errors=True)
        (reports / name).mkdir(parents=True)
    metrics = []
    for folder, page in zip(folders, pages, strict=True):
        shutil.copyfile(folder / f"{page.name}.ipynb", reports / "chapters" / f"{page.name}.ipynb")
        for figure in sorted((folder / "figures").iterdir()):
            shutil.copyfile(figure, reports / "figures" / figure.name)
        metrics += json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    _write(reports / "metrics.json", json.dumps(metrics, indent=1))

    claims = json.loads((reports / "claims.json").read_text(encoding="utf-8"))
    templates = Environment(
        loader=PackageLoader("latent_factors", "templates"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )
    shared = {
        "pages": pages, "claims": claims, "cover": COVER if (reports / "figures" / f"{COVER}.png").is_file() else None,
    }
    style = templates.get_template("style.css").render() + HtmlFormatter().get_style_defs(".highlight")
    _write(reports / "style.css", style)
    chapter = templates.get_template("chapter.html.j2")
    for number, page in enumerate(pages):
        _write(reports / "chapters" / f"{page.name}.html", chapter.render(
            **shared, page=page, body=body(page), up="../",
            before=pages[number - 1] if number else None, after=pages[number + 1] if number + 1 < len(pages) else None,
        ))
    _write(reports / "index.html", templates.get_template("index.html.j2").render(**shared, up="", html=to_html))
    _write(reports / "README.md", templates.get_template("README.md.j2").render(**shared))


def _write(path: Path, text: str) -> None:
    path.write_text("\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n", encoding="utf-8")


def main() -> None:
    """Publish and say what to open."""
    publish(root() / "build" / "chapters", root() / "reports")
    print("published: open reports/index.html")


if __name__ == "__main__":
    sys.exit(tell(main))
