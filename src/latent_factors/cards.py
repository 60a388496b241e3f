"""Model cards: a page of MyST Markdown for each trained model of build/train, and one that lists them."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from latent_factors import figures
from latent_factors.data.atomic import read_types
from latent_factors.errors import UserError
from latent_factors.fit import Task
from latent_factors.paths import root
from latent_factors.runs import PARTS, Run, load_run
from latent_factors.sections import Section, Settings
from latent_factors.settings import TASKS, load_settings
from latent_factors.stats import Bootstrap
from latent_factors.tasks import prepare
from latent_factors.times import read_times

WORDS = {
    "rating": "rating prediction", "ctr": "click prediction", "ctr_attributes": "click prediction without ids",
    "topk": "top-k recommendation", "release": "recommendation of unseen items",
    "sequence": "recommendation of the next item", "generate": "spelling of the next item",
}
RANKED = ("topk", "release", "sequence", "generate")  # tasks whose outputs are lists of items
FIRST = {"rating": "rmse", "ctr": "auc", "ctr_attributes": "auc"}  # the metric that a list shows; else the task's own
DOTS, COLOURS = 110, 32  # an inch of the curves' picture; with few colours it takes a third of the room
Interval = tuple[float, float | None, float | None]
"""Mean, low and high; None where nothing computed an interval."""


@dataclass(frozen=True)
class Judged:
    """A task with what intervals of its metrics need.

    Attributes:
        name: of the task.
        task: its data.
        protocol: the section that cuts and judges it.
        bootstraps: over the users of each part; none for events without users.
    """

    name: str
    task: Task
    protocol: Section
    bootstraps: dict[str, Bootstrap]

    @classmethod
    def of(cls, name: str, dataset: str, settings: Settings) -> "Judged":
        """Prepare the task `name` of a data set as params.yaml cuts it."""
        protocol = getattr(settings, TASKS[name][1])
        task = prepare(name, dataset, settings.data, protocol, torch.device("cpu"))
        if name in RANKED:
            users = {part: np.arange(len(task.relevant(part))) for part in PARTS}
        else:
            events = task.interactions if name == "rating" else task.events
            parts = () if events.user is None else PARTS
            users = {part: events.user.codes[getattr(task.parts, part)] for part in parts}
        bootstraps = {part: Bootstrap(own, settings.statistics, settings.seeds.count) for part, own in users.items()}
        return cls(name, task, protocol, bootstraps)

    @property
    def user(self) -> str:
        """A user whom models of the task know."""
        if self.name in ("sequence", "generate"):
            return self.task.interactions.user.categories[0]
        return self.task.features.tokens[0][0]

    @cached_property
    def example(self) -> dict[str, list]:
        """The first row of the .inter file, as far as models of the task take it, by column."""
        path, data = root() / "data" / self.task.dataset / f"{self.task.dataset}.inter", load_settings().data
        types = read_types(path)
        row = pd.read_csv(
            path, sep="\t", nrows=1, header=0, names=list(types), quoting=csv.QUOTE_NONE,
            dtype={name: "float" if kind == "float" else object for name, kind in types.items()},
        )
        aside = {data.rating, *getattr(self.protocol, "skip", [])}
        wanted = [data.user, data.item] if self.name == "rating" else [name for name in types if name not in aside]
        return row[wanted].astype(object).where(row[wanted].notna(), None).to_dict("list")

    def intervals(self, outputs: dict[str, Tensor], part: str, known: dict[str, Interval]) -> dict[str, Interval]:
        """Return the intervals of a part's metrics, those not yet known from what was kept of S runs (S, ...)."""
        if part not in self.bootstraps:
            return known
        bootstrap = self.bootstraps[part]
        own = self._replicates(outputs, part, bootstrap)
        return known | {name: bootstrap.interval(draw()) for name, draw in own.items() if name not in known}

    def _replicates(
        self, outputs: dict[str, Tensor], part: str, bootstrap: Bootstrap
    ) -> dict[str, Callable[[], np.ndarray]]:
        """Return what draws the B + 1 values of each metric."""
        if self.name == "rating":
            errors = (outputs["prediction"] - getattr(self.task, part)[1]).numpy()
            return {
                "rmse": lambda: bootstrap.mean(errors**2, root=True),
                "mse": lambda: bootstrap.mean(errors**2),
                "mae": lambda: bootstrap.mean(np.abs(errors)),
            }
        if self.name in ("ctr", "ctr_attributes"):
            said, clicked = outputs["probability"].numpy(), getattr(self.task, part)[2].numpy()
            chance = said.astype(np.float64).clip(1e-15, 1 - 1e-15)
            return {
                "auc": lambda: bootstrap.auc(said, clicked),
                "logloss": lambda: bootstrap.mean(-np.log(np.where(clicked > 0, chance, 1 - chance))),
            }
        hits, relevant = outputs["hits"], self.task.relevant(part)
        return {
            f"{name}@{k}": lambda metric=metric, k=k: bootstrap.mean(metric(hits, relevant, k).numpy())
            for k in self.task.cutoffs for name, metric in self.task.metrics.items()
        }


@dataclass(frozen=True)
class Card:
    """What a page says of a model.

    Attributes:
        folder: of build/train.
        about: its run.json.
        run: what it kept.
        judged: its task.
        published: reports/metrics.json, the intervals of chapters by (data set, task, model, metric).
        shown: the chapters that show a model, (file, title) each, by (data set, task, model).
    """

    folder: Path
    about: dict
    run: Run
    judged: Judged
    published: dict[tuple[str, ...], Interval]
    shown: dict[tuple[str, ...], list[tuple[str, str]]]

    @property
    def name(self) -> str:
        """The name that `latent_factors.load` takes."""
        return self.folder.name

    @property
    def key(self) -> tuple[str, str, str]:
        """Data set, task and model."""
        return (self.about["dataset"], *self.about["name"].split("."))

    @property
    def title(self) -> str:
        """The model's name as figures print it."""
        return figures.label(self.key[2])

    @property
    def task(self) -> str:
        """The task in words."""
        return WORDS[self.key[1]]

    @property
    def chapters(self) -> list[tuple[str, str]]:
        """The file and title of each chapter that shows the model."""
        return self.shown.get(self.key, [])

    @property
    def protocol(self) -> dict:
        """How the task is cut and judged, by dotted key."""
        flat = {}
        for key, value in self.judged.protocol.model_dump().items():
            flat |= {f"{key}.{name}": own for name, own in value.items()} if isinstance(value, dict) else {key: value}
        return flat

    @property
    def settings(self) -> dict:
        """What the model was trained with."""
        return self.about["points"][0]["settings"]

    @cached_property
    def metrics(self) -> list[dict]:
        """A row a metric: its name with the unit, and what it is in each part, mean and interval as text."""
        point = self.about["points"][0]
        known = {metric: self.published.get((*self.key, metric)) for metric in point["test"]}
        known = {"test": {metric: interval for metric, interval in known.items() if interval}}  # as chapters have it
        own = {
            part: self.judged.intervals(
                {key: kept[0] for key, kept in self.run.outputs[part].items()}, part, known.get(part, {})
            )
            for part in PARTS
        }
        return [
            {"name": figures.with_unit(metric), "key": metric}
            | {part: _text(own[part].get(metric) or (np.mean(point[part][metric]), None, None)) for part in PARTS}
            for metric in point["test"]
        ]

    @property
    def headline(self) -> dict:
        """The row of the metric that a list shows."""
        wanted = FIRST.get(self.key[1], self.judged.task.metric)
        return next(row for row in self.metrics if row["key"] == wanted)

    @property
    def parameters(self) -> int:
        """How many numbers one run has."""
        return self.about["points"][0]["parameters"]

    @property
    def size(self) -> str:
        """What one run's weights take on disk."""
        weights = (self.folder / "weights.safetensors").stat().st_size / len(self.about["seeds"])
        return f"{weights / 2**20:.1f} MiB" if weights >= 2**20 else f"{weights / 2**10:.1f} KiB"

    @cached_property
    def time(self) -> str:
        """How long training took, and where, if this machine did it."""
        told = read_times(self.folder)
        if told is None:
            return "not known: trained elsewhere, or taken from the cache"
        threads = f"{told['threads']} thread{'s' * (told['threads'] != 1)}"
        return f"{told['seconds']:.0f} s for all runs, on {told['device']} with {threads}"

    @property
    def usage(self) -> list[str]:
        """Three lines that load the model and ask it something."""
        load = f'model = latent_factors.load("{self.name}")'
        if self.key[1] in RANKED:
            return ["import latent_factors", load, f'model.recommend("{self.judged.user}", k=10)']
        return ["import latent_factors, pandas", load, f"model.predict(pandas.DataFrame({self.judged.example}))"]

    def draw(self, path: Path) -> bool:
        """Draw loss and validation score by epoch, a line a run; False for a model solved in one pass."""
        history = self.run.history[self.run.history["point"] == 0]
        if history["epoch"].max() < 2:
            return False
        colour = figures.style(self.key[2])["color"]
        metric = self.judged.task.metric
        wanted = {"loss": "training loss", "validation": f"validation {metric}"}
        wanted = {column: name for column, name in wanted.items() if history[column].notna().any()}
        figure, axes = plt.subplots(1, len(wanted), figsize=(3.2 * len(wanted), 2.2), dpi=DOTS, squeeze=False)
        for panel, (column, name) in zip(axes[0], wanted.items(), strict=True):
            for _, run in history.groupby("seed", sort=False):
                panel.plot(run["epoch"], run[column], color=colour, linewidth=0.8)
            panel.set(xlabel="epoch", ylabel=name)
        picture = io.BytesIO()
        figure.savefig(picture, dpi=DOTS)
        plt.close(figure)
        Image.open(picture).convert("RGB").quantize(COLOURS).save(path, "PNG", optimize=True)
        return True


def write(folder: Path, chapters: str = "../chapters") -> list[str]:
    """Write <name>.md and the learning curves <name>.png for each model of build/train, and index.md; return the names.

    `chapters` is where the executed chapters lie, seen from `folder`.

    Raises UserError when there is no trained model, or one was trained on another split than params.yaml names.
    """
    cards = _cards()
    templates = Environment(
        loader=PackageLoader("latent_factors", "templates"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )
    figures.use_house_style()
    folder.mkdir(parents=True, exist_ok=True)
    level = f"{100 * load_settings().statistics.level:g} %"
    page = templates.get_template("card.md.j2")
    for card in cards:
        drawn = card.draw(folder / f"{card.name}.png")
        text = page.render(card=card, drawn=drawn, level=level, up=chapters, root_seed=load_settings().seeds.root)
        (folder / f"{card.name}.md").write_text(text, encoding="utf-8")
    by_task = {task: [card for card in cards if card.key[1] == task] for task in TASKS}
    index = templates.get_template("cards.md.j2").render(by_task=by_task, level=level)
    (folder / "index.md").write_text(index, encoding="utf-8")
    return [card.name for card in cards]


def _cards() -> list[Card]:
    """Return the card of each trained model, by task and name."""
    settings, order = load_settings(), list(TASKS)
    found = {path.parent: json.loads(path.read_text(encoding="utf-8"))
             for path in sorted((root() / "build" / "train").glob("*/run.json"))}
    if not found:
        raise UserError("build/train holds no trained model; `dvc repro` trains them, `dvc pull` fetches them")
    published, shown, judged, cards = _published(), _shown(), {}, []
    for folder, about in sorted(found.items(), key=lambda one: order.index(one[1]["name"].split(".")[0])):
        key = (about["name"].split(".")[0], about["dataset"])
        if key not in judged:
            judged[key] = Judged.of(*key, settings)
        cards.append(Card(folder, about, load_run(folder, judged[key].task), judged[key], published, shown))
    return cards


def _published() -> dict[tuple[str, ...], Interval]:
    """Return the test intervals that chapters handed in."""
    path = root() / "reports" / "metrics.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return {
        (row["dataset"], row["task"], row["model"], row["metric"]): (row["mean"], row["low"], row["high"])
        for row in rows if row["part"] == "test"
    }


def _shown() -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """Return the file and title of the chapters that handed in metrics of a model."""
    shown: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for path in sorted((root() / "build" / "chapters").glob("*/metrics.json")):
        name = path.parent.name
        source = json.loads((root() / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"][0]["source"]
        title = "".join(source).partition("\n")[0].lstrip("# ")
        for key in dict.fromkeys((row["dataset"], row["task"], row["model"]) for row in json.loads(path.read_text())):
            shown.setdefault(key, []).append((f"{name}.ipynb", title))
    return shown


def _text(interval: Interval) -> str:
    mean, low, high = interval
    return f"{mean:.4f}" if low is None else f"{mean:.4f} [{low:.4f}, {high:.4f}]"
