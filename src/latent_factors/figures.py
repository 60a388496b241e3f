"""The house style of plots: one colour a model in the whole book, colour-blind safe, readable at page width."""

import io
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

WIDTH = 6.0  # inches: the width of a page's text; a phone shows it at 400 pixels
SMALL = 9.0  # points: no text is smaller, so that 400 pixels are enough to read it
COLOURS = 256  # of a PNG: it takes a third of the room
TEXT_CONTRAST = 4.5  # of text against white, at least (WCAG 2, level AA)

GREY, BLACK, BLUE, GREEN, ORANGE, RUST, BROWN, UMBER, PINK, SKY, PURPLE, INDIGO, MAGENTA, WINE, VIOLET = (
    "#767676", "#3b3b3b", "#0173b2", "#029e73", "#ca870a", "#b34e00", "#92693b", "#553d00", "#c47aaf", "#3995ff",
    "#79006a", "#330f86", "#b4179f", "#910048", "#8811ee",
)
PALETTE = (BLUE, ORANGE, GREEN, RUST, PINK, UMBER, SKY, BLACK, WINE, INDIGO)  # for what is no model
MODELS = {  # name in params.yaml: (label, colour, marker); what is one idea in several tasks looks alike
    "mean": ("global mean", GREY, "x"),
    "biases": ("biases", BLACK, "P"),
    "mf": ("MF (SGD)", BLUE, "o"),
    "als": ("MF (ALS)", GREEN, "s"),
    "mlp": ("MLP", ORANGE, "^"),
    "neumf": ("NeuMF", PINK, "D"),
    "lr": ("LR", BLACK, "P"),
    "fm": ("FM", BLUE, "o"),
    "widedeep": ("Wide&Deep", ORANGE, "^"),
    "deepfm": ("DeepFM", RUST, "v"),
    "autoint": ("AutoInt", GREEN, "p"),
    "autoint_flat": ("AutoInt, no residual", BROWN, "X"),
    "autoint_plus": ("AutoInt+", PINK, "*"),
    "popular": ("Popular", GREY, "x"),
    "itemknn": ("ItemKNN", BROWN, "v"),
    "rp3beta": ("RP3β", UMBER, "<"),
    "ease": ("EASE", RUST, "p"),
    "ials": ("iALS", GREEN, "s"),
    "bpr": ("BPR-MF", BLUE, "o"),
    "neumf_implicit": ("NeuMF", PINK, "D"),
    "lightgcn": ("LightGCN", SKY, "h"),
    "directau": ("DirectAU", ORANGE, "d"),
    "directau_graph": ("DirectAU, graph", BLACK, ">"),
    "dccf": ("DCCF", PURPLE, "P"),
    "towers": ("Two towers", INDIGO, "X"),
    "towers_ssl": ("Two towers, SSL", MAGENTA, "^"),
    "cml": ("CML", WINE, "*"),
    "cml_features": ("CML, features", VIOLET, "8"),
    "popular_genre": ("Popular by genre", GREY, "x"),
    "content_knn": ("content kNN", BROWN, "v"),
    "content_linear": ("linear map to iALS", GREEN, "s"),
    "cml_tower": ("CML, tower", MAGENTA, "d"),
    "cml_content": ("CML, tower and offset", WINE, "P"),
    "markov": ("Markov chain", GREEN, "D"),
    "itemknn_last": ("kNN of last items", BROWN, "v"),
    "gru4rec": ("GRU4Rec", ORANGE, "s"),
    "sasrec": ("SASRec", BLUE, "p"),
    "generative_independent": ("one token an item", UMBER, "8"),
    "generative_joined": ("clusters + token", PURPLE, "*"),
}
METHODS = {  # of input search: (colour, marker)
    "uniform": (BLACK, "o"),
    "magnitude": (ORANGE, "v"),
    "stronger L2": (UMBER, "P"),
    "random dimensions": (GREY, "x"),
    "MDE": (GREEN, "s"),
    "NIS": (PINK, "D"),
    "DNIS": (BLUE, "^"),
    "DNIS, as found": (SKY, "h"),
}

UNITS = {"rmse": "stars", "mae": "stars", "mse": "stars²", "logloss": "nats"}  # of the metrics that have one


def label(model: str) -> str:
    """Return the name of a model as figures and tables print it."""
    return MODELS[model][0]


def with_unit(metric: str) -> str:
    """Return the name of a metric, with the unit that it has: "rmse (stars)"."""
    return f"{metric} ({UNITS[metric]})" if metric in UNITS else metric


def style(model: str) -> dict:
    """Return the colour, marker and label of a model, as arguments for plot."""
    name, colour, marker = MODELS[model]
    return {"label": name, "color": colour, "marker": marker}


def method_style(method: str) -> dict:
    """Return the colour, marker and label of a method of input search, as arguments for plot."""
    colour, marker = METHODS[method]
    return {"label": method, "color": colour, "marker": marker}


def contrast(colour: str) -> float:
    """Return the contrast of a colour against white, from 1 (white) to 21 (black), as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 1.05 / (0.05 + 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def ink(colour: str) -> str:
    """Return a colour, darkened until text in it can be read on white."""
    shade = to_rgb(colour)
    while contrast(shade) < TEXT_CONTRAST:
        shade = tuple(0.95 * part for part in shade)
    return to_hex(shade)


def compare(axes: Axes, intervals: dict[str, tuple[float, float, float]]) -> None:
    """Draw a model a line, the first on top: estimate and interval (mean, low, high) along x."""
    for place, (model, (mean, low, high)) in enumerate(intervals.items()):
        _, colour, marker = MODELS[model]
        axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt=marker, color=colour, capsize=3)
    axes.set_yticks(range(len(intervals)), [label(model) for model in intervals])
    axes.set_ylim(len(intervals) - 0.5, -0.5)


def legend_above(figure: Figure, axes: Axes, columns: int, title: str | None = None) -> None:
    """Put the legend of `axes` above all panels, where it covers no data."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncol=columns, title=title)


def use_house_style() -> None:
    """Set the style of all figures made later."""
    sns.set_theme(style="whitegrid", palette=PALETTE)
    mpl.rcParams.update({
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.06,
        "figure.constrained_layout.w_pad": 0.06,
        "figure.dpi": 100,
        "figure.labelsize": 10,
        "figure.figsize": (WIDTH, 3.6),
        "font.size": SMALL,
        "axes.labelsize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#555555",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "grid.color": "#e4e4e4",
        "legend.columnspacing": 1.2,
        "legend.fontsize": SMALL,
        "legend.frameon": False,
        "legend.handletextpad": 0.4,
        "legend.title_fontsize": SMALL,
        "lines.linewidth": 1.4,
        "lines.markersize": 5,
        "savefig.dpi": 180,
        "svg.hashsalt": "latent-factors",
        "svg.fonttype": "path",
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
    })


def save(figure: Figure, stem: Path, provenance: str) -> None:
    """Write <stem>.png and <stem>.svg with `provenance` in their metadata, the same bytes every time."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)  # once more than saving does: panels that grew may have got ticks that need room
    drawn, about = io.BytesIO(), PngInfo()
    figure.savefig(drawn, format="png")
    about.add_itxt("Provenance", provenance)
    picture = Image.open(drawn)
    picture.convert("RGB").quantize(COLOURS).save(
        stem.with_suffix(".png"), optimize=True, dpi=picture.info["dpi"], pnginfo=about
    )
    figure.savefig(stem.with_suffix(".svg"), metadata={"Description": provenance, "Date": None})
