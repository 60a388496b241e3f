"""The house style: each model one look in the whole book, told apart by any eye, and text that can be read."""

import itertools
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from conftest import HOME
from latent_factors.figures import METHODS, MODELS, SMALL, TEXT_CONTRAST, WIDTH, contrast, ink, use_house_style
from latent_factors.settings import STUDIED, TASKS

# Machado, Oliveira and Fernandes 2009, table 1: severe protanomaly, deuteranomaly, tritanomaly, on linear RGB
EYES = {
    "most": np.eye(3),
    "no red": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ]),
    "no green": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ]),
    "no blue": np.array([
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ]),
}
XYZ = np.array([[0.412456, 0.357576, 0.180438], [0.212673, 0.715152, 0.072175], [0.019334, 0.119192, 0.950304]])
FAMILIES = [  # one idea in several tasks
    {"mean", "popular", "popular_genre"}, {"biases", "lr"}, {"mf", "fm", "bpr"}, {"als", "ials", "content_linear"},
    {"mlp", "widedeep"}, {"neumf", "neumf_implicit"}, {"itemknn", "content_knn", "itemknn_last"},
]


def seen(colour: str, eye: np.ndarray) -> np.ndarray:
    """A colour (3,) in CIELAB as an eye sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ (eye @ linear).clip(0, 1) / XYZ.sum(1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def looks(task: str) -> dict[str, tuple[str, str]]:
    """Colour and marker of each model of a task, of methods for `search`."""
    if task == "search":
        return METHODS
    return {model: MODELS[model][1:] for model in (*TASKS[task][0].model_fields, *STUDIED.get(task, {}))}


@pytest.mark.parametrize("task", [*TASKS, "search"])
def test_models_of_a_task_are_told_apart_by_any_eye(task):
    """Twice: by colour, ten units of CIELAB apart or more (two are a just noticeable difference), and by marker."""
    for (_, (colour, marker)), (_, (other, shape)) in itertools.combinations(looks(task).items(), 2):
        assert marker != shape
        for eye in EYES.values():
            assert np.linalg.norm(seen(colour, eye) - seen(other, eye)) > 10


def test_a_model_has_one_look_in_the_whole_book():
    studied = {model for own in STUDIED.values() for model in own}
    assert {model for kind, _ in TASKS.values() for model in kind.model_fields} | studied == set(MODELS)
    by_label, by_look = {}, {}
    for model, (label, *look) in MODELS.items():
        by_label.setdefault(label, set()).add(tuple(look))
        by_look.setdefault(tuple(look), set()).add(model)
    assert all(len(own) == 1 for own in by_label.values())
    assert [own for own in by_look.values() if len(own) > 1] == FAMILIES


def test_what_is_drawn_and_written_can_be_seen_on_white():
    assert contrast("black") == pytest.approx(21)
    assert contrast("#777777") == pytest.approx(4.48, abs=0.005)  # known to miss 4.5 by a hair
    for _, colour, _ in MODELS.values():
        assert contrast(colour) >= 3  # WCAG 2 for what is no text
        assert contrast(ink(colour)) >= TEXT_CONTRAST
    assert ink("#3b3b3b") == "#3b3b3b"
    with mpl.rc_context():
        use_house_style()
        for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
            assert contrast(mpl.rcParams[key]) >= TEXT_CONTRAST
        for key in ("font.size", "axes.labelsize", "axes.titlesize", "legend.fontsize", "xtick.labelsize",
                    "ytick.labelsize"):
            assert mpl.rcParams[key] >= SMALL
    assert SMALL / 72 * 400 / WIDTH > 8  # pixels, where a figure is shown 400 wide


def test_chapters_write_no_text_smaller_and_no_model_in_a_colour_of_its_own():
    for path in sorted((HOME / "notebooks").glob("[0-9]*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        assert not re.findall(r"(?:font|label)_?size=\d", source), path.name
        assert not {colour for _, colour, _ in MODELS.values()} & set(re.findall(r"#[0-9a-f]{6}", source)), path.name
