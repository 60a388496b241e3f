"""From the ids of a row to the vectors of its fields."""

import torch
from torch import Tensor, nn

from latent_factors.data.lists import Lists
from latent_factors.embedding import look_up


def field_vectors(embedding: nn.Module, ids: Tensor, values: Tensor, lists: Lists | None) -> Tensor:
    """Return the vector of each field (B, F, K) for rows of ids (B, F) and of the numbers in numeric fields (B, M).

    A field's vector is that of its id. In the first M fields it is multiplied with the number; in the last ones, those
    of lists, it is the weighted sum over the list. Each list is summed once for the whole batch and stands below the
    table, so that one look-up serves all fields.
    """
    numeric = values.shape[1]
    if lists:
        sums = (embedding(lists.ids) * lists.weights.unsqueeze(-1)).sum(1)  # (G, K)
        vectors = look_up(torch.cat([embedding.whole(), sums]), ids)
    else:
        vectors = embedding(ids)
    if not numeric:
        return vectors
    return torch.cat([vectors[:, :numeric] * values.unsqueeze(-1), vectors[:, numeric:]], 1)
