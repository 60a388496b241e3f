"""What a chapter calls: show a figure or a table, decide a claim, hand in metrics, sign the page."""

import base64
import json
from collections.abc import Iterator
from html import escape
from numbers import Integral, Real

import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown, display
from matplotlib.figure import Figure

from latent_factors import figures
from latent_factors.claims import load_claims, measured
from latent_factors.errors import UserError
from latent_factors.paths import out_folder
from latent_factors.provenance import provenance

NUMBER = r"[+−-]?\d"  # how the text of a number begins


class Chapter:
    """One chapter's outputs, under one name and one provenance.

    Args:
        name: the notebook's name without its ending.
        dataset: the data set it shows.
        parameters: the sections of params.yaml it was run with, by name.
    """

    def __init__(self, name: str, dataset: str, parameters: dict):
        self.name, self.dataset = name, dataset
        self.record = provenance(name, dataset, parameters)
        self.folder = out_folder(name)
        self._figures, self._tables, self._claims, self._metrics = 0, 0, [], []
        (self.folder / "figures").mkdir(exist_ok=True)
        self._write("claims.json", [])
        self._write("metrics.json", [])
        figures.use_house_style()

    def figure(self, figure: Figure, name: str, caption: str) -> None:
        """Save a figure as PNG and SVG and show it with its number and caption; the caption is its alt text."""
        self._figures += 1
        stem = self.folder / "figures" / f"{self.name[:2]}-{name}"
        figures.save(figure, stem, json.dumps(self.record, ensure_ascii=False))
        plt.close(figure)
        image = base64.b64encode(stem.with_suffix(".png").read_bytes()).decode()
        about = {"image/png": {"alt": caption}, "figure": stem.name}
        display({"image/png": image, "text/plain": caption}, raw=True, metadata=about)
        self._caption(f"Figure {int(self.name[:2])}.{self._figures}.", caption, stem.name)

    def table(self, frame: pd.DataFrame, name: str, caption: str) -> None:
        """Show a table under its number and caption, as HTML and as text.

        Its index heads the rows, unless it only counts them. Columns of numbers stand on the right, others on the left;
        a float that is no text yet has four digits.
        """
        self._tables += 1
        stem = f"{self.name[:2]}-{name}"
        texts = _texts(frame)
        heads = 0 if isinstance(frame.index, pd.RangeIndex) else frame.index.nlevels
        self._caption(f"Table {int(self.name[:2])}.{self._tables}.", caption, stem)
        data = {"text/html": _html(texts, heads), "text/plain": texts.to_string(index=False)}
        display(data, raw=True, metadata={"table": stem})

    def claim(self, id: str, task: str, effect: float, low: float, high: float) -> None:
        """Decide a claim of claims.yaml from its measured effect and interval, and show the verdict.

        Raises UserError when claims.yaml does not state it.
        """
        row = self.ledger(id, task, effect, low, high)
        claim = load_claims()[id]
        display(Markdown(
            f"> **Claim** ({claim.paper}): {claim.claim}\n>\n"
            f"> {claim.quantity}: **{effect:+.4f}** [{low:+.4f}, {high:+.4f}] {claim.measure(task)}\n>\n"
            f"> It {row['rule']}. **Verdict: {row['verdict']}.**"
        ), metadata={"claim": id})

    def ledger(
        self, id: str, task: str, effect: float, low: float, high: float, p: float | None = None,
        dataset: str | None = None,
    ) -> dict:
        """Decide a claim, on another data set than the chapter's where one is named, and return its ledger row.

        The row names the code cell that runs, by the number that the notebook shows beside it. Raises UserError when
        claims.yaml does not state it.
        """
        claims = load_claims()
        if id not in claims:
            raise UserError(f"claims.yaml states no claim {id}; state it there before measuring it")
        numbers = [round(value, 6) for value in (effect, low, high)]
        row = measured(claims[id], dataset or self.dataset, task, self.name, *numbers, p, _cell())
        self._claims.append(row)
        self._write("claims.json", self._claims)
        return row

    def found(self, effect: dict, task: str, dataset: str, about: str = "") -> None:
        """Decide a claim by what a longer study found on a data set, and show claim and verdict in a line.

        Args:
            effect: its claim, mean, low and high.
            about: what was compared, in words that follow the claim.
        """
        row = self.ledger(effect["claim"], task, effect["mean"], effect["low"], effect["high"], dataset=dataset)
        what = " ".join(filter(None, (row["claim"], about)))
        interval = f"{row['effect']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
        display(Markdown(f"- {what} {interval}: **{row['verdict']}**."), metadata={"claim": row["id"]})

    def metrics(
        self, task: str, split: str, metric: str, part: str, intervals: dict[str, tuple[float, float, float]],
        seeds: dict[str, int],
    ) -> None:
        """Hand in one metric of some models on one part for reports/metrics.json: (mean, low, high), and runs, each."""
        self._metrics += [
            {
                "dataset": self.dataset, "task": task, "split": split, "model": model, "metric": metric, "part": part,
                "mean": round(mean, 5), "low": round(low, 5), "high": round(high, 5), "seeds": seeds[model],
            }
            for model, (mean, low, high) in intervals.items()
        ]
        self._write("metrics.json", self._metrics)

    def sign(self) -> None:
        """Show the provenance block that ends every chapter."""
        record = self.record
        versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
        display(Markdown("\n".join([
            "---", "**What made this page**", "", "| | |", "|---|---|",
            f"| source | `{record['notebook']}`, SHA-256 `{record['notebook_sha256'][:16]}…` |",
            f"| data | `{record['data']}`, SHA-256 `{record['data_sha256'][:16]}…` |",
            f"| versions | {versions} |", "",
            "<details><summary>parameters</summary>", "",
            "```yaml", *_yaml(record["parameters"]), "```", "",
            "</details>",
        ])))

    def _caption(self, number: str, caption: str, stem: str) -> None:
        display(Markdown(f"**{number}** {caption}"), metadata={"caption": stem})

    def _write(self, name: str, rows: list[dict]) -> None:
        text = json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False)
        (self.folder / name).write_text(text + "\n", encoding="utf-8")


def _cell() -> int | None:
    """Return the number of the code cell that runs; outside a notebook, None."""
    shell = get_ipython()
    return len(shell.user_ns["In"]) - 1 if shell else None  # IPython 9 already counts one up while a cell runs


def _texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table's cells as text, with the levels of an index that names its rows as the first columns."""
    names = [name or "" for name in frame.index.names]
    named = not isinstance(frame.index, pd.RangeIndex)
    return (frame.reset_index(names=names) if named else frame).map(_text)


def _text(cell) -> str:
    if isinstance(cell, Integral):
        return f"{cell:,}"
    return f"{cell:.4g}" if isinstance(cell, Real) else str(cell)


def _html(texts: pd.DataFrame, heads: int) -> str:
    """Return texts as an HTML table whose first `heads` columns head the rows."""
    filled = texts.where(texts != "")
    sides = ["right" if filled[name].dropna().str.match(NUMBER).mean() > 0.5 else "left" for name in texts]
    rows = [
        [("th" if place < heads else "td", text) for place, text in enumerate(row)]
        for row in texts.itertuples(index=False)
    ]
    lines = "\n".join(
        "<tr>" + "".join(
            f'<{tag} style="text-align: {side}">{escape(text)}</{tag}>'
            for side, (tag, text) in zip(sides, row, strict=True)
        ) + "</tr>"
        for row in [[("th", str(name)) for name in texts], *rows]
    )
    head, _, body = lines.partition("\n")
    return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _yaml(parameters: dict) -> Iterator[str]:
    """Write sections of params.yaml as YAML, a line a key."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield f"{name}:"
            yield from (f"  {key}: {json.dumps(own)}" for key, own in value.items())
        else:
            yield f"{name}: {json.dumps(value)}"
