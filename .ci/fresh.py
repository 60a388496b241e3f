"""Do dvc.lock and reports/ belong to the committed code, parameters and data?

A fresh clone has no build/, so outputs that are only missing are fine; anything that *differs* from what
dvc.lock recorded is not.
"""

import json
import subprocess
import sys
from pathlib import Path

from latent_factors import shelf

HOME = Path(__file__).parent.parent

status = subprocess.run(
    [Path(sys.executable).parent / "dvc", "status", "--json"], cwd=HOME, capture_output=True, text=True, check=True
)
stale = []
for stage, changes in json.loads(status.stdout).items():
    for change in changes:
        if isinstance(change, str):
            stale.append(f"{stage}: {change}")
            continue
        for kind, entries in change.items():
            for name, what in entries.items():
                if isinstance(what, dict):  # parameters: {key: how it differs}
                    stale += [f"{stage}: {kind}: {key} {how}" for key, how in what.items()]
                elif not (what in ("deleted", "not in cache") and name.startswith(("build/", "data"))):
                    stale.append(f"{stage}: {kind}: {name} {what}")
dry = subprocess.run(["make", "--dry-run", "shelf"], cwd=HOME, capture_output=True, text=True, check=True)
stages = dry.stdout.strip().partition("latent_factors.shelf ")[2].split()
stale += [f"reports/shelf: {name} belongs to no output in dvc.lock: `make shelf`" for name in shelf.stale(HOME)]
stale += [f"reports/shelf: lacks outputs of {stage}: `make shelf`" for stage in shelf.lacking(HOME, stages)]
for line in stale:
    print(line)
if stale:
    sys.exit("the committed results do not belong to the committed code: run `dvc repro` and commit what it made")
print("dvc.lock and reports/ belong to the committed code, parameters and data")
