"""Publish executed chapters, figures, metrics and the ledger to reports/, where they stand in Git for a code host.

    python -m latent_factors.publish

chapters/<name>.ipynb, figures/<name>.png and .svg, metrics.json and README.md. The same as a site is the book:
`make book`.
"""

import json
import shutil
import sys
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from latent_factors.errors import tell
from latent_factors.pages import COVER, read_pages
from latent_factors.paths import root


def publish(chapters: Path, reports: Path) -> None:
    """Write what the executed chapters below `chapters` made into `reports`.

    Raises UserError when there are none.
    """
    pages = read_pages(chapters)
    for name in ("chapters", "figures"):
        shutil.rmtree(reports / name, ignore_errors=True)
        (reports / name).mkdir(parents=True)
    metrics = []
    for page in pages:
        folder = chapters / page.name
        shutil.copyfile(folder / f"{page.name}.ipynb", reports / "chapters" / f"{page.name}.ipynb")
        for figure in sorted((folder / "figures").iterdir()):
            shutil.copyfile(figure, reports / "figures" / figure.name)
        metrics += json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    _write(reports / "metrics.json", json.dumps(metrics, indent=1))
    template = Environment(
        loader=PackageLoader("latent_factors", "templates"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    ).get_template("README.md.j2")
    claims = json.loads((reports / "claims.json").read_text(encoding="utf-8"))
    cover = COVER if (reports / "figures" / f"{COVER}.png").is_file() else None
    _write(reports / "README.md", template.render(pages=pages, claims=claims, cover=cover))


def _write(path: Path, text: str) -> None:
    path.write_text("\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n", encoding="utf-8")


def main() -> None:
    """Publish this project."""
    publish(root() / "build" / "chapters", root() / "reports")


if __name__ == "__main__":
    sys.exit(tell(main))
