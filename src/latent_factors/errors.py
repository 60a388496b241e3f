"""What a user can mend: told in one sentence, never as a traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend: one sentence that names the file or key, and the remedy."""


class TrainingError(UserError):
    """A setting that a model cannot be trained with: its loss is no number, or its equations have no solution."""


def tell(work: Callable[[], None]) -> int:
    """Run a command's work and return its exit status; a fault becomes one line on stderr."""
    try:
        work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {unwritable(error)}", file=sys.stderr)
        return 1
    return 0


def unwritable(error: OSError, what: object = "a file") -> str:
    """Return the sentence for a disk that is full, read-only or not ours; `what` names it if the error does not."""
    return f"{error.filename or what} could not be written ({error.strerror}); free space there or make it writable"
