"""Work in processes of its own ends with the process that asked for it."""

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
