"""Tasks, one a file: what is predicted, from what, and how it is judged."""

from importlib import import_module

import torch

from latent_factors.settings import Data, Section


def prepare(task: str, dataset: str, data: Data, protocol: Section, device: torch.device):
    """Read and split a data set for a task, a `latent_factors.fit.Task`.

    The module `latent_factors.tasks.<task>` does it; `protocol` is the section of params.yaml that cuts and judges.

    Raises UserError for anything wrong with the files or the split.
    """
    return import_module(f"{__name__}.{task}").prepare(dataset, data, protocol, device)
