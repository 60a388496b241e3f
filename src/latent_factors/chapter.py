"""What a chapter calls: show a figure, decide a claim, hand in metrics, sign the page."""

import base64
import json
from collections.abc import Iterator

import matplotlib.pyplot as plt
from IPython.display import Markdown, display
from matplotlib.figure import Figure

from latent_factors import figures
from latent_factors.claims import load_claims, measured
from latent_factors.errors import UserError
from latent_factors.paths import out_folder
from latent_factors.provenance import provenance


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
        self._figures, self._claims, self._metrics = 0, [], []
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
        display(Markdown(f"**Figure {int(self.name[:2])}.{self._figures}.** {caption}"))

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
        ))

    def ledger(
        self, id: str, task: str, effect: float, low: float, high: float, p: float | None = None,
        dataset: str | None = None,
    ) -> dict:
        """Decide a claim, on another data set than the chapter's where one is named, and return its ledger row.

        Raises UserError when claims.yaml does not state it.
        """
        claims = load_claims()
        if id not in claims:
            raise UserError(f"claims.yaml states no claim {id}; state it there before measuring it")
        numbers = [round(value, 6) for value in (effect, low, high)]
        row = measured(claims[id], dataset or self.dataset, task, self.name, *numbers, p)
        self._claims.append(row)
        self._write("claims.json", self._claims)
        return row

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

    def _write(self, name: str, rows: list[dict]) -> None:
        text = json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False)
        (self.folder / name).write_text(text + "\n", encoding="utf-8")


def _yaml(parameters: dict) -> Iterator[str]:
    """Write sections of params.yaml as YAML, a line a key."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield f"{name}:"
            yield from (f"  {key}: {json.dumps(own)}" for key, own in value.items())
        else:
            yield f"{name}: {json.dumps(value)}"
