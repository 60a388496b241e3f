"""The pipeline end to end on made data: what runs, what does not, and what survives."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from ruamel.yaml import YAML

import latent_factors
import tiny
from conftest import planted
from latent_factors import shelf, unchanged
from latent_factors.heal import heal
from latent_factors.nursery import launcher
from latent_factors.runs import load_run
from latent_factors.settings import load_settings
from tiny import command

KILLS = 6
SOME = ("settings", "chapter-00", "chapter-10")  # a small part of the pipeline


def ran(printed: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", printed))


def hashes(folder) -> dict:
    """The hashes of every stage's outputs."""
    stages = YAML(typ="safe").load((folder / "dvc.lock").read_text())["stages"]
    return {name: {out["path"]: out["md5"] for out in stage.get("outs", [])} for name, stage in stages.items()}


def test_a_second_repro_runs_nothing(clone):
    assert len(hashes(clone)) == 84
    printed = command(clone, "dvc", "repro")
    assert ran(printed) == set()
    assert "Data and pipelines are up to date" in printed
    assert command(clone, "git", "status", "--short") == ""
    assert (clone / "data.dvc").read_text().startswith("outs:\n")
    assert (clone / "dvc.lock").read_text().startswith("schema: '2.0'\n")
    printed = command(clone, sys.executable, "-m", "latent_factors.repro")
    assert "Nothing to do: all 84 stages are up to date" in printed
    assert unchanged.stages(clone) == 84  # the next need not ask DVC


def test_readable_without_running(clone):
    reports = clone / "reports"
    for name in ("README.md", "claims.md", "metrics.json", "chapters/20-rating-prediction.ipynb",
                 "figures/20-uniform-dimension-curve.svg"):
        assert (reports / name).stat().st_size > 500, name
    assert "Nothing was tuned on tiny" in (reports / "chapters/20-rating-prediction.ipynb").read_text()


def test_changing_a_search_reruns_that_method_and_its_readers(clone):
    tiny.change(clone, lambda values: values["search"]["mf"]["dnis"].update(l1=0.5))
    assert ran(command(clone, "dvc", "repro")) == {
        "settings", "search-rating@tiny-rating-mf-dnis", "chapter-50", "chapter-80", "claims", "render",
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


def test_an_experiment_reruns_that_model_and_its_readers_and_is_compared(clone):
    before = (clone / "params.yaml").read_text()
    assert ran(command(clone, "dvc", "exp", "run", "--set-param", "rating.mf.dim=3")) == {
        "settings", "train-rating@tiny-rating-mf", "chapter-00", "chapter-20", "chapter-80", "claims", "render",
    }
    shown = command(clone, "dvc", "exp", "show", "--only-changed", "--md")
    assert "rating.mf.dim" in shown
    assert "rating.mf.rmse" in shown
    assert len(shown.strip().splitlines()) == 5
    notebook = ("-m", "latent_factors.notebook", "notebooks/experiments.ipynb", "build/compared")
    read = ("-p", "folder", "build/search/tiny-rating-mf-dnis", "-p", "changed", "rating.mf.dim")
    command(clone, sys.executable, *notebook, *read)
    assert (clone / "build/compared/k-max.png").stat().st_size > 5000
    command(clone, "git", "checkout", "--quiet", ".")
    command(clone, "dvc", "checkout", "--quiet")
    assert (clone / "params.yaml").read_text() == before
    assert ran(command(clone, "dvc", "repro")) == set()


def test_push_and_pull(clone, tmp_path):
    command(clone, "dvc", "remote", "add", "--default", "--force", "--quiet", "store", str(tmp_path / "store"))
    command(clone, "git", "commit", "--quiet", "--all", "--message", "remote")
    command(clone, "dvc", "push")
    command(tmp_path, "git", "clone", "--quiet", str(clone), "fresh")
    command(tmp_path / "fresh", "dvc", "pull")
    assert (tmp_path / "fresh/build/train/tiny-rating-mf/weights.safetensors").is_file()
    assert (tmp_path / "fresh/reports/README.md").is_file()
    assert ran(command(tmp_path / "fresh", "dvc", "repro")) == set()


def test_what_lies_on_the_shelf_is_not_trained(clone):
    before = hashes(clone)
    shelf.put(clone, ["ablation-cml"])
    shutil.rmtree(clone / ".dvc/cache/runs")
    for path in (clone / shelf.SHELF).rglob("*.dir"):
        (clone / ".dvc/cache" / path.relative_to(clone / shelf.SHELF)).unlink()
    shutil.rmtree(clone / "build/ablation/tiny-topk-cml")
    printed = command(clone, sys.executable, "-m", "latent_factors.repro")
    assert re.search(r"^0 of 84 stages ran in .*; 83 were up to date, 1 came from DVC's cache$", printed, re.MULTILINE)
    assert (clone / "build/ablation/tiny-topk-cml/run.json").is_file()
    assert hashes(clone) == before


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


def test_a_run_that_is_killed_leaves_no_process_behind(tmp_path):
    folder = tiny.make(tmp_path / "killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "latent_factors.repro", "train-rating", "train-ctr"], cwd=folder, env=tiny.ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    said = iter(process.stdout.readline, "")
    assert any("notebooks/train.ipynb" in line for line in said)
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) > 2
    process.kill()
    assert psutil.wait_procs(started, timeout=20)[1] == []


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
    assert ran(command(clone, "dvc", "repro", *SOME)) == {"settings"}  # the run cache knows the rest
    assert hashes(clone) == {name: recorded[name] for name in hashes(clone)}
    assert "chapter-00" in hashes(clone)
    conflict = f"schema: '2.0'\n<<<<<<< ours\n{whole}\n=======\n>>>>>>> theirs\n"
    lock.write_text(conflict)
    assert heal(clone) == []


def test_every_model_is_loaded_and_gives_its_stored_outputs(built, monkeypatch):
    monkeypatch.chdir(built)
    load_settings.cache_clear()
    names = sorted(path.name for path in (built / "build/train").iterdir())
    assert len(names) == 46
    for name in names:
        last = len(json.loads((built / "build/train" / name / "run.json").read_text())["seeds"]) - 1
        trained = latent_factors.load(name, last)
        stored = load_run(built / "build/train" / name, trained.task).outputs["test"]
        for key, own in trained.task.outputs(trained.module, "test").items():
            assert torch.equal(own, stored[key][0, last]), (name, key)
    load_settings.cache_clear()


def test_a_readers_own_csv(clone):
    ratings = planted(users=30, items=20, rank=2, noise=0.3, filled=0.6)
    ratings.loc[[0, 1], "rating"] = None
    ratings.to_csv(clone / "own.csv", sep=";", index=False)
    with (clone / "own.csv").open("a") as file:
        file.write(";i1;3;0\nu1;i2;3;never\nu1;i3\n")
    names = {
        "user_column": "user_id", "item_column": "item_id", "rating_column": "rating", "time_column": "timestamp",
    }
    texts = {"csv": "own.csv", "name": "books", "person": "u1", "title_column": "", **names}
    options = [word for pair in texts.items() for word in ("-p", *pair)]
    command(
        clone, sys.executable, "-m", "latent_factors.notebook", "notebooks/80-your-data.ipynb", "build/own", *options
    )
    page = (clone / "build/own/80-your-data.ipynb").read_text()
    assert f"**{len(ratings) - 2:,} of {len(ratings) + 3:,} rows are used**, 5 are not." in page
    assert "User **u1** has" in page
    assert (clone / "build/own/data/books/books.inter").read_text().count("\n") == len(ratings) - 1


def test_chapters_run_again_to_the_same_outputs(clone):
    """nbval runs the executed chapters and compares every output with the stored one."""
    chapters = sorted(str(path) for path in (clone / "build/chapters").glob("*/*.ipynb"))
    assert len(chapters) == 16
    kernel = clone / "jupyter/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": [*launcher(), "-f", "{connection_file}"], "display_name": "Python 3"}))
    nbval = ("pytest", "--nbval", "-p", "no:cacheprovider", "--quiet")
    printed = command(clone, "env", f"JUPYTER_PATH={clone / 'jupyter'}", sys.executable, "-m", *nbval, *chapters)
    assert " passed" in printed
    assert "failed" not in printed
