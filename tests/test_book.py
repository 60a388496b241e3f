"""The book's parts on made pages, and the whole of it in a browser."""

import functools
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import expect, sync_playwright

from conftest import CHROMIUM
from latent_factors.book.chapter import for_book
from latent_factors.book.ledger import Row, tally
from latent_factors.book.links import faults
from latent_factors.book.mathml import SIDES, SIZED, VARIANT, _letter
from latent_factors.book.repairs import repair
from latent_factors.book.site import STAMP
from latent_factors.claims import Claim
from latent_factors.errors import UserError
from latent_factors.pages import Page, read_pages
from tiny import command

CLAIM = Claim(
    id="made", paper="Made 2026", claim="It is so.", quantity="q", unit="stars", smallest=1.0, rule="exceeds"
)


def shown(**data):
    return new_output("display_data", data={key.replace("_", "/"): value for key, value in data.items()})


def figure(name, alt):
    return new_output(
        "display_data", data={"image/png": "", "text/plain": alt}, metadata={"image/png": {"alt": alt}, "figure": name}
    )


def caption(name, text):
    return new_output("display_data", data={"text/markdown": text}, metadata={"caption": name})


def test_a_cell_shows_its_outputs_with_captions_above_its_folded_code():
    table = '<div>\n<style scoped>\n\n x </style>\n<table border="1">\n\n<tr><td>1</td></tr></table></div>'
    cells = [
        new_markdown_cell("# 20 · Made\n\nOpening [README](../README.md), [ledger](../claims.md)."),
        new_code_cell("a = 1", execution_count=1),
        new_code_cell("b = 2", execution_count=2),
        new_code_cell("draw()", execution_count=3, outputs=[
            figure("20-curve", "A curve"), caption("20-curve", "**Figure 20.1.** A curve"),
            caption("20-facts", "**Table 20.1.** Facts"),
            new_output("display_data", data={"text/html": table, "text/plain": "1"}, metadata={"table": "20-facts"}),
            new_output("stream", text="said\n"),
        ]),
        new_code_cell("sign()", execution_count=4, outputs=[
            shown(text_markdown="---\n**What made this page**\n\n| | |\n|---|---|\n| data | `d`, SHA-256 `ab12…` |"),
        ]),
    ]
    page = Page("20-made", "20 · Made", "", new_notebook(cells=cells))
    first, anchors, code, outputs, draw, signed, _ = for_book(page).cells
    assert first.source.endswith("Opening README, [ledger](../ledger.md).")
    assert anchors.source == "(cell-20-1)=\n(cell-20-2)="
    assert code.source == "a = 1\n\nb = 2"
    assert draw.source == "draw()"
    assert draw.metadata.tags == code.metadata.tags == ["hide-input"]
    made = "{download}`notebook <../notebooks/20-made.ipynb>` · [parameters](made-20) · data d, SHA-256 `ab12…`"
    assert outputs.source == (
        "(cell-20-3)=\n\n"
        "````{figure} ../figures/20-curve.png\n:name: figure-20-curve\n:alt: A curve\n\n"
        f"**Figure 20.1.** A curve\n\n{made}\n````\n\n"
        "(table-20-facts)=\n\n**Table 20.1.** Facts\n\n"
        '```{raw} html\n<div class="table" role="group" aria-label="Table 20.1. Facts" tabindex="0">\n'
        f"<div>\n<table>\n<tr><td>1</td></tr></table></div>\n</div>\n```\n\n{{.made-by}}\n{made}\n\n"
        "```text\nsaid\n```"
    )
    assert "(made-20)=\n\n## What made this page" in signed.source


def test_letters_of_formulas():
    assert VARIANT.sub(_letter, '<mi mathvariant="bold">p</mi>') == '<mi mathvariant="normal">𝐩</mi>'
    assert VARIANT.sub(_letter, '<mi mathvariant="double-struck">R</mi>') == '<mi mathvariant="normal">ℝ</mi>'
    assert VARIANT.sub(_letter, '<mi mathvariant="script">L</mi>') == '<mi mathvariant="normal">ℒ</mi>'
    assert VARIANT.sub(_letter, '<mi mathvariant="bold-italic">&#x003B1;</mi>') == '<mi mathvariant="normal">𝜶</mi>'
    assert SIZED.sub(lambda found: SIDES[found[1]], r"\Bigl( x \bigr) \big| \bigcup") == r"\left( x \right) | \bigcup"


def test_an_interval_is_drawn_to_scale():
    measured = {"task": "rating", "effect": 2.0, "low": 1.0, "high": 4.0, "chapter": "20-made", "cell": 7}
    row = Row(measured, CLAIM, "20 · Made")
    assert 'class="zero" x1="4.0"' in row.drawing
    assert 'class="bound" x1="32.0"' in row.drawing
    assert 'class="range" x1="32.0" x2="116.0"' in row.drawing
    assert 'circle cx="60.0"' in row.drawing
    assert row.link == "chapters/20-made.html#cell-20-7"
    assert tally([{"verdict": "fails"}, {"verdict": "fails"}]) == {"holds": 0, "fails": 2, "undecided": 0}


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here">x</a><a href="#there">x</a><a href="b.html#x">x</a><a href="https://a.org">x</a>'
        '<img src="none.png"><script src="https://cdn.org/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<a id="x" href="a.html">x</a>')
    assert faults(tmp_path) == [
        "a.html: https://cdn.org/x.js is loaded from another host", "a.html: #there leads nowhere",
        "a.html: none.png leads nowhere",
    ]


def test_what_the_theme_leaves_out(tmp_path):
    (tmp_path / "a.html").write_text('<th class="head"></th><th>x</th><pre>y</pre><aside class="sidebar-drawer">')
    repair(tmp_path)
    assert (tmp_path / "a.html").read_text() == (
        '<td></td><th>x</th><pre tabindex="0">y</pre><aside aria-label="book" class="sidebar-drawer">'
    )


def test_no_chapters(tmp_path):
    with pytest.raises(UserError, match="holds no chapter; `dvc repro` runs them"):
        read_pages(tmp_path)


@pytest.fixture(scope="module")
def book(built):
    """The book of the tiny project, as `make repro` built it."""
    return built / "build" / "book"


def test_a_book_is_built_once_and_a_broken_link_leaves_it_standing(clone):
    told = command(clone, "python", "-m", "latent_factors.book")  # it came with the results
    assert told == "The book is up to date: open build/book/index.html\n"
    book = clone / "build/book"
    stamp = (book / STAMP).read_text()
    assert sum(path.stat().st_size for path in book.rglob("*") if path.is_file()) < 30e6
    path = clone / "build/chapters/00-start-here/00-start-here.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source += "\n\n<a href='gone.html'>x</a>"
    nbformat.write(notebook, path)
    told = command(clone, "python", "-m", "latent_factors.book", check=False)
    assert told.splitlines()[-1] == (
        "error: the book was not built: mend in its chapter or template what chapters/00-start-here.html: gone.html"
        " leads nowhere"
    )
    assert (book / STAMP).read_text() == stamp


@pytest.fixture(scope="module")
def served(book):
    """The book's address on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=book))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    quiet = ("background-networking", "component-update", "sync", "quic", "gpu")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-first-run", *(f"--disable-{own}" for own in quiet)]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, served):
    """Open a page of the book; at the end, nothing may have gone wrong or been asked of another host."""
    faults, contexts = [], []

    def open_page(path, width=1200, scheme="light"):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(request.url))
        page.on("request", lambda request: None if request.url.startswith(served) else faults.append(request.url))
        page.goto(f"{served}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def pages(book):
    """Every page; of the cards, which are all of one template, every tenth."""
    found = [path for path in sorted(book.rglob("*.html")) if path.name != "genindex.html"]
    cards = [path for path in found if path.parent.name == "models"]
    return [str(path.relative_to(book)) for path in found if path not in cards or path in cards[::10]]


@pytest.mark.browser
def test_no_page_scrolls_sideways_on_a_phone(visit, book):
    for path in pages(book):
        page = visit(path, width=390)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path


@pytest.mark.browser
def test_the_pages_are_accessible(visit, book):
    """As axe-core judges: alternative texts, contrast, headings, landmarks, the keyboard."""
    contrast = {"runOnly": ["color-contrast"]}
    dark = [path for path in pages(book) if path in ("index.html", "ledger.html", "chapters/20-rating-prediction.html")]
    found = {}
    visits = [(path, "light", {}) for path in pages(book)] + [(path, "dark", contrast) for path in dark]
    for path, scheme, options in visits:
        violations = Axe().run(visit(path, scheme=scheme), options=options).response["violations"]
        if violations:
            found[path, scheme] = [(own["id"], [node["html"][:200] for node in own["nodes"][:3]]) for own in violations]
    assert found == {}


@pytest.mark.browser
def test_the_search_finds_dnis(visit):
    page = visit("index.html")
    page.get_by_role("textbox", name="Search").fill("DNIS")
    page.get_by_role("textbox", name="Search").press("Enter")
    expect(page.locator("#search-results li a").filter(has_text="How many dimensions").first).to_be_visible()


@pytest.mark.browser
def test_the_ledger_filters_sorts_and_leads_to_the_cell(visit):
    page = visit("ledger.html")
    rows = page.locator("#ledger tbody tr:visible")
    whole = rows.count()
    page.get_by_label("task").select_option("rating")
    some = rows.count()
    assert 0 < some < whole
    assert page.locator("#shown").inner_text() == f"{some} of {whole} rows"
    page.get_by_role("button", name="effect").click()
    effects = [float(cell.get_attribute("data-value")) for cell in rows.locator("td.number").all()]
    assert effects == sorted(effects)
    page.get_by_role("button", name="effect").click()
    assert page.locator("th[aria-sort=descending]").count() == 1
    effects = [float(cell.get_attribute("data-value")) for cell in rows.locator("td.number").all()]
    assert effects == sorted(effects, reverse=True)
    rows.first.locator("a").first.click()
    anchor = page.url.partition("#")[2]
    assert re.fullmatch(r"cell-\d\d-\d+", anchor)
    assert page.locator(f"[id={anchor}]").count() == 1


@pytest.mark.browser
def test_dark_mode_switches(visit):
    page = visit("index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):
        seen.add(page.evaluate(background))
        page.locator("button.theme-toggle:visible").first.click()
    assert len(seen) == 2


@pytest.mark.browser
def test_code_is_folded_until_asked_for(visit):
    page = visit("chapters/20-rating-prediction.html")
    code = page.locator("div.cell_input, details .highlight").first
    expect(code).not_to_be_visible()
    page.get_by_text("Show the code").first.click()
    expect(page.locator("details[open] .highlight").first).to_be_visible()
