"""From the ids of a row to the vectors of its fields."""

import torch
from torch import Tensor, nn

from latent_factors.data.lists import Lists
from latent_factors.embedding import look_up


def field_vectors(embedding: nn.Module, ids: Tensor, values: Tensor, lists: Lists | None) -> Tensor:
    """Return the vector of each field (B, F, K) for rows of ids (B, F) and of the numbers in numeric fields (B, M).

    A field's vector is that of its id. In the first M fields it is multiplied with the number; in the last ones, those
    of lists, it is the weighted sum over the list, and each list is summed once for the whole batch.
    """
    numeric, single = values.shape[1], ids.shape[1] - (lists.fields if lists else 0)
    vectors = embedding(ids[:, :single])
    parts = [vectors[:, :numeric] * values.unsqueeze(-1), vectors[:, numeric:]] if numeric else [vectors]
    if lists:
        sums = (embedding(lists.ids) * lists.weights.unsqueeze(-1)).sum(1)  # (G, K)
        parts.append(look_up(sums, ids[:, single:]))
    return torch.cat(parts, 1) if len(parts) > 1 else vectors
