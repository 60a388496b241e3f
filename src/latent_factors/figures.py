"""The house style of plots: one colour a model in the whole book, colour-blind safe, readable at page width."""

from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 7.2  # inches: the width of a page's text

_COLOURS = sns.color_palette("colorblind").as_hex()
MODELS = {  # name in params.yaml: (label, colour, marker)
    "mean": ("global mean", "#767676", "x"),
    "biases": ("biases", "#3b3b3b", "P"),
    "mf": ("MF (SGD)", _COLOURS[0], "o"),
    "als": ("MF (ALS)", _COLOURS[2], "s"),
    "mlp": ("MLP", _COLOURS[1], "^"),
    "neumf": ("NeuMF", _COLOURS[4], "D"),
    "lr": ("LR", "#3b3b3b", "P"),
    "fm": ("FM", _COLOURS[0], "o"),
    "widedeep": ("Wide&Deep", _COLOURS[1], "^"),
    "deepfm": ("DeepFM", _COLOURS[3], "v"),
    "autoint": ("AutoInt", _COLOURS[2], "s"),
    "autoint_flat": ("AutoInt, no residual", _COLOURS[5], "X"),
    "autoint_plus": ("AutoInt+", _COLOURS[4], "D"),
    "popular": ("Popular", "#767676", "x"),
    "itemknn": ("ItemKNN", _COLOURS[5], "v"),
    "rp3beta": ("RP3β", "#8c6d1f", "<"),
    "ease": ("EASE", _COLOURS[3], "p"),
    "ials": ("iALS", _COLOURS[2], "s"),
    "bpr": ("BPR-MF", _COLOURS[0], "o"),
    "neumf_implicit": ("NeuMF", _COLOURS[4], "D"),
    "lightgcn": ("LightGCN", _COLOURS[9], "h"),
    "directau": ("DirectAU", _COLOURS[1], "^"),
    "directau_graph": ("DirectAU, graph", "#3b3b3b", "D"),
    "dccf": ("DCCF", "#7a0177", "P"),
    "towers": ("Two towers", _COLOURS[4], "P"),
    "towers_ssl": ("Two towers, SSL", _COLOURS[1], "*"),
    "cml": ("CML", "#8b1a4a", "*"),
    "cml_features": ("CML, features", "#8b1a4a", "P"),
    "popular_genre": ("Popular by genre", "#767676", "x"),
    "content_knn": ("content kNN", _COLOURS[5], "v"),
    "content_linear": ("linear map to iALS", _COLOURS[2], "s"),
    "cml_tower": ("CML, tower", _COLOURS[1], "P"),
    "cml_content": ("CML, tower and offset", "#8b1a4a", "*"),
}
METHODS = {  # of input search: (colour, marker)
    "uniform": ("#3b3b3b", "o"),
    "magnitude": (_COLOURS[1], "v"),
    "stronger L2": ("#8c6d1f", "P"),
    "random dimensions": ("#9a9a9a", "x"),
    "MDE": (_COLOURS[2], "s"),
    "NIS": (_COLOURS[4], "D"),
    "DNIS": (_COLOURS[0], "^"),
    "DNIS, as found": (_COLOURS[9], "h"),
}


def label(model: str) -> str:
    """Return the name of a model as figures and tables print it."""
    return MODELS[model][0]


def style(model: str) -> dict:
    """Return the colour, marker and label of a model, as arguments for plot."""
    name, colour, marker = MODELS[model]
    return {"label": name, "color": colour, "marker": marker}


def method_style(method: str) -> dict:
    """Return the colour, marker and label of a method of input search, as arguments for plot."""
    colour, marker = METHODS[method]
    return {"label": method, "color": colour, "marker": marker}


def compare(axes: Axes, intervals: dict[str, tuple[float, float, float]]) -> None:
    """Draw a model a line, the first on top: estimate and interval (mean, low, high) along x."""
    for place, (model, (mean, low, high)) in enumerate(intervals.items()):
        _, colour, marker = MODELS[model]
        axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt=marker, color=colour, capsize=3)
    axes.set_yticks(range(len(intervals)), [label(model) for model in intervals])
    axes.set_ylim(len(intervals) - 0.5, -0.5)


def use_house_style() -> None:
    """Set the style of all figures made later."""
    sns.set_theme(style="whitegrid", palette="colorblind", font_scale=0.9)
    mpl.rcParams.update({
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "figure.figsize": (WIDTH, 3.6),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#555555",
        "axes.titlesize": "medium",
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "grid.color": "#e4e4e4",
        "lines.markersize": 5,
        "legend.frameon": False,
        "savefig.dpi": 150,
        "svg.hashsalt": "latent-factors",
        "svg.fonttype": "path",
    })


def save(figure: Figure, stem: Path, provenance: str) -> None:
    """Write <stem>.png and <stem>.svg with `provenance` in their metadata, the same bytes every time."""
    figure.savefig(stem.with_suffix(".png"), metadata={"Provenance": provenance})
    figure.savefig(stem.with_suffix(".svg"), metadata={"Description": provenance, "Date": None})
