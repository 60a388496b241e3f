"""Kernels forked ahead of need: the same outputs, and none that outlives who asked for it."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from conftest import alive, wait
from latent_factors.nursery import SOCKET, launcher

NURSERY = [sys.executable, "-m", "latent_factors.nursery"]
TELLS = """import os, sys, matplotlib, numpy, pandas, torch
print(sys.path, sorted(os.environ.items() - {("PWD", os.environ.get("PWD"))}), os.getcwd(), matplotlib.get_backend())
print(pandas.get_option("display.max_columns"), hash("a"), torch.get_num_threads(), __name__)
from latent_factors.errors import UserError
import latent_factors; print(latent_factors.__file__)"""


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Outside any nursery but those that a test starts."""
    monkeypatch.delenv(SOCKET, raising=False)


def write(project, source):
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), project / "made.ipynb")
    return [sys.executable, "-m", "latent_factors.notebook", "made.ipynb", "out"]


def told(project):
    (cell,) = nbformat.read(project / "out/made.ipynb", as_version=4).cells
    return "".join(output["text"] for output in cell.outputs)


def steady(text):
    """The environment without what names a run's folder or the way to the kernel."""
    own = ("OUT'", "NURSERY", "JPY_", "_SESSION")
    return [part for part in text.split("), (") if not any(word in part for word in own)]


def test_a_kernel_finds_what_it_would_find_without(project):
    command = write(project, TELLS)
    subprocess.run(command, check=True)
    plain = told(project)
    done = subprocess.run([*NURSERY, *command], capture_output=True, text=True, check=True)
    assert steady(told(project)) == steady(plain)
    assert done.stdout == ""


def test_a_command_keeps_its_exit_status(project):
    assert subprocess.run([*NURSERY, sys.executable, "-c", "raise SystemExit(7)"], check=False).returncode == 7
    done = subprocess.run([*NURSERY, *write(project, "1 / 0")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "stopped in cell 0 (ZeroDivisionError: division by zero)" in done.stderr


def test_a_kernel_ends_with_who_asked_for_it(project):
    tells = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\n"
    waits = write(project, tells + "time.sleep(120)")
    nursery = subprocess.Popen([*NURSERY, *waits])
    pid = project / "pid"
    assert wait(lambda: pid.exists() and pid.read_text(), 60)
    runner = subprocess.run(
        ["pgrep", "--parent", str(nursery.pid), "--full", "made.ipynb"], capture_output=True, text=True, check=True
    )
    os.kill(int(runner.stdout), 9)
    assert wait(lambda: not alive(pid.read_text()), 10)
    assert nursery.wait(10) == 256 - 9


def test_a_nursery_ends_with_who_started_it(tmp_path):
    sleeps = f"import os, time; print(os.environ['{SOCKET}'], flush=True); time.sleep(60)"
    process = subprocess.Popen([*NURSERY, sys.executable, "-c", sleeps], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip().endswith("nursery")
    server = subprocess.run(
        ["pgrep", "--parent", str(process.pid), "--full", "serve"], capture_output=True, text=True, check=True
    )
    process.kill()
    assert wait(lambda: not alive(server.stdout.strip()), 20)


def test_where_nobody_answers_a_kernel_starts_all_the_same(project, monkeypatch):
    monkeypatch.setenv(SOCKET, str(project / "gone"))
    assert launcher()[-1] == "latent_factors.nursery"
    subprocess.run(write(project, "print('here')"), check=True)
    assert told(project) == "here\n"
