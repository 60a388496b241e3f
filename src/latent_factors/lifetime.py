"""No process outlives the one that started it."""

import os
import threading
import time


def end_with_parent() -> None:
    """Exit when the process that started this one is gone, so that a killed `dvc repro` leaves none behind."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
