"""The settings of every method of input search."""

from typing import Annotated, Literal

from pydantic import Field

from latent_factors.sections.base import Count, Rate, Section, Share, Strength


class Shared(Section):
    """What all methods of an input search have: the table at full width, and what is left of it.

    `dim` is K-max, one of the model's curve; `rates` are the shares of the table's entries that go.
    """

    dim: Count
    rates: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=1)]
    blocks: Count
    alpha_share: Share


class NothingToSet(Section):
    """A method that has what all have."""


class DNIS(Section):
    """Differentiable neural input search.

    `normalise` is what α's gradient is divided by: the mean size of each block's, of the whole table's, or nothing.
    `keep` says which epoch's weights and α go on.
    """

    alpha_rate: Rate
    l1: Strength
    order: Literal["first", "second"]
    normalise: Literal["blocks", "table", "none"]
    freeze: bool
    keep: Literal["best", "last"]
    epochs: Count
    patience: Count


class NIS(Section):
    """Neural input search by a controller; `cost` is the price of a table twice as large as the target."""

    cost: Strength
    controller_rate: Rate
    epochs: Count


class MDE(Section):
    """Mixed dimensions by a power law of frequency."""

    power: Strength


class RandomDims(Section):
    """Random search: so many draws of dimensions a rate."""

    draws: Count


class StrongerL2(Section):
    """The penalty times each of these."""

    factors: Annotated[list[Rate], Field(min_length=1)]


class Variants(Section):
    """What is changed of DNIS, one thing at a time; `stops` are epochs that it ends after, whatever validation says."""

    switches: list[Literal[
        "prune by weight", "prune whole dimensions", "random blocks", "second order", "one scale", "other freeze",
    ]]
    blocks: list[Count]
    dims: list[Count]
    alpha_rates: list[Rate]
    l1s: list[Strength]
    stops: list[Count]


class Search(Section):
    """The methods of input search for one model."""

    shared: Shared
    uniform: NothingToSet
    magnitude: NothingToSet
    stronger_l2: StrongerL2
    random_dims: RandomDims
    mde: MDE
    nis: NIS
    dnis: DNIS
    variants: Variants


class Searches(Section):
    """Input search: a section a model."""

    mf: Search
    fm: Search
    bpr: Search
