"""What tells a project without changes, and what must never pass for one."""

import os

import pytest

from latent_factors import unchanged

LOCK = """
stages:
  made:
    deps: [{path: src}]
    params: {knobs.yaml: {seed: 1}}
    outs: [{path: build/made}]
"""


@pytest.fixture
def project(tmp_path):
    for name, text in {
        "dvc.lock": LOCK, "dvc.yaml": "stages: {}", "params.yaml": "a: 1", "knobs.yaml": "seed: 1",
        "src/code.py": "1", "src/__pycache__/code.pyc": "1", "build/made/weights": "12", "README.md": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    unchanged.record(tmp_path, unchanged.fingerprint(tmp_path), 7)
    return tmp_path


def test_where_nothing_changed_the_stages_are_known(project):
    (project / "README.md").write_text("no stage reads it")
    (project / "src/__pycache__/code.pyc").write_text("12")
    assert unchanged.stages(project) == 7


@pytest.mark.parametrize(
    "name", ["dvc.yaml", "params.yaml", "knobs.yaml", "src/code.py", "src/new.py", "build/made/weights"]
)
def test_every_file_that_dvc_looks_at_counts(project, name):
    path = project / name
    before = path.stat() if path.exists() else None
    path.write_text("9" * (before.st_size if before else 1))
    assert unchanged.stages(project) is None  # of the same size too: its time tells
    unchanged.record(project, unchanged.fingerprint(project), 7)
    path.unlink()
    assert unchanged.stages(project) is None


def test_a_file_in_place_of_another_with_its_size_and_time_counts(project):
    path, other = project / "src/code.py", project / "src/other"
    times = path.stat()
    other.write_text("2")
    other.replace(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert unchanged.stages(project) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "stages: ["])
def test_a_record_or_lock_that_cannot_be_read_says_nothing(project, text):
    (project / "dvc.lock").write_text(text)
    assert unchanged.stages(project) is None
    (project / unchanged.RECORD).write_text(text)
    assert unchanged.stages(project) is None
