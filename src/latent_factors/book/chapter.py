"""An executed chapter as a page of the book: what a cell shows as Markdown, then its code, to be folded."""

import re

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from latent_factors.pages import Page

SIGNED = re.compile(r"^\| data \| `(?P<data>[^`]+)`, SHA-256 `(?P<hash>\w+)…`", re.MULTILINE)
STYLE = re.compile(r"<style.*?</style>\s*", re.DOTALL)  # of a table; the book has one for all


def for_book(page: Page) -> NotebookNode:
    """Return a chapter as the book shows it: every cell with an anchor, its outputs as Markdown above its code.

    The anchor is `cell-<number of the chapter>-<execution count>`; figures and tables have `figure-<name>` and
    `table-<name>`, a caption, and a line that says what made them.
    """
    made_by = _made_by(page)
    cells: list[NotebookNode] = []
    for cell in page.notebook.cells:
        if cell.cell_type == "markdown":
            cells.append(new_markdown_cell(_links(cell.source), id=cell.id))
        elif cell.cell_type == "code":
            anchor, shown = f"(cell-{page.number}-{cell.execution_count})=", _shown(cell.outputs, made_by)
            if not shown and cells and cells[-1].cell_type == "code":  # one fold for both
                cells[-2].source += f"\n{anchor}"
                cells[-1].source += f"\n\n{cell.source}"
                continue
            cells.append(new_markdown_cell("\n\n".join([anchor, *shown]), id=f"{cell.id}-shown"[:64]))
            cells.append(new_code_cell(cell.source, id=cell.id, metadata={"tags": ["hide-input"]}))
    return new_notebook(cells=cells, metadata=page.notebook.metadata)


def _made_by(page: Page) -> str:
    """Return the line below a figure or table."""
    text = "\n".join(
        output.data["text/markdown"] for cell in page.notebook.cells for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    )
    signed = SIGNED.search(text)
    data = f" · data {signed['data']}, SHA-256 `{signed['hash']}…`" if signed else ""
    return f"{{download}}`notebook <../notebooks/{page.name}.ipynb>` · [parameters](made-{page.number}){data}"


def _shown(outputs: list[NotebookNode], made_by: str) -> list[str]:
    """Return the outputs of a cell as blocks of Markdown, each figure and table with its caption."""
    about = [output.get("metadata", {}) for output in outputs]
    captions = {
        own["caption"]: output.data["text/markdown"] for own, output in zip(about, outputs, strict=True)
        if "caption" in own
    }
    blocks = []
    for own, output in zip(about, outputs, strict=True):
        data = output.get("data", {})
        if "caption" in own:
            continue
        if "figure" in own:
            blocks.append(_figure(own["figure"], own["image/png"]["alt"], captions[own["figure"]], made_by))
        elif "table" in own:
            blocks += _table(own["table"], data["text/html"], captions[own["table"]], made_by)
        elif "text/html" in data:
            blocks.append(_scrolling(data["text/html"], "table"))
        elif "text/markdown" in data:
            blocks.append(_markdown(data["text/markdown"], made_by))
        else:
            text = output.get("text") or data["text/plain"]
            blocks.append(f"```text\n{text.rstrip()}\n```")
    return blocks


def _figure(name: str, alt: str, caption: str, made_by: str) -> str:
    options = [f":name: figure-{name}", f":alt: {' '.join(alt.split())}"]
    return "\n".join([f"````{{figure}} ../figures/{name}.png", *options, "", caption, "", made_by, "````"])


def _table(name: str, html: str, caption: str, made_by: str) -> list[str]:
    return [f"(table-{name})=", caption, _scrolling(html, caption), f"{{.made-by}}\n{made_by}"]


def _scrolling(html: str, title: str) -> str:
    """Return the block of a table that scrolls sideways within itself on a narrow screen."""
    title = re.sub(r"[*`$\"<>&]", "", title)
    table = re.sub(r"\n\s*\n", "\n", STYLE.sub("", html)).replace(' border="1"', "")
    return f'```{{raw}} html\n<div class="table" role="group" aria-label="{title}" tabindex="0">\n{table}\n</div>\n```'


def _markdown(text: str, made_by: str) -> str:
    """Return Markdown that a cell shows; the block that signs the page gets an anchor."""
    if SIGNED.search(text):
        anchor = re.search(r"\((made-\d\d)\)", made_by)[1]
        titled = text.replace("**What made this page**", f"({anchor})=\n\n## What made this page", 1)
        return titled.removeprefix("---\n")
    return _links(text)


def _links(markdown: str) -> str:
    """Point links to the ledger at its page in the book, which has no README."""
    return re.sub(r"\[(\w+)\]\(\.\./README\.md\)", r"\1", markdown).replace("](../claims.md", "](../ledger.md")
