"""What stands for an item in a ranker's table, and the study of it."""

from typing import Annotated

from pydantic import Field, model_validator

from latent_factors.sections.base import Count, Section, Seed
from latent_factors.sections.generate import Residual
from latent_factors.sections.models import FM
from latent_factors.sections.protocols import Data, Shares


class NewItems(Shares):
    """Shares of the items that only validation and only test see, and of the other events that go there too."""

    items: Annotated[float, Field(gt=0, lt=0.5)]


class Plain(Section):
    """A row an item: nothing to set."""


class Content(Section):
    """The content itself, by a linear map: nothing to set."""


class Hashed(Section):
    """Items hashed at random into `rows`."""

    rows: Count
    seed: Seed


class NGrams(Section):
    """`length` codes at a time, in a table of at most `rows`: hashed where there are more."""

    length: Count
    rows: Count
    seed: Seed


class SubWords(Section):
    """Pieces of codes, merged until there are `rows` of them."""

    rows: Count


class Keys(Section):
    """One kind of keys."""

    plain: Plain | None = None
    hashed: Hashed | None = None
    ngrams: NGrams | None = None
    subwords: SubWords | None = None
    content: Content | None = None

    @model_validator(mode="after")
    def _names_one_kind(self) -> "Keys":
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(f"keys are of one kind, one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """The kind's name."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def own(self) -> Section:
        """The kind's settings."""
        return getattr(self, self.kind)

    @property
    def of_codes(self) -> bool:
        """Whether they are made of codes."""
        return self.kind in ("ngrams", "subwords")


class Arm(Section):
    """Keys, and the factorisation machine that ranks by them."""

    keys: Keys
    fm: FM


class KeyStudy(Section):
    """Rankers on one data set that differ in what stands for an item; each was tuned in `trials`."""

    dataset: str
    data: Data
    protocol: NewItems
    positive_above: float
    negative_below: float
    codes: Residual
    arms: Annotated[dict[str, Arm], Field(min_length=2)]
    trials: Count

    @model_validator(mode="after")
    def _has_the_arms_that_are_compared(self) -> "KeyStudy":
        if self.codes.source != "content":
            raise ValueError("codes.source must be content, as nobody has taken a new item yet")
        hashed = {arm.keys.own.rows for arm in self.arms.values() if arm.keys.kind == "hashed"}
        for name, arm in self.arms.items():
            if arm.keys.of_codes and arm.keys.own.rows not in hashed:
                raise ValueError(f"{name} needs an arm of hashed items with as many rows, {arm.keys.own.rows}")
        kinds = {arm.keys.kind for arm in self.arms.values()}
        missing = [kind for kind in ("plain", "content", "ngrams", "subwords") if kind not in kinds]
        if missing:
            raise ValueError(f"arms need one of each kind that is compared; {missing[0]} is missing")
        if not self.rows_of_both:
            raise ValueError("arms need sub-words and bigrams in tables of as many rows")
        return self

    @property
    def rows_of_both(self) -> list[int]:
        """The sizes of tables that stand with sub-words and with bigrams, ascending."""
        keys = [arm.keys for arm in self.arms.values()]
        bigrams = {own.ngrams.rows for own in keys if own.kind == "ngrams" and own.ngrams.length == 2}
        return sorted(bigrams & {own.subwords.rows for own in keys if own.kind == "subwords"})
