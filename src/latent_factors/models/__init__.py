"""Models, one paper a file; a file is found by the model's name in params.yaml."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from latent_factors.data.attributes import Attributes
from latent_factors.data.histories import Histories, ItemSequences
from latent_factors.data.lists import Lists
from latent_factors.embedding import UniformTable
from latent_factors.sections import Section


@dataclass(frozen=True)
class Inputs:
    """What a model must know of the data.

    Attributes:
        number: N, the size of the id space.
        fields: F, the ids in a row.
        unseen: ids that stand for values not seen in training.
        mean: the mean target of the training rows.
        items: (I,) ids of the items seen in training.
        lists: for click prediction, the lists of values that the last fields of a row hold.
        history: for top-k recommendation, the training items of each user id.
        attributes: for top-k recommendation, reads what else is known of users and items; its argument is how many of
            them share a value that is not rare.
        sequences: for recommending the next item, the training items of each user in order; there ids are item
            numbers, and the id that stands for what is not seen fills rows up.
        identifiers: for spelling the next item, makes the identifiers of a scheme.
        content: for recommending unseen items, what the items of training tell of themselves, (I, ...) by kind.
    """

    number: int
    fields: int
    unseen: Tensor
    mean: float
    items: Tensor | None = None
    history: Histories | None = None
    lists: Lists | None = None
    attributes: Callable[[int], Attributes] | None = None
    sequences: ItemSequences | None = None
    identifiers: Callable[[Section], Any] | None = None
    content: dict[str, Tensor] | None = None


def build(
    name: str, settings: Section, inputs: Inputs, wrap: Callable[[UniformTable], nn.Module] = lambda table: table
) -> nn.Module:
    """Make an untrained model; its parameters come from torch's global generator.

    The module `latent_factors.models.<name>` holds it as `Model(embedding, settings, inputs)`, and the width
    of its embedding as `Model.width(settings)` where it has one. `wrap` makes another kind of embedding of the table.
    """
    kind = _model(name)
    if not hasattr(kind, "width"):
        return kind(None, settings, inputs)
    return kind(wrap(UniformTable(inputs.number, kind.width(settings), inputs.unseen)), settings, inputs)


def width(name: str, settings: Section) -> int:
    """Return how many columns the embedding of a model has."""
    return _model(name).width(settings)


def _model(name: str) -> type[nn.Module]:
    return import_module(f"{__name__}.{name}").Model
