"""Tasks, one a file: what is predicted, from what, and how it is judged."""

from importlib import import_module

import torch

from latent_factors.fit import Task
from latent_factors.sections import Data, Section


def prepare(task: str, dataset: str, data: Data, protocol: Section, device: torch.device) -> Task:
    """Read and split a data set for a task, of type `latent_factors.fit.Task`.

    The module `latent_factors.tasks.<task>` does it; `protocol` is the section of params.yaml that cuts and judges.

    Raises UserError for anything wrong with the files or the split.
    """
    return import_module(f"{__name__}.{task}").prepare(dataset, data, protocol, device)
