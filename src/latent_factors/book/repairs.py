"""What Sphinx and the theme leave out for readers who hear a page or have no mouse."""

import re
from pathlib import Path

REPAIRS = (
    ('class="caption" role="heading"', 'class="caption" role="heading" aria-level="2"'),
    ('<aside class="sidebar-drawer"', '<aside aria-label="book" class="sidebar-drawer"'),
    ('<aside class="toc-drawer', '<aside aria-label="page" class="toc-drawer'),
    ('<div id="search-results">', '<h1>Search</h1>\n<div id="search-results">'),
    ("<pre>", '<pre tabindex="0">'),  # a long line scrolls
)
CORNER = re.compile(r"<th\b[^>]*>(?:<p></p>)?</th>")  # a cell that heads nothing is no header


def repair(site: Path) -> None:
    """Mend all pages of a built site in place."""
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for found, mended in REPAIRS:
            text = text.replace(found, mended)
        path.write_text(CORNER.sub("<td></td>", text), encoding="utf-8")
