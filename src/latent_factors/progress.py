"""How far the pipeline is, read off what DVC prints: which stage of how many runs, and what became of each."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MET = re.compile(r"(?:Running stage|Stage) '([^']+)'(:| didn't change| is cached)")
OUTCOMES = {":": "ran", " is cached": "restored", " didn't change": "unchanged"}
ENDS = "Updating lock file"  # a stage's results are recorded
FAULT = re.compile(r"error: |ERROR: ")
DROPPED = re.compile("|".join((
    "$", "> ", "Generating lock", "Updating lock", "To track the", "To enable auto", "\tgit add", "\tdvc config",
    "Use `dvc push`", "Data and pipelines are up", "'data.dvc' didn't change",
)))


@dataclass
class Progress:
    """What became of the stages so far. Several DVC processes may tell of them, each a line at a time.

    Attributes:
        total: how many stages the pipeline has.
        outcomes: "ran", "restored" (from DVC's cache) or "unchanged", by stage in the order in which they were met.
        seconds: how long each that ran took, from DVC's first word of it to its record.
        buried: whether something else was shown after the last line that tells of a fault.
    """

    total: int
    clock: Callable[[], float] = time.monotonic
    outcomes: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    buried: bool = False
    _running: dict[str, tuple[str, float]] = field(default_factory=dict)  # by process: its stage and when it began

    def read(self, process: str, line: str) -> str | None:
        """Take a line (without its end) that a process printed; return what is to be shown for it, or None."""
        met = MET.match(line)
        if met or line.startswith(ENDS):
            self.end(process)
        shown = None if DROPPED.match(line) else line
        if met:
            shown = self._meet(process, met[1], OUTCOMES[met[2]])
        if shown is not None:
            self.buried = not FAULT.match(line)
        return shown

    def end(self, process: str) -> None:
        """Note that what a process ran, if anything, is over."""
        if process in self._running:
            stage, began = self._running.pop(process)
            self.seconds[stage] = self.clock() - began

    def _meet(self, process: str, stage: str, outcome: str) -> str | None:
        if outcome == "unchanged":
            self.outcomes.setdefault(stage, outcome)
            return None
        self.outcomes[stage] = outcome
        title = f"stage {list(self.outcomes).index(stage) + 1} of {self.total}: {stage}"
        if outcome == "restored":
            return f"{title}, from DVC's cache"
        self._running[process] = (stage, self.clock())
        return title
