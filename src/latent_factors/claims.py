"""Claims: stated in notebooks/claims.yaml before they are measured, decided here, listed in the ledger.

    python -m latent_factors.claims    collects what the chapters measured into reports/claims.json and claims.md
"""

import json
import sys
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML

from latent_factors.errors import UserError, tell
from latent_factors.paths import root
from latent_factors.sections import Section
from latent_factors.settings import TASKS, parse

Verdict = Literal["holds", "fails", "undecided"]
SIGNIFICANT = 0.05  # of p-values corrected for the number of claims they were measured with


class Claim(Section):
    """A claim as stated: what is measured and what decides.

    `smallest` is the smallest effect that counts, in `unit`; both may differ from task to task. The effect is signed so
    that more of it supports the claim. A negative `smallest` states that something is no worse than by so much.
    """

    id: str
    paper: str
    claim: str
    quantity: str
    unit: str | dict[str, str]
    smallest: float | dict[str, float]
    rule: Literal["exceeds", "exceeds-corrected"]

    def bound(self, task: str) -> float:
        """Return the smallest effect that counts for a task (its name up to an underscore)."""
        return self.smallest if isinstance(self.smallest, float) else self.smallest[task.split("_")[0]]

    def measure(self, task: str) -> str:
        """Return the unit for a task."""
        return self.unit if isinstance(self.unit, str) else self.unit[task.split("_")[0]]

    def wording(self, task: str) -> str:
        """Return the decision rule in words."""
        return self._rule(f"{self.bound(task):g} {self.measure(task)}")

    @property
    def anywhere(self) -> str:
        """The decision rule in words for all tasks."""
        if isinstance(self.smallest, float):
            return self.wording("")
        return self._rule(", ".join(f"{self.bound(task):g} {self.measure(task)} ({task})" for task in self.smallest))

    def _rule(self, bound: str) -> str:
        sure = f" with a corrected p-value of at most {SIGNIFICANT:g}" if self.rule == "exceeds-corrected" else ""
        return f"holds if the whole interval is above {bound}{sure}, fails if none of it is{sure}, else undecided"


def decide(claim: Claim, task: str, low: float, high: float, p: float | None = None) -> Verdict:
    """Return the verdict for an effect with the interval [low, high], and the p-value that its rule may ask for.

    Raises UserError when the interval is no interval, or the p-value is missing.
    """
    if not low <= high:
        raise UserError(f"claim {claim.id}: [{low}, {high}] is no interval; hand in low ≤ high, both finite")
    if claim.rule == "exceeds-corrected":
        if p is None:
            raise UserError(f"claim {claim.id}: its rule asks for a corrected p-value; hand one in")
        if p > SIGNIFICANT:
            return "undecided"
    if low > claim.bound(task):
        return "holds"
    return "fails" if high <= claim.bound(task) else "undecided"


def load_claims(path: Path | None = None) -> dict[str, Claim]:
    """Read notebooks/claims.yaml, by id.

    Raises UserError for a malformed or repeated claim.
    """
    path = path or root() / "notebooks" / "claims.yaml"
    entries = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    claims = [parse(Claim, entry, f"{path.name}, claim {number}") for number, entry in enumerate(entries, 1)]
    ids = [claim.id for claim in claims]
    twice = {id for id in ids if ids.count(id) > 1}
    if twice:
        raise UserError(f"{path.name} states {', '.join(sorted(twice))} twice; give each claim an id of its own")
    return dict(zip(ids, claims, strict=True))


def measured(
    claim: Claim, dataset: str, task: str, chapter: str, effect: float, low: float, high: float,
    p: float | None = None, cell: int | None = None,
) -> dict:
    """Return the ledger's row of a measurement.

    `p` is the corrected p-value, for rules that ask for it, and `cell` the number of the code cell that measured it.
    """
    return {
        "id": claim.id, "paper": claim.paper, "claim": claim.claim, "dataset": dataset, "task": task,
        "effect": effect, "low": low, "high": high, "p": p, "rule": claim.wording(task),
        "verdict": decide(claim, task, low, high, p), "chapter": chapter, "cell": cell,
    }


def collect(folder: Path, claims: dict[str, Claim]) -> list[dict]:
    """Gather the rows of all chapters below `folder`, by claim in the order of claims.yaml, by task, by data set.

    Raises UserError when a stated claim was not measured.
    """
    rows = [row for path in sorted(folder.glob("*/claims.json")) for row in json.loads(path.read_text())]
    missing = claims.keys() - {row["id"] for row in rows}
    if missing:
        raise UserError(f"claims.yaml states {', '.join(sorted(missing))}, which no chapter measured; measure or drop")
    order, tasks = list(claims), list(TASKS)
    return sorted(rows, key=lambda row: (order.index(row["id"]), tasks.index(row["task"]), row["dataset"]))


def ledger(rows: list[dict], claims: dict[str, Claim]) -> str:
    """Return the ledger as Markdown."""
    lines = [
        "# The ledger of claims", "",
        "Each claim was stated in `notebooks/claims.yaml` before it was measured. The verdict is computed from the"
        " interval and the rule, by `latent_factors.claims.decide`. Nothing on this page is typed. Intervals have the"
        " level that `params.yaml` names in `statistics.level`.", "",
        "| claim | paper | data | effect [interval] | verdict | chapter |", "|---|---|---|---|---|---|",
    ]
    for row in rows:
        unit = claims[row["id"]].measure(row["task"])
        effect = f"{row['effect']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] {unit}"
        chapter = f"[{row['chapter'][:2]}](chapters/{row['chapter']}.ipynb)"
        claim = row["claim"].replace("|", "\\|")  # else a norm ends the cell
        cells = [claim, row["paper"], f"{row['dataset']}, {row['task']}", effect, f"**{row['verdict']}**", chapter]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## What was measured, and what decides", ""]
    for claim in claims.values():
        lines += [f"- **{claim.id}**: {claim.quantity}. It {claim.anywhere}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write reports/claims.json and reports/claims.md."""
    claims = load_claims()
    rows = collect(root() / "build" / "chapters", claims)
    reports = root() / "reports"
    reports.mkdir(exist_ok=True)
    (reports / "claims.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (reports / "claims.md").write_text(ledger(rows, claims), encoding="utf-8")
    print(f"{len(rows)} claims decided")


if __name__ == "__main__":
    sys.exit(tell(main))
