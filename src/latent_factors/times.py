"""How long each notebook took and on what, in build/times: beside DVC's outputs, so that no hash depends on it.

The file of build/train/NAME is build/times/train/NAME.json:

    seconds       wall time of the notebook, its kernel's start included, less what it waited for its turn
    started       when, as ISO 8601 in UTC
    threads       of torch, as params.yaml has it; null for a notebook that does not take `compute`
    device        cpu or cuda
    processor     the name that the system gives it
    cores         how many of them the process may use
"""

import contextlib
import json
import os
import platform
from datetime import datetime
from pathlib import Path

from latent_factors.paths import root


def times_path(out: Path) -> Path | None:
    """Return the file that tells of the notebook in `out`; None where that lies outside build/."""
    build = root() / "build"
    path = root() / out
    if not path.is_relative_to(build):
        return None
    return (build / "times" / path.relative_to(build)).with_name(f"{path.name}.json")


def read_times(out: Path) -> dict | None:
    """Return what is known of the run that filled `out`; None where it was made elsewhere or came from a cache."""
    path = times_path(out)
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError):
        return None


def note_turn(began: float, asked: float, ended: float) -> None:
    """Note for the notebook that runs, if one does, when a run began, had asked for its turn, and ended (s)."""
    path = _turns()
    if path is not None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{began} {asked} {ended}\n")


def waited() -> float:
    """Return how long (s) the notebook that ran had asked for turns and no run of it had one, and forget it.

    What cannot be read is left out: no result hangs on it.
    """
    path, waiting, reached = _turns(), 0.0, 0.0
    if path is None or not path.is_file():
        return 0.0
    with contextlib.suppress(OSError, ValueError):
        lines = path.read_text(encoding="utf-8").splitlines()
        path.unlink()
        for began, asked, ended in sorted([float(time) for time in line.split()] for line in lines):
            waiting += max(0.0, began - max(asked, reached))
            reached = max(reached, ended)
    return waiting


def _turns() -> Path | None:
    running = os.environ.get("LATENT_FACTORS_OUT")
    path = times_path(Path(running)) if running else None
    return path.with_suffix(".turns") if path else None


def write_times(out: Path, seconds: float, started: datetime, compute: dict | None, gpu: bool) -> None:
    """Note how long the notebook in `out` took; where that cannot be written, results count all the same.

    `compute` is that section of params.yaml where the notebook takes it, and `gpu` whether torch saw one.
    """
    path = times_path(out)
    if path is None:
        return
    took = {
        "seconds": round(seconds - waited(), 2),
        "started": started.isoformat(timespec="seconds"),
        "threads": compute["threads"] if compute else None,
        "device": "cuda" if compute and gpu and compute["device"] != "cpu" else "cpu",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(took, indent=1) + "\n", encoding="utf-8")
        part.replace(path)


def processor() -> str:
    """Return the processor's name, or its architecture where the system tells no more."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
