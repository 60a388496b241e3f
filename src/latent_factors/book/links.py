"""Links of a built site that lead nowhere."""

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


def broken(site: Path) -> list[str]:
    """Return a line for each link of a site's pages to a file or an anchor of the site that is not there."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    lines = []
    for path, page in pages.items():
        for target in page.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            there = (path.parent / unquote(url.path)).resolve() if url.path else path
            lost = url.fragment and there in pages and unquote(url.fragment) not in pages[there].ids
            if lost or not there.is_file():
                lines.append(f"{path.relative_to(site)}: {target}")
    return lines


def loaded(site: Path) -> list[str]:
    """Return a line for each script, style or picture that a site's pages would load from another host."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    return [
        f"{path.relative_to(site)}: {target}" for path, page in pages.items() for target in page.loads
        if urlsplit(target).netloc
    ]
