"""Work in processes of its own ends with the process that asked for it."""

import os
import subprocess
import sys
import time
from pathlib import Path

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


def alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def wait(condition, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return condition()


def test_workers_do_not_outlive_a_killed_process(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path)])
    assert wait(lambda: len(list(tmp_path.iterdir())) == 2)
    process.kill()
    process.wait()
    assert wait(lambda: not any(alive(path.name) for path in tmp_path.iterdir()), 10)
