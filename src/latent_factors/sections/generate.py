"""How items are spelled, and the model that spells them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from latent_factors.sections.base import Count, Rate, Section, Seed, Strength
from latent_factors.sections.models import Described

Base = Annotated[int, Field(ge=2)]


class Drawn(Section):
    """Numbers drawn without replacement, written in a base."""

    base: Base
    seed: Seed


class Title(Section):
    """The first words of titles."""

    words: Count


class Independent(Section):
    """One token an item: nothing to set."""


class Sequential(Section):
    """Numbers along the users' sequences; users by `order`, which a seed draws where it is random."""

    order: Literal["time", "random", "short-first", "long-first"]
    base: Base
    seed: Seed


class Collaborative(Section):
    """Spectral clustering of co-occurrence into `clusters`, until a cluster has at most `leaf` items."""

    clusters: Base
    leaf: Count
    seed: Seed


class Semantic(Section):
    """Categories, at most `depth`, and the year."""

    depth: Count


class Residual(Described):
    """Codes of an RQ-VAE: `levels` of `codes` each, vectors of `dim`, quantised from `source`."""

    source: Literal["content", "collaborative", "both"]
    levels: Count
    codes: Base
    dim: Count
    hidden: Count
    beta: Strength
    epochs: Count
    batch_size: Count
    seed: Seed


class Scheme(Section):
    """One kind of identifier, or two, whose tokens follow one another in the order that they have here."""

    drawn: Drawn | None = None
    title: Title | None = None
    sequential: Sequential | None = None
    leaky: Sequential | None = None
    semantic: Semantic | None = None
    collaborative: Collaborative | None = None
    residual: Residual | None = None
    independent: Independent | None = None

    @model_validator(mode="after")
    def _names_a_kind(self) -> "Scheme":
        if not self.kinds:
            raise ValueError(f"a scheme needs a kind of identifier: one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kinds(self) -> dict[str, Section]:
        """The kinds that are set, by name."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def name(self) -> str:
        """The names of its kinds, joined by a plus sign."""
        return "+".join(self.kinds)


class Generative(Section):
    """An encoder–decoder transformer over identifiers, with `layers` on each side; it sees the last `history` items."""

    l2_power: ClassVar[float] = 1.0
    scheme: Scheme
    dim: Count
    heads: Count
    hidden: Count
    layers: Count
    history: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: Rate
    batch_size: Count
    epochs: Count
    patience: Count

    @model_validator(mode="after")
    def _divides(self) -> "Generative":
        if self.dim % self.heads:
            raise ValueError(f"heads must divide dim, got {self.heads} heads of {self.dim}")
        return self


class Generate(Section):
    """Spelling of the next item: a section a scheme."""

    generative_independent: Generative
    generative_joined: Generative
