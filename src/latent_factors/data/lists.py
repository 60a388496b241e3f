"""The lists of values, such as genres, that some fields of click data hold."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Lists:
    """G different lists of up to w values; the vector of a list is the weighted sum of its values' vectors.

    A list has an id as values have: the N ids of values go before.

    Attributes:
        fields: how many fields hold lists.
        ids: (G, w) ids of the values.
        weights: (G, w) float32; 0 beyond the end of a list.
    """

    fields: int
    ids: Tensor
    weights: Tensor
