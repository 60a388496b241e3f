"""The ledger as a page: a row a claim, its interval drawn, to be sorted and filtered."""

from dataclasses import dataclass

from latent_factors.claims import Claim
from latent_factors.pages import Page

WIDTH, HEIGHT, MARGIN = 120, 18, 4  # of a drawn interval, in pixels


@dataclass(frozen=True)
class Row:
    """A measured claim as the page shows it; `measured` is its row of claims.json."""

    measured: dict
    claim: Claim
    chapter: str

    @property
    def unit(self) -> str:
        """The unit of the effect."""
        return self.claim.measure(self.measured["task"])

    @property
    def bound(self) -> float:
        """The smallest effect that counts."""
        return self.claim.bound(self.measured["task"])

    @property
    def link(self) -> str:
        """The address of the cell that computed it, from the ledger's page."""
        name, cell = self.measured["chapter"], self.measured.get("cell")
        return f"chapters/{name}.html" + (f"#cell-{name[:2]}-{cell}" if cell else "")

    @property
    def drawing(self) -> str:
        """The interval as an SVG: a line from low to high with a dot at the effect, 0, and the bound dashed."""
        effect, low, high = (self.measured[key] for key in ("effect", "low", "high"))
        ends = [low, high, self.bound, 0.0]
        start, span = min(ends), (max(ends) - min(ends)) or 1.0

        def x(value: float) -> float:
            return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - start) / span, 1)

        words = f"{effect:+.4f}, interval {low:+.4f} to {high:+.4f}, bound {self.bound:g} {self.unit}"
        middle = HEIGHT / 2
        return (
            f'<svg class="interval" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{words}">'
            f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="1" y2="{HEIGHT - 1}"/>'
            f'<line class="bound" x1="{x(self.bound)}" x2="{x(self.bound)}" y1="1" y2="{HEIGHT - 1}"/>'
            f'<line class="range" x1="{x(low)}" x2="{x(high)}" y1="{middle}" y2="{middle}"/>'
            f'<circle cx="{x(effect)}" cy="{middle}" r="3.5"/></svg>'
        )


def rows(measured: list[dict], claims: dict[str, Claim], pages: list[Page]) -> list[Row]:
    """Return the rows of claims.json with the claims they measure and their chapters' titles."""
    titles = {page.name: page.title for page in pages}
    return [Row(own, claims[own["id"]], titles[own["chapter"]]) for own in measured]


def choices(measured: list[dict]) -> dict[str, list[str]]:
    """Return what the page's filters offer: the values of each, in the order of their first row."""
    names = ("paper", "task", "dataset", "verdict")
    return {name: list(dict.fromkeys(row[name] for row in measured)) for name in names}


def tally(measured: list[dict]) -> dict[str, int]:
    """Return how many rows hold, fail and are undecided."""
    verdicts = [row["verdict"] for row in measured]
    return {verdict: verdicts.count(verdict) for verdict in ("holds", "fails", "undecided")}
