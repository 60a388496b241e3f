"""Work in processes of its own ends with the process that asked for it."""

import itertools
import subprocess
import sys

from conftest import alive, wait
from latent_factors.times import note_turn, waited
from latent_factors.turns import turn

WORK = """
import os, sys, time
from pathlib import Path
from latent_factors.processes import spread
from latent_factors.sections import Compute

def work(number):
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(120)

spread(work, [1, 2], Compute(device="cpu", threads=2))
"""


def test_workers_do_not_outlive_a_killed_process(project):
    started = project / "started"
    started.mkdir()
    process = subprocess.Popen([sys.executable, "-c", WORK, str(started)])
    assert wait(lambda: len(list(started.iterdir())) == 2)
    process.kill()
    process.wait()
    assert wait(lambda: not any(alive(path.name) for path in started.iterdir()), 10)


TURNS = """
import sys, time
from pathlib import Path
from latent_factors.processes import spread
from latent_factors.sections import Compute

def work(number):
    with (Path(sys.argv[1]) / "log").open("a") as log:
        log.write("+")
        log.flush()
        time.sleep(0.1)
        log.write("-")

spread(work, list(range(6)), Compute(device="cpu", threads=2))
"""


def test_two_stages_side_by_side_run_no_more_at_a_time_than_one_has_threads(project):
    processes = [subprocess.Popen([sys.executable, "-c", TURNS, str(project)]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    log = (project / "log").read_text()
    assert len(log) == 24
    running = list(itertools.accumulate(1 if sign == "+" else -1 for sign in log))
    assert max(running) == 2


def test_a_notebook_is_not_charged_for_waiting(project, monkeypatch):
    monkeypatch.setenv("LATENT_FACTORS_OUT", str(project / "build" / "running" / "1-train"))
    assert waited() == 0
    for began, asked, ended in [(5.0, 2.0, 9.0), (11.0, 9.0, 12.0), (6.0, 2.0, 8.0), (12.5, 12.0, 14.0)]:
        note_turn(began, asked, ended)
    assert waited() == 3 + 2 + 0.5
    assert waited() == 0
    with turn(1):
        pass
    assert waited() < 1
    (project / "build" / "times" / "running" / "1-train.turns").write_text("5.0 2")
    assert waited() == 0
