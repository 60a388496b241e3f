"""Other libraries on the same data, side by side: RecBole in a virtual environment of its own.

The scripts stand in ../shared/peers, beside the project; without them there is nothing to compare with.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from latent_factors.paths import root

EPOCHS = 6


def recbole() -> Path | None:
    """Return the interpreter of an environment with RecBole, made if need be; None without its scripts."""
    scripts = root().parent / "shared" / "peers"
    if not scripts.is_dir():
        print("no ../shared/peers beside the project: nothing is measured beside RecBole", file=sys.stderr)
        return None
    environment = root() / "build" / "recbole"
    python = environment / "bin" / "python"
    if not python.is_file():
        subprocess.run([scripts / "recbole_setup.sh", environment], check=True)
    return python


def measure(python: Path, model: str, dataset: str, threads: int, config: dict) -> dict[str, float]:
    """Return the seconds of a warm `epoch` and of a warm `evaluation` of RecBole's `model`.

    Its script times fits: one of EPOCHS epochs without evaluation less one of a single epoch gives the epochs; one
    with an evaluation an epoch less one without gives the evaluations.
    """
    def fit(epochs: int, evaluations: int) -> dict:
        words = [
            python, root().parent / "shared" / "peers" / "recbole_bench.py", model, dataset, "--data", root() / "data",
            "--epochs", str(epochs), "--config", json.dumps(config | {"eval_step": evaluations}),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, cwd=root() / "build")
        return json.loads(done.stdout.splitlines()[-1])

    first, plain, judged = fit(1, 0), fit(EPOCHS, 0), fit(EPOCHS, 1)
    return {
        "epoch": (plain["fit_s"] - first["fit_s"]) / (EPOCHS - 1),
        "evaluation": (judged["fit_s"] - plain["fit_s"]) / EPOCHS,
    }
