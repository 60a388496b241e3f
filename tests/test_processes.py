"""Work in processes of its own ends with the process that asked for it."""

import itertools
import subprocess
import sys

from conftest import alive, wait

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


def test_workers_do_not_outlive_a_killed_process(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)])
    assert wait(lambda: len(list(tmp_path.iterdir())) == 2)
    process.kill()
    process.wait()
    assert wait(lambda: not any(alive(path.name) for path in tmp_path.iterdir()), 10)


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


def test_two_stages_side_by_side_run_no_more_at_a_time_than_one_has_threads(tmp_path):
    processes = [subprocess.Popen([sys.executable, "-c", TURNS, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    log = (tmp_path / "log").read_text()
    assert len(log) == 24
    running = list(itertools.accumulate(1 if sign == "+" else -1 for sign in log))
    assert max(running) == 2
