"""What came of a `make repro`, on one screen: stages and their times, the best model of each task, verdicts, the page.

    python -m latent_factors.summary    the results alone
"""

import json
import sys
from collections import Counter
from pathlib import Path

from latent_factors.errors import tell
from latent_factors.paths import root
from latent_factors.progress import Progress

OPEN = "build/book/index.html"  # what a reader is sent to
HEADLINES = {
    "rating": "rmse", "ctr": "auc", "ctr_attributes": "auc", "topk": "ndcg", "release": "ndcg", "sequence": "ndcg",
    "generate": "ndcg",
}
SMALLER_IS_BETTER = ("rmse",)
VERDICTS = {"holds": "hold", "fails": "fail", "undecided": "are undecided"}


def text(progress: Progress, seconds: float, project: Path) -> str:
    """Return the summary of a run that took `seconds`, at most 100 characters wide."""
    lines = []
    if set(progress.outcomes.values()) - {"unchanged"}:
        lines = [*stages(progress, seconds), *metrics(project), ""]
    else:
        lines = [f"Nothing to do: all {progress.total} stages are up to date ({duration(seconds)})"]
    return "\n".join([*lines, *closing(project)])


def stages(progress: Progress, seconds: float) -> list[str]:
    """Return how many stages ran, and a line for each group of those that did: count, seconds, the slowest."""
    count = Counter(progress.outcomes.values())
    idle = progress.total - count["ran"] - count["restored"]
    lines = [
        "", f"{count['ran']} of {progress.total} stages ran in {duration(seconds)}; {idle} were up to date,"
        f" {count['restored']} came from DVC's cache", "",
    ]
    groups: dict[str, list[tuple[float, str]]] = {}
    for stage, own in progress.seconds.items():
        group, _, member = stage.partition("@")
        kind = group if member or not group.startswith("chapter-") else "chapters"
        groups.setdefault(kind, []).append((own, member or group))
    rows = [
        (group, str(len(own)), f"{sum(took for took, _ in own):.1f}", "{1}, {0:.1f}".format(*max(own)))
        for group, own in groups.items()
    ]
    return [*lines, *table([("stages", "count", "seconds", "slowest, seconds"), *rows]), ""] if rows else lines


def metrics(project: Path) -> list[str]:
    """Return a line a task: the best model on the test part, its mean and interval; the runner-up and its mean."""
    path = project / "reports" / "metrics.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    shown = [("task", "test", "best", "mean [interval]", "second", "mean")]
    for task, headline in HEADLINES.items():
        own = [row for row in rows if row["task"] == task and row["part"] == "test"]
        own = [row for row in own if row["metric"].partition("@")[0] == headline]
        own = [row for row in own if row["metric"] == own[0]["metric"]]  # at the first cutoff
        own.sort(key=lambda row: row["mean"], reverse=headline not in SMALLER_IS_BETTER)
        if own:
            second = (own[1]["model"], f"{own[1]['mean']:.4f}") if own[1:] else ("", "")
            shown.append((task, own[0]["metric"], own[0]["model"], _mean(own[0]), *second))
    return table(shown) if len(shown) > 1 else []


def closing(project: Path) -> list[str]:
    """Return how the claims stand and what to open."""
    path = project / "reports" / "claims.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    count = Counter(row["verdict"] for row in rows)
    told = ", ".join(f"{count[verdict]} {words}" for verdict, words in VERDICTS.items())
    claims = [f"Of {len(rows)} claims measured, {told}: reports/claims.md"] if rows else []
    return [*claims, f"Open {OPEN}"]


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows as lines, in columns as wide as what they hold; what begins with a digit stands to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def duration(seconds: float) -> str:
    """Return seconds as a person would say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _mean(row: dict) -> str:
    return f"{row['mean']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"


if __name__ == "__main__":
    sys.exit(tell(lambda: print(*metrics(root()), "", *closing(root()), sep="\n")))
