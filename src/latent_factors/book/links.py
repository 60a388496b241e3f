"""What is wrong with the links of a built site."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The ids of a page, what it links to, and what it loads."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element's id, and its href or src."""
        named = dict(attrs)
        self.ids |= {named[key] for key in ("id", "name") if named.get(key)}
        own = [named[key] for key in ("href", "src") if named.get(key)]
        self.targets += own
        self.loads += own if tag != "a" else []


def faults(site: Path) -> list[str]:
    """Return a line for each link to a file or an anchor of a site that is not there, and for what another host gives.

    A text may link to another host; scripts, styles and pictures are to lie in the site.
    """
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    lines = []
    for path, page in pages.items():
        own = path.relative_to(site)
        lines += [f"{own}: {target} is loaded from another host" for target in page.loads if urlsplit(target).netloc]
        for target in page.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            there = (path.parent / unquote(url.path)).resolve() if url.path else path
            lost = url.fragment and there in pages and unquote(url.fragment) not in pages[there].ids
            if lost or not there.is_file():
                lines.append(f"{own}: {target} leads nowhere")
    return lines
