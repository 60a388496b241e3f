import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from conftest import HOME
from latent_factors.errors import UserError
from latent_factors.sections import Mean
from latent_factors.settings import load_settings, points, section


def refused(project, old: str, new: str) -> str:
    """Change params.yaml and return what it is refused with."""
    path = project / "params.yaml"
    text = path.read_text()
    assert re.search(old, text, re.M), old
    path.write_text(re.sub(old, new, text, count=1, flags=re.M))
    with pytest.raises(UserError) as error:
        load_settings()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_committed_file_is_sound(settings):
    assert settings.dataset == "ml-100k"
    assert section("rating.mean") == {}
    assert section("split.kind") == "random"
    assert section("curve.mf")[0]["dim"] == 1


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (r"^  validation: .*$", "", ["split.validation is missing; add it"]),
        (r"^dataset:", "colour: red\ndataset:", ["unknown key colour", "known here: dataset"]),
        (r"^    patience: (\d+)  ", r"    patience: \1\n    patiense: 4  ", ["rating.mf.patiense", "mean patience?"]),
        (r"^  mf:(.*)\n    dim: \d+", r"  mf:\1\n    dim: -4", ["rating.mf.dim", "than or equal to 1, got -4"]),
        (r"^  mf:(.*)\n    dim: \d+", r"  mf:\1\n    dim: eight", ["rating.mf.dim", "valid integer", "got 'eight'"]),
        (r"^  mf:(.*)\n    dim: \d+", r"  mf:\1\n    dim: true", ["rating.mf.dim", "valid integer", "got True"]),
        (r"^  mean: \{\}", "  mean: {}\n  meen: {}", ["rating.meen", "did you mean mean?"]),
        (r"^  kind: random", "  kind: rndom", ["split.kind", "'leave-last-out'", "got 'rndom'"]),
        (r"^  test: 0.1", "  test: 0.95", ["split", "must leave a training part"]),
        (r"^dataset: \S+", "dataset: ../../etc", ["dataset", "match pattern"]),
        (r"^  count: 5", "  count: 0", ["seeds.count", "got 0"]),
        (r"^dataset:", "dataset: [", ["line", "correct the YAML"]),
    ],
)
def test_a_fault_is_one_sentence_with_key_and_remedy(project, old, new, parts):
    sentence = refused(project, old, new)
    assert sentence.startswith("params.yaml")
    for part in parts:
        assert part in sentence


def test_a_misspelt_key_is_one_fault_and_two_faults_are_two_lines(project):
    assert refused(project, "^    learning_rate:", "    learning_rat:") == (
        "params.yaml: unknown key rating.mf.learning_rat; did you mean learning_rate?"
    )
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  threads: 2", "  threads: two").replace("  count: 5", ""))
    with pytest.raises(UserError) as error:
        load_settings()
    assert str(error.value).splitlines()[1:] == [
        "params.yaml: seeds.count is missing; add it",
        "params.yaml: compute.threads: input should be a valid integer, got 'two'; correct it",
    ]


def test_curve_dimensions_must_rise(project):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("- {dim: 2,", "- {dim: 1,", 1))
    with pytest.raises(UserError, match=r"curve.mf: dimensions must rise"):
        load_settings()


def test_replications_have_every_section_that_their_notebooks_declare(monkeypatch):
    monkeypatch.chdir(HOME / "replications")
    for path in sorted(Path().glob("*.ipynb")):
        (cell,) = (
            cell for cell in nbformat.read(path, as_version=4).cells if "parameters" in cell.metadata.get("tags", [])
        )
        exec(cell.source, {})
    assert section("boundary")[0] == 0.0


def test_missing_file_and_unknown_section(project):
    with pytest.raises(UserError, match=r"no section rating\.mff"):
        section("rating.mff")
    (project / "params.yaml").unlink()
    load_settings.cache_clear()
    with pytest.raises(UserError, match="missing"):
        load_settings()


def test_points_are_typed():
    assert points("rating", "mean", {}) == [Mean()]
    with pytest.raises(UserError, match="unknown rating model 'svd'"):
        points("rating", "svd", {})
    with pytest.raises(UserError, match="unknown task 'ratings'"):
        points("ratings", "mean", {})


def test_the_check_refuses_a_data_set_that_is_not_there(project):
    done = subprocess.run([sys.executable, "-m", "latent_factors.settings"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml: dataset ml-100k is not under data/; `make data` fetches")
    (project / "data" / "ml-100k").mkdir()
    (project / "data" / "ml-100k" / "ml-100k.inter").touch()
    done = subprocess.run([sys.executable, "-m", "latent_factors.settings"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "params.yaml is sound (data set ml-100k)\n")


def test_outside_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    with pytest.raises(UserError, match=r"no dvc\.yaml in"):
        load_settings()
