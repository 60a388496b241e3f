"""Kernels that start at once: forked from a process that has imported what takes every kernel seconds.

    python -m latent_factors.nursery COMMAND ...    run a command beside such a process

Within the command the runner of notebooks starts its kernels here (`launcher`); where nothing answers, a kernel starts
as Jupyter starts one. What is imported ahead is of other projects: this project's own code each kernel imports anew.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latent_factors.lifetime import end_with_parent

SOCKET = "LATENT_FACTORS_NURSERY"  # names the socket to ask
AHEAD = (
    "torch", "safetensors.torch", "scipy.stats", "matplotlib.pyplot", "pandas", "seaborn", "pydantic",
    "ipykernel.ipkernel",
)
COLUMNS = 20  # of a table that pandas shows in a notebook; it sets that at its import, for a terminal here
# What a kernel finds in its environment. Some of it counts only where Python itself or OpenMP starts.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "0",
    "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm would like bars in notebooks; none are wanted
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "GOMP_SPINCOUNT": "1000",  # waiting threads sleep soon: else two runs at a time crawl
}


def launcher() -> list[str]:
    """Return the command that starts a kernel, to which its arguments are added."""
    return [sys.executable, "-m", "latent_factors.nursery" if SOCKET in os.environ else "ipykernel_launcher"]


@contextmanager
def ready() -> Iterator[None]:
    """Keep a nursery for what is started meanwhile."""
    with tempfile.TemporaryDirectory(prefix="latent-factors-") as folder:
        os.environ[SOCKET] = str(Path(folder) / "nursery")
        serving = subprocess.Popen(
            [sys.executable, "-m", "latent_factors.nursery", "--serve", str(os.getpid())],
            env=os.environ | ENVIRONMENT,
        )
        try:
            yield
        finally:
            del os.environ[SOCKET]
            serving.kill()
            serving.wait()


def run(command: list[str]) -> int:
    """Run a command while a nursery stands ready; return its exit status."""
    with ready():
        return subprocess.run(command, check=False).returncode


def serve(parent: int) -> None:
    """Import what is imported ahead, then fork a kernel for each that asks, until the parent is gone."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ[SOCKET])
    listener.listen()
    end_with_parent(parent)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the kernels
    for name in AHEAD:
        __import__(name)
    sys.modules["pandas"].set_option("display.max_columns", COLUMNS)
    while True:
        asking, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            become_kernel(asking)
        asking.close()


def become_kernel(asking: socket.socket) -> None:
    """Be the kernel that is asked for: its environment, folder, module path and arguments."""
    from ipykernel.kernelapp import launch_new_instance

    asked = json.loads(asking.makefile().readline())
    threading.Thread(target=_end_with, args=(asking,), daemon=True).start()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:] = asked["path"]
    for name in [name for name in sys.modules if name.split(".")[0] == "latent_factors"]:
        del sys.modules[name]
    launch_new_instance(argv=[*asked["arguments"], "--quiet"])
    os._exit(0)


def _end_with(asking: socket.socket) -> None:
    """End when whoever asked for this kernel is gone."""
    asking.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def ask(arguments: list[str]) -> None:
    """Ask for a kernel and live as long as it does; where nobody answers, become one."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Jupyter interrupts a kernel that is to end
    asking = socket.socket(socket.AF_UNIX)
    try:
        asking.connect(os.environ[SOCKET])
    except OSError:
        os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *arguments])
    path = sys.path[1:]  # without this folder, as ipykernel_launcher leaves it
    asked = {"folder": str(Path.cwd()), "environment": dict(os.environ), "path": path, "arguments": arguments}
    asking.sendall((json.dumps(asked) + "\n").encode())
    asking.recv(1)


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--serve"]:
        serve(int(words[1]))
    elif words[:1] == ["-f"]:
        ask(words)
    else:
        sys.exit(run(words))
