"""Rows of click data as models take them: numbers first, lists such as genres last, each different list once."""

import numpy as np
import torch
from torch import Tensor

from latent_factors.data.features import Features
from latent_factors.data.fields import Field
from latent_factors.data.lists import Lists


def encode(fields: list[Field], features: Features, device: torch.device) -> tuple[Tensor, Tensor, Lists | None]:
    """Return what n rows hold in F fields, those of numbers first and those of lists last.

    - ids (n, F) int32: the id of each field's value; for lists, N and the number of the list.
    - values (n, M): the numbers in the first M fields.
    - the lists; None where no field holds any.
    """
    kinds = [field.kind for field in fields]
    numeric, several = kinds.count("float"), kinds.count("token_seq")
    ends = np.cumsum([field.codes.shape[1] for field in fields])
    ids = features.encode(fields, np.int32)
    values = np.concatenate([np.empty((len(ids), 0), np.float32)] + [field.values for field in fields[:numeric]], 1)
    lists = None
    if several:
        first = len(fields) - several  # fields before hold one value a row
        own = np.split(ids[:, first:], ends[first:-1] - first, axis=1)
        numbers, lists = _gather(own, [field.values for field in fields[first:]], device)
        ids = np.concatenate([ids[:, :first], (features.number + numbers).astype(np.int32)], 1)
    return torch.from_numpy(ids).to(device), torch.from_numpy(values).to(device), lists


def _gather(ids: list[np.ndarray], weights: list[np.ndarray], device: torch.device) -> tuple[np.ndarray, Lists]:
    """Return the number of each row's list in each field (n, fields), and the lists; a field's ids are (n, w)."""
    longest = max(field.shape[1] for field in ids)
    cells = [
        np.concatenate([np.pad(part, ((0, 0), (0, longest - part.shape[1]))) for part in field], 1)
        for field in zip(ids, weights, strict=True)
    ]
    different, numbers = np.unique(np.concatenate(cells), axis=0, return_inverse=True)
    known, weight = (torch.from_numpy(part).to(device) for part in np.split(different, 2, axis=1))
    return numbers.reshape(len(ids), -1).T, Lists(len(ids), known.long(), weight.float())
