"""Click prediction without the ids of user and item: from attributes alone."""

import torch

from latent_factors.sections import Clicks, Data
from latent_factors.tasks import ctr


def prepare(dataset: str, data: Data, clicks: Clicks, device: torch.device) -> ctr.CTRTask:
    """Read, split and encode a data set.

    Raises UserError for anything wrong with the files or the split, no field left, or a part without both clicks
    and others.
    """
    return ctr.prepare(dataset, data, clicks, device, ids=False)
