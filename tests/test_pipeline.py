"""The pipeline end to end on made data: what runs, what does not, and what survives."""

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout
from ruamel.yaml import YAML

import tiny
from conftest import HOME
from latent_factors.heal import heal
from tiny import command

KILLS = 6
SIDE_BY_SIDE = re.findall(r"^(?:TRAIN|CHAPTERS) := (.+)$", (HOME / "Makefile").read_text(), re.MULTILINE)
SOME = ("settings", "chapter-00", "chapter-10")  # a small part of the pipeline


@pytest.fixture(scope="session")
def built(tmp_path_factory, worker_id):
    """A tiny project whose pipeline ran once, results committed; processes of pytest-xdist make one together."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "tiny"
    share(folder, {"made": lambda: tiny.make(folder)})
    for stages in SIDE_BY_SIDE:
        alone = ("dvc", "--wait-for-lock", "repro", "--single-item")
        share(folder, {stage: functools.partial(command, folder, *alone, stage) for stage in stages.split()})
    share(folder, {"finished": lambda: finish(folder)})
    return folder


def share(folder: Path, work: dict[str, Callable[[], object]]) -> None:
    """Do what no other process has done or is doing, then wait until all is done."""
    locks = {name: FileLock(folder.with_name(f"{folder.name}-{name}.lock")) for name in work}
    for timeout in (0, -1):
        for name, lock in locks.items():
            done = folder.with_name(f"{folder.name}-{name}.done")
            with contextlib.suppress(Timeout), lock.acquire(timeout=timeout):
                if not done.exists():
                    work[name]()
                    done.touch()


def finish(folder: Path) -> None:
    printed = command(folder, sys.executable, "-m", "latent_factors.repro")  # what `make repro` runs
    assert re.search(r"^stage 68 of 68: render\n", printed, re.MULTILINE)
    assert re.search(r"^3 of 68 stages ran in .*; 65 were up to date, 0 came from DVC's cache$", printed, re.MULTILINE)
    command(folder, "git", "add", "--all")
    command(folder, "git", "commit", "--quiet", "--message", "results")


@pytest.fixture
def clone(built, tmp_path):
    """A copy of it, to change at will."""
    return shutil.copytree(built, tmp_path / "tiny", symlinks=True)


def ran(printed: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", printed))


def hashes(folder) -> dict:
    """The hashes of every stage's outputs."""
    stages = YAML(typ="safe").load((folder / "dvc.lock").read_text())["stages"]
    return {name: {out["path"]: out["md5"] for out in stage.get("outs", [])} for name, stage in stages.items()}


def test_a_second_repro_runs_nothing(clone):
    assert len(hashes(clone)) == 68
    printed = command(clone, "dvc", "repro")
    assert ran(printed) == set()
    assert "Data and pipelines are up to date" in printed
    assert command(clone, "git", "status", "--short") == ""
    printed = command(clone, sys.executable, "-m", "latent_factors.repro")
    assert "Nothing to do: all 68 stages are up to date" in printed


def test_readable_without_running(clone):
    reports = clone / "reports"
    for name in ("index.html", "README.md", "claims.md", "metrics.json", "chapters/20-rating-prediction.html",
                 "chapters/20-rating-prediction.ipynb", "figures/20-uniform-dimension-curve.svg"):
        assert (reports / name).stat().st_size > 500, name
    assert "Nothing was tuned on tiny" in (reports / "chapters/20-rating-prediction.html").read_text()


def test_changing_one_models_section_reruns_that_model_and_its_readers(clone):
    before = (clone / "params.yaml").read_text()
    tiny.change(clone, lambda values: values["rating"]["mf"].update(l2=0.5))
    assert ran(command(clone, "dvc", "repro")) == {
        "settings", "train-rating@tiny-rating-mf", "chapter-00", "chapter-20", "claims", "render",
    }
    command(clone, "git", "checkout", "--quiet", ".")
    command(clone, "dvc", "checkout", "--quiet")
    assert (clone / "params.yaml").read_text() == before
    assert ran(command(clone, "dvc", "repro")) == set()


def test_changing_a_search_reruns_that_method_and_its_readers(clone):
    tiny.change(clone, lambda values: values["search"]["mf"]["dnis"].update(l1=0.5))
    assert ran(command(clone, "dvc", "repro")) == {
        "settings", "search-rating@tiny-rating-mf-dnis", "chapter-50", "claims", "render",
    }
    for change in ({"rates": [0.0, 0.25]}, {"blocks": 2}, {"dim": 1}):
        tiny.change(clone, lambda values, change=change: values["search"]["mf"]["shared"].update(change))
        printed = command(clone, "dvc", "status", "search-rating")
        assert {f"search-rating@tiny-rating-mf-{method}" for method in ("uniform", "magnitude", "dnis")} == set(
            re.findall(r"search-rating@[\w-]+", printed)
        )


def test_an_unknown_key_stops_before_training(clone):
    tiny.change(clone, lambda values: values["rating"]["mf"].update(dimm=3))
    printed = command(clone, "dvc", "repro", check=False)
    assert "error: params.yaml: unknown key rating.mf.dimm; did you mean dim?" in printed
    assert "train-" not in printed
    command(clone, "git", "checkout", "--quiet", ".")
    tiny.change(clone, lambda values: values.update(dataset="tinny"))
    printed = command(clone, "dvc", "repro", check=False)
    assert "error: params.yaml: dataset tinny is not under data/; `make data` fetches a catalogued one" in printed
    assert "train-" not in printed


def test_an_experiment_is_compared(clone):
    command(clone, "dvc", "exp", "run", "--set-param", "rating.mf.dim=3")
    shown = command(clone, "dvc", "exp", "show", "--only-changed", "--md")
    assert "rating.mf.dim" in shown
    assert "rating.mf.rmse" in shown
    assert len(shown.strip().splitlines()) == 5
    notebook = ("-m", "latent_factors.notebook", "notebooks/experiments.ipynb", "build/compared")
    read = ("-p", "folder", "build/search/tiny-rating-mf-dnis", "-p", "changed", "rating.mf.dim")
    command(clone, sys.executable, *notebook, *read)
    assert (clone / "build/compared/k-max.png").stat().st_size > 5000


def test_push_and_pull(clone, tmp_path):
    command(clone, "dvc", "remote", "add", "--default", "--force", "--quiet", "store", str(tmp_path / "store"))
    command(clone, "git", "commit", "--quiet", "--all", "--message", "remote")
    command(clone, "dvc", "push")
    command(tmp_path, "git", "clone", "--quiet", str(clone), "fresh")
    command(tmp_path / "fresh", "dvc", "pull")
    assert (tmp_path / "fresh/build/train/tiny-rating-mf/weights.safetensors").is_file()
    assert (tmp_path / "fresh/reports/index.html").is_file()
    assert ran(command(tmp_path / "fresh", "dvc", "repro")) == set()


def test_killed_at_any_moment_the_next_run_completes_with_the_same_hashes(clone, tmp_path):
    folder = tiny.make(tmp_path / "killed")
    moments = np.random.default_rng(os.getpid()).uniform(0.5, 8, KILLS)
    print("killed after", moments.round(2))
    for number, moment in enumerate(moments):
        process = subprocess.Popen(
            ["dvc", "repro", *SOME], cwd=folder, env=tiny.ENVIRONMENT, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        time.sleep(moment)
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)  # dvc and the stage's runner
        else:
            process.kill()  # dvc alone
        process.wait()
        command(folder, sys.executable, "-m", "latent_factors.heal")  # as `make repro` does
    command(folder, "dvc", "repro", *SOME)
    whole = hashes(clone)
    assert hashes(folder) == {name: whole[name] for name in hashes(folder)}
    assert "chapter-00" in hashes(folder)
    command(folder, "git", "add", "--all")
    assert command(folder, "git", "diff", "--stat", "--cached", "--", "data.dvc") == ""
    for path in (folder / "reports/metrics").iterdir():
        assert path.read_bytes() == (clone / "reports/metrics" / path.name).read_bytes(), path.name


def test_files_that_dvc_left_half_written_are_moved_aside(clone):
    lock, running = clone / "dvc.lock", clone / ".dvc/tmp/rwlock"
    whole, recorded = lock.read_text(), hashes(clone)
    assert heal(clone) == []
    for broken in (whole[:20], whole[: whole.index("schema:") + 3], ""):
        lock.write_text(broken)
        running.write_text("")
        with pytest.raises(AssertionError, match="dvc status: exit status"):
            command(clone, "dvc", "status")
        assert heal(clone) == [clone / "failed/rwlock", clone / "failed/dvc.lock"]
    assert ran(command(clone, "dvc", "repro")) == {"settings", "claims", "render"}  # the run cache knows the rest
    assert hashes(clone) == recorded
    conflict = f"schema: '2.0'\n<<<<<<< ours\n{whole}\n=======\n>>>>>>> theirs\n"
    lock.write_text(conflict)
    assert heal(clone) == []


def test_chapters_run_again_to_the_same_outputs(clone):
    """nbval runs the executed chapters and compares every output with the stored one."""
    chapters = sorted(str(path) for path in (clone / "build/chapters").glob("*/*.ipynb"))
    assert len(chapters) == 11
    printed = command(clone, sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "--quiet", *chapters)
    assert " passed" in printed
    assert "failed" not in printed
