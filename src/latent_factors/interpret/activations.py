"""The vector just before scoring: read from a trained recommender, cut by users, and put back."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors.data.histories import Histories
from latent_factors.errors import UserError
from latent_factors.sections import Parting
from latent_factors.tasks.sequence import SequenceTask
from latent_factors.tasks.topk import TopKTask

Scores = Callable[[Tensor], Tensor]
"""From vectors just before scoring (B, K) to the scores (B, I) of all items."""


@dataclass(frozen=True)
class Activations:
    """What a trained recommender holds of the U users of the test part, in the order of `task.persons["test"]`.

    All vectors are divided by one number, so that the root mean square distance of `vectors` from their mean is 1. The
    order of a user's scores does not change by it.

    Attributes:
        vectors: (U, K) the vector from which the user's test recommendations come.
        pool: (n, K) all vectors that a dictionary may be learned from: of a model that reads a history, the state after
            each of its items; of others, which have one vector a user, the same.
        owner: (n,) the place of each one's user below U.
        scores: what makes scores of vectors.
    """

    vectors: Tensor
    pool: Tensor
    owner: Tensor
    scores: Scores

    @classmethod
    @torch.no_grad()
    def of(cls, model: nn.Module, task: TopKTask) -> "Activations":
        """Read them from a model whose scores are products with vectors of items.

        It either has a method `vectors` for users and items, or reads histories: see `models.sequential`.

        Raises UserError for another model.
        """
        if hasattr(model, "read"):
            vectors, pool, owner = _states(model, task)
            items = model.items()
        elif hasattr(model, "vectors"):
            vectors = pool = model.vectors(_ids(task))
            owner, items = torch.arange(len(vectors), device=vectors.device), model.vectors(task.inputs.items)
        else:
            raise UserError(
                f"{type(model).__module__.rpartition('.')[2]} has no vector just before scoring; look into a model with"
                " a method `vectors` or `read`"
            )
        scale = (vectors - vectors.mean(0)).square().sum(1).mean().sqrt()
        items = items.clone()  # the model may change
        return cls(vectors / scale, pool / scale, owner, lambda given: given @ items.T)


def _ids(task: TopKTask) -> Tensor:
    """Return the id of each user of the test part (U,)."""
    of_person = task.ids.new_zeros(int(task.person.max()) + 1)
    of_person[task.person] = task.ids[:, 0]
    return of_person[task.persons["test"]]


def _states(model: nn.Module, task: SequenceTask) -> tuple[Tensor, Tensor, Tensor]:
    """Return the state at the end of each test user's history (U, K), all states (n, K), and whose they are (n,)."""
    histories, lengths = task.histories("test")
    lengths = lengths.clamp(min=1)
    states = model.read(histories[:, : int(lengths.max())], lambda values: values)  # (U, L, K)
    users, places = (torch.arange(size, device=states.device) for size in states.shape[:2])
    true = places < lengths[:, None]
    return states[users, lengths - 1], states[true], users[:, None].expand_as(true)[true]


def taken(task: TopKTask) -> Histories:
    """Return the training items of each user of the data set."""
    items = task.ids[task.parts.train, -1] - int(task.features.starts[-1])
    return Histories.of(task.person[task.parts.train], items, int(task.person.max()) + 1, task.catalogue)


@dataclass(frozen=True)
class Parts:
    """Places of users (m,) below U.

    Attributes:
        dictionary: those that a dictionary is learned from.
        description: those that end its training, and on which its latents are described.
        judging: those that everything is judged on.
    """

    dictionary: Tensor
    description: Tensor
    judging: Tensor


def cut(users: int, settings: Parting) -> Parts:
    """Cut U users at random into three parts; whatever model is looked into, the parts are the same."""
    order = torch.from_numpy(np.random.default_rng(settings.seed).permutation(users))
    ends = [round(users * settings.dictionary), round(users * (settings.dictionary + settings.description))]
    return Parts(*(part.sort().values for part in order.tensor_split(ends)))


def only(task: TopKTask, users: Tensor) -> TopKTask:
    """Return the task with the test events of some users alone, given by their places (m,) among all."""
    chosen = task.persons["test"][users]
    rows = task.parts.test[torch.isin(task.person[task.parts.test], chosen).cpu().numpy()]
    return replace(task, parts=replace(task.parts, test=rows))


def before_test(task: TopKTask) -> TopKTask:
    """Return the task before its test part is looked at: its events of validation stand for those of test."""
    own = task.parts
    return replace(task, parts=replace(own, test=own.validation, validation=own.validation[:0]))


class Replayed:
    """A recommender whose vectors just before scoring are given: what `task.recommend` asks of a model.

    Args:
        vectors: (U, K) in the order of the users of a part, in which a task asks for their scores.
        scores: what makes scores of vectors.
    """

    def __init__(self, vectors: Tensor, scores: Scores):
        self.vectors, self.scores = vectors, scores

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from the next B users, told by ids or histories (B, ...), to the scores (B, I)."""
        place = 0

        def scores(users: Tensor) -> Tensor:
            nonlocal place
            rows = self.vectors[place : place + len(users)]
            place += len(users)
            return self.scores(rows)

        return scores
