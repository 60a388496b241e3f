"""From the vectors of a row's values to those of its fields."""

from itertools import groupby

import torch
from torch import Tensor


def field_vectors(vectors: Tensor, values: Tensor, widths: tuple[int, ...]) -> Tensor:
    """Return the vector of each field, the weighted sum over its columns (..., F, K).

    vectors (..., C, K), values (..., C); field f takes `widths[f]` of the C columns, side by side.
    """
    weighted = vectors * values.unsqueeze(-1)
    if max(widths) == 1:
        return weighted
    runs = [(width, len(list(run))) for width, run in groupby(widths)]  # neighbours of one width are summed at once
    parts = zip(weighted.split([width * number for width, number in runs], -2), runs, strict=True)
    return torch.cat([
        part if width == 1 else part.unflatten(-2, (number, width)).sum(-2) for part, (width, number) in parts
    ], -2)
