"""What is known of users and items beside their ids: ages, occupations, years, genres, words of titles."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Side:
    """The attributes of users, or of items: R rows, one each in the order of their ids, the last for a stranger.

    Attributes:
        names: the fields, F of them.
        ids: (R, W) ids of values, the columns of a field side by side.
        field: (W,) the field of each column.
        defaults: (F,) the id that stands for no value, or one that is rare or unseen in training.
    """

    names: tuple[str, ...]
    ids: Tensor
    field: Tensor
    defaults: Tensor

    @cached_property
    def held(self) -> Tensor:
        """Where a column holds a value (R, W), bool."""
        return self.ids != self.defaults[self.field]

    @cached_property
    def member(self) -> Tensor:
        """Which columns belong to each field (F, W), bool."""
        return self.field == torch.arange(len(self.names), device=self.field.device)[:, None]

    @cached_property
    def several(self) -> Tensor:
        """Whether a column belongs to a field of several values (W,), bool."""
        return (self.member.sum(1) > 1)[self.field]


@dataclass(frozen=True)
class Attributes:
    """The attributes of users and of items, whose values share one id space.

    Attributes:
        user, item: the two sides.
        counts: (A,) float32, how many training events hold each id.
    """

    user: Side
    item: Side
    counts: Tensor
