"""Cut the events of each user by their order: the last one is test, the one before it validation."""

from dataclasses import replace

import numpy as np

from latent_factors.data.splits import Parts, split
from latent_factors.data.table import Interactions
from latent_factors.errors import UserError
from latent_factors.sections import Sequences, Split


def split_in_order(interactions: Interactions, settings: Sequences) -> tuple[Parts, np.ndarray]:
    """Return the parts, and all rows (n,) by user and in order within the user.

    The order is that of `settings.order`: by time, where events of one second keep their order in the file, or that of
    the file.

    Raises UserError for a user with fewer than three events, for times that are needed and missing, and when no user
    has two training events, so that there is no next item to learn from.
    """
    keys = _times(interactions) if settings.order == "time" else interactions.line.astype(float)
    cut = Split(kind="leave-last-out", validation=0.1, test=0.1, seed=0)  # shares are of no use here
    parts = split(replace(interactions, timestamp=keys), cut)
    if np.bincount(interactions.user.codes[parts.train]).max() < 2:
        raise UserError(
            f"no user of {interactions.dataset} has more than three events, so no training item has a next one; choose"
            " a larger data set"
        )
    return parts, np.lexsort((keys, interactions.user.codes))


def _times(interactions: Interactions) -> np.ndarray:
    return interactions.times(
        "sequences.order time", "set sequences.order in params.yaml to file if each user's lines stand in order"
    )
