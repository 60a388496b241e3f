"""What `make repro` does: mend and check, run what changed two stages at a time, say at the end what came of it.

    python -m latent_factors.repro STAGE ... -- STAGE ... -- ...

The stages before the first dashes, then those before the next ones, and so on, run side by side: one that starts or
ends leaves a core idle. Then comes all the rest, and the book.
"""

import functools
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from latent_factors import nursery, summary, unchanged
from latent_factors.book import site
from latent_factors.errors import UserError
from latent_factors.paths import root
from latent_factors.progress import FAULT, Progress

AT_ONCE = 2
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["latent_factors.quick", "latent_factors.repro"])
_one_line = threading.Lock()  # at a time is read and shown
_running: set[BaseProcess] = set()


def plan(project: Path) -> tuple[int, bool]:
    """Return how many stages a project has, and whether any of them changed.

    Raises UserError where DVC cannot tell.
    """
    from dvc.dependency import param
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    whole, param.load_path = param.load_path, functools.cache(param.load_path)  # else params.yaml is parsed every stage
    try:
        with Repo(str(project)) as repo:
            return sum(hasattr(stage, "name") for stage in repo.index.stages), bool(repo.status())
    except DvcException as error:
        raise UserError(f"DVC says: {' '.join(str(error).split())}") from None
    finally:
        param.load_path = whole


def side_by_side(stages: list[str], progress: Progress) -> list[str]:
    """Let `AT_ONCE` processes run the stages, each taking the next until one fails; return what went wrong."""
    waiting, faults = iter(stages), []

    def work() -> None:
        for stage in waiting:
            if faults:
                return
            faults.extend(follow(stage, _dvc, ["--single-item", stage], progress))

    workers = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return faults


def follow(name: str, work: Callable, arguments: list, progress: Progress) -> list[str]:
    """Run work that returns an exit status in a process of its own and show what it prints as the progress has it.

    Return the lines that say why it failed, if it did. The process is forked from a server that has imported DVC.
    """
    faults = []
    reader, writer = FORKING.Pipe(duplex=False)
    process = FORKING.Process(target=_say_into, args=(writer, work, arguments))
    process.start()
    writer.close()
    _running.add(process)
    with reader, open(reader.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
        for line in map(str.rstrip, lines):
            faults += [line] if FAULT.match(line) else []
            with _one_line:
                shown = progress.read(name, line)
                if shown is not None:
                    print(shown, flush=True)
    process.join()
    _running.remove(process)
    progress.end(name)
    return faults or [f"error: {name} ended with status {process.exitcode}"] if process.exitcode else []


def bring_up_to_date(groups: list[list[str]], progress: Progress) -> list[str]:
    """Run what changed, if anything, and record that nothing did since; return what went wrong.

    Raises UserError for a fault in params.yaml, or one that DVC has with the project.
    """
    from latent_factors import heal, quick, settings, shelf  # with DVC, which a run without changes need not wait for

    heal.main()
    settings.main()
    faults = []
    files = unchanged.fingerprint(root())  # before DVC looks: a change meanwhile makes another
    progress.total, changed = plan(root())
    if changed:
        shelf.take(root())
        try:
            with nursery.ready():
                for stages in groups:
                    faults = faults or side_by_side(stages, progress)
            faults = faults or follow("all", _dvc, [], progress)
        finally:
            quick.restore(root() / "dvc.lock")
        if faults:
            return faults
        files = unchanged.fingerprint(root())
        _, changed = plan(root())
    if not changed:
        unchanged.record(root(), files, progress.total)
    return []


def main(groups: list[list[str]]) -> int:
    """Make what is not up to date and print a summary; return the exit status, 1 where a stage failed.

    Raises UserError for a fault in params.yaml, or one that DVC has with the project.
    """
    began, faults = time.monotonic(), []
    total = unchanged.stages(root())
    progress = Progress(total or 0)
    if total is None:
        faults = bring_up_to_date(groups, progress)
    if not faults:
        site.build(root() / "build" / "book")
        print(summary.text(progress, time.monotonic() - began, root()))
    elif progress.buried:
        print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


def run(arguments: list[str]) -> None:
    """Do what the command line says, and exit."""
    groups = [list(own) for dashes, own in itertools.groupby(arguments, "--".__eq__) if not dashes]
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(main(groups))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _dvc(*words: str) -> int:
    from latent_factors import quick

    return quick.dvc(["--wait-for-lock", "repro", *words])


def _say_into(writer: Connection, work: Callable, arguments: list) -> None:
    """Do work whose output, that of its children too, goes into a pipe; end with the status it returns.

    It ends at once when the process that asked for it is gone.
    """
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    for descriptor, stream in enumerate((sys.stdout, sys.stderr), start=1):
        os.dup2(writer.fileno(), descriptor)
        stream.reconfigure(line_buffering=True)
    writer.close()
    sys.exit(work(*arguments))


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _stop(*_) -> None:
    """End with all that runs: a stage's runner ends when its DVC does."""
    for process in tuple(_running):
        process.terminate()
    sys.exit(128 + signal.SIGTERM)
