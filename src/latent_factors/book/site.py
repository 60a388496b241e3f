"""Build the book with Sphinx, from what the pipeline made."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from latent_factors.book.links import faults
from latent_factors.book.repairs import repair
from latent_factors.errors import UserError
from latent_factors.paths import root

STAMP = ".made-of"  # in the built site: the hash of all it was made of
TEMPLATES = Path(__file__).parent.parent / "templates" / "book"

def build(site: Path) -> bool:
    """Build this project's book into the folder `site`; return False where it stands there already.

    A site that cannot be built leaves the one before it in place.

    Raises UserError when there is no executed chapter, and when a link leads nowhere.
    """
    made_of = fingerprint()
    if (site / STAMP).is_file() and (site / STAMP).read_text() == made_of:
        return False
    from latent_factors.book.source import write_source  # a book that stands needs none of what it imports

    print("building the book", flush=True)
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent) as folder:
        source, pages = Path(folder) / "source", Path(folder) / "pages"
        write_source(source)
        _sphinx(source, pages, Path(folder) / "doctrees")
        repair(pages)
        wrong = faults(pages)
        if wrong:
            raise UserError(f"the book was not built: mend in its chapter or template what {'; '.join(wrong[:5])}")
        (pages / STAMP).write_text(made_of)
        shutil.rmtree(site, ignore_errors=True)
        pages.rename(site)
    return True


def fingerprint() -> str:
    """Return a hash over everything that the book is made of, this code and the versions of Sphinx included."""
    digest = hashlib.sha256()
    for path in _ingredients():
        digest.update(f"\n{path.relative_to(root())} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _ingredients() -> Iterator[Path]:
    patterns = (
        "requirements.lock", "notebooks/claims.yaml", "notebooks/experiments.*", "build/chapters/*/*.ipynb",
        "build/chapters/*/figures/*.png", "build/train/*/run.json", "build/times/train/*.json", "reports/claims.json",
        "reports/metrics.json", "reports/experiments/*.png", "src/latent_factors/**/*.py",
        "src/latent_factors/templates/**/*.*",
    )
    for pattern in patterns:
        yield from sorted(root().glob(pattern))


def _sphinx(source: Path, pages: Path, doctrees: Path) -> None:
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError

    try:
        app = Sphinx(
            source, TEMPLATES, pages, doctrees, "html", status=None, warning=sys.stderr, warningiserror=True
        )
        app.build()
    except SphinxError as error:
        raise UserError(f"the book was not built: {error}") from None
    if app.statuscode:
        raise UserError("the book was not built: mend what the warnings above name, then `make book`")


def main() -> None:
    """Build this project's book and say where it stands."""
    site = root() / "build" / "book"
    made = build(site)
    print(f"The book {'was built' if made else 'is up to date'}: open build/book/index.html")
