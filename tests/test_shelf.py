"""What lies in Git of a stage's outputs is used where it belongs to the stage, and nowhere else."""

import shutil

import pytest

from latent_factors import shelf
from latent_factors.errors import UserError
from tiny import command

PIPELINE = """
stages:
  long:
    matrix: {of: [one, two]}
    cmd: >-
      mkdir -p made/${item.of} && cp given made/${item.of}/same && echo ${item.of} > made/${item.of}/own
      && echo '{"a": "${item.of}"}' > ${item.of}.json
    deps: [given]
    outs:
      - made/${item.of}
    metrics:
      - ${item.of}.json:
          cache: false
"""
CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
RUNS, CACHED = "Running stage", "is cached - skipping run"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "first"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text(CONFIG)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "given").write_text("1")
    command(folder, "dvc", "repro")
    return folder


def fresh(project, name):
    """What a clone of the project has."""
    folder = project.parent / name
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("cache", "tmp", "made"))
    return folder


def test_a_clone_takes_what_lies_there_and_runs_the_rest(project):
    assert shelf.put(project, ["long@two"]) == 4  # the listing, two files and metrics
    folder = fresh(project, "second")
    assert (shelf.take(folder), shelf.take(folder)) == (4, 0)
    printed = command(folder, "dvc", "repro")
    assert [printed.count(text) for text in (RUNS, CACHED)] == [1, 1]
    assert (folder / "made/two/own").read_text() == "two\n"
    assert (folder / "dvc.lock").read_text() == (project / "dvc.lock").read_text()


def test_what_was_made_of_something_else_is_not_taken(project):
    shelf.put(project, ["long"])
    folder = fresh(project, "second")
    (folder / "given").write_text("2")
    shelf.take(folder)
    printed = command(folder, "dvc", "repro")
    assert [printed.count(text) for text in (RUNS, CACHED)] == [2, 0]
    assert (folder / "made/one/same").read_text() == "2"
    assert len(shelf.stale(folder)) == 5  # both listings, the file of both as it was, and those whose listing is gone
    assert shelf.stale(project) == []


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("two\n")])
def test_a_shelf_with_a_file_missing_or_harmed_gives_nothing_of_its_stage(project, harm):
    shelf.put(project, ["long"])
    assert shelf.lacking(project, ["long", "long@one"]) == []
    folder = fresh(project, "second")
    lost = next(path for path in (folder / shelf.SHELF).rglob("*") if path.is_file() and path.read_text() == "one\n")
    lost.chmod(0o644)
    harm(lost)
    assert shelf.take(folder) == 5
    assert len(shelf.stale(folder)) == 1 + lost.exists()  # the listing, and what was harmed
    assert shelf.lacking(folder, ["long", "long@one", "long@two", "longer"]) == ["long", "long@one", "longer"]
    printed = command(folder, "dvc", "repro")
    assert [printed.count(text) for text in (RUNS, CACHED)] == [1, 1]


def test_without_a_shelf_there_is_nothing_to_take(project):
    assert shelf.take(project) == 0
    assert shelf.stale(project) == []


def test_what_cannot_be_put_leaves_the_shelf_as_it_was(project):
    shelf.put(project, ["long@one"])
    before = sorted(path.name for path in (project / shelf.SHELF).rglob("*"))
    with pytest.raises(UserError, match="no outputs of a stage longer that DVC keeps; name one that `dvc repro` ran"):
        shelf.put(project, ["long@two", "longer"])
    shutil.rmtree(project / ".dvc/cache")
    with pytest.raises(UserError, match="DVC's cache lacks outputs of long@two; `dvc repro long@two` makes them"):
        shelf.put(project, ["long@two"])
    assert sorted(path.name for path in (project / shelf.SHELF).rglob("*")) == before
