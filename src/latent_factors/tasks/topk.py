"""Top-k recommendation from implicit feedback: which items will a user take next?"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors import ranking
from latent_factors.data.describe import describe
from latent_factors.data.features import Features, rank_features
from latent_factors.data.histories import Histories
from latent_factors.data.splits import Parts, split
from latent_factors.data.table import Interactions, load_interactions
from latent_factors.models import Inputs
from latent_factors.models.losses import alignment, uniformity
from latent_factors.sections import Data, Ranking

SCORED_CELLS = 2**24  # users by items scored at a time: 64 MiB
WATCHED_EVENTS = 2048


@dataclass(frozen=True)
class TopKTask:
    """A data set, split and numbered, as tensors on a device; every event counts as liking.

    The catalogue are the I items of the training part, numbered by falling frequency. An item never seen in training
    cannot be told from another, so no model recommends one; where it is relevant it counts as missed.

    Attributes:
        interactions: the events, n of them.
        parts: their rows in train, validation and test.
        features: the vocabulary of the training part; fields user and item.
        ids: (n, 2) ids of every event.
        person: (n,) who: users numbered as in the data set, those never seen in training too.
        cutoffs: the list lengths k, the first of them decides in validation.
        data: how the files are read.
        known: rows of events that are never drawn as negatives nor ranked; None for those of the training part.
        hidden: rows of events that are not ranked either, though training knows nothing of them.
    """

    interactions: Interactions
    parts: Parts
    features: Features
    ids: Tensor
    person: Tensor
    cutoffs: tuple[int, ...]
    data: Data
    known: np.ndarray | None = None
    hidden: np.ndarray | None = None

    larger_is_better = True
    metrics = ranking.METRICS

    @property
    def metric(self) -> str:
        """What decides in validation."""
        return f"ndcg@{self.cutoffs[0]}"

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.interactions.dataset

    def lines(self, part: str) -> np.ndarray:
        """Return the line of each event of a part in the .inter file (n,)."""
        return self.interactions.line[getattr(self.parts, part)]

    @property
    def size(self) -> int:
        """How many events train: n."""
        return len(self.parts.train)

    @property
    def people(self) -> int:
        """How many users the data set has."""
        return len(self.interactions.user.categories)

    @property
    def catalogue(self) -> int:
        """I, the number of items seen in training."""
        return len(self.features.tokens[-1])

    @cached_property
    def frequency(self) -> Tensor:
        """How many training events hold each id: n_f (N,), as float32."""
        return torch.from_numpy(self.features.counts).to(self.ids.device, torch.float32)

    @property
    def popularity(self) -> Tensor:
        """How many training events hold each item of the catalogue (I,)."""
        first = int(self.features.starts[-1])
        return self.frequency[first : first + self.catalogue]

    @cached_property
    def train(self) -> Tensor:
        """The ids (n, 2) of the training events."""
        return self.ids[self.parts.train]

    @cached_property
    def inputs(self) -> Inputs:
        """What a model must know of the data."""
        first, counts = int(self.features.starts[1]), torch.from_numpy(self.features.counts)
        events = self.train - torch.tensor([0, first], device=self.ids.device)
        return Inputs(
            number=self.features.number, fields=2, unseen=torch.nonzero(counts == 0)[:, 0], mean=0.0,
            items=torch.arange(first, first + self.catalogue, device=self.ids.device),
            history=self._history(self.parts.train),
            attributes=partial(describe, self.dataset, self.data, self.features.tokens, events),
        )

    def batches(self, model: nn.Module, generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield the training events in a fresh order, each with items that its user has not, drawn uniformly.

        The first tensor (2 + M, B) holds ids: the users, the items taken, then M = `model.negatives` others. A model
        that draws more for each batch, by its method `draw`, finds it behind.
        """
        order = torch.randperm(self.size, generator=generator, device=generator.device)
        ids = self.train.index_select(0, order).T
        drawn = self._taken.others(ids[:1].expand(model.negatives, -1), generator)
        ids = torch.cat([ids, drawn + int(self.features.starts[1])])
        if hasattr(model, "draw"):
            return ((part, *model.draw(generator)) for part in ids.split(size, 1))
        return zip(ids.split(size, 1), strict=True)

    def carve(self, share: float, seed: int) -> tuple["TopKTask", "TopKTask"]:
        """Return this task with a share of its training events cut off, and with nothing but them to train on.

        Neither draws an event of the other as a negative, nor ranks it.
        """
        rest, held = self.parts.carve(share, seed)
        return replace(self, parts=rest, known=self.parts.train), replace(self, parts=held, known=self.parts.train)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Return the model's own mean loss () of a batch: training events (2 + M, B) and what the model drew."""
        return model.loss(*batch)

    def sweep(self, model: nn.Module) -> Tensor:
        """Let a model solve for all training events once; it has no loss to show: NaN ()."""
        model.sweep()
        return self.frequency.new_tensor(torch.nan)

    def score(self, model: nn.Module) -> Tensor:
        """Return the mean validation ndcg () at the first cutoff."""
        k = self.cutoffs[0]
        return ranking.ndcg(self.recommend(model, "validation", k)[1], self.relevant("validation"), k).mean()

    @cached_property
    def persons(self) -> dict[str, Tensor]:
        """The users who have events in a part, by part: only they are evaluated there."""
        return {part: self.person[rows].unique() for part, rows in self.parts}

    @cached_property
    def truths(self) -> dict[str, Histories]:
        """The items of the catalogue that each user of the data set has in a part, by part."""
        return {part: self._gather(rows) for part, rows in self.parts}

    def relevant(self, part: str) -> Tensor:
        """Return how many events each evaluated user has in a part (U,), those on unseen items included."""
        return torch.bincount(self.person[getattr(self.parts, part)])[self.persons[part]]

    @torch.no_grad()
    def recommend(self, model: nn.Module, part: str, k: int) -> tuple[Tensor, Tensor]:
        """Return the k best items (U, k) for the users of a part, and which are hits (U, k).

        The whole catalogue is ranked but for what the user had before: the training items, and for the test part
        those of validation too. Items are numbers in the catalogue.
        """
        scores, truth, before = model.scorer(), self.truths[part], self._before[part]
        lists = []
        for persons in self.persons[part].split(max(1, SCORED_CELLS // self.catalogue)):
            scored = scores(self._user[persons])
            scored[before.cells(persons)] = -torch.inf
            lists.append(ranking.top(scored, truth.mask(persons), k))
        items, hits = zip(*lists, strict=True)
        return torch.cat(items), torch.cat(hits)

    @torch.no_grad()
    def watch(self, model: nn.Module) -> dict[str, Tensor]:
        """Return what a model's vectors do on the sphere: `alignment` and `uniformity` (), lower is better of each.

        Alignment is that of a sample of training events, uniformity the mean of that of their different users and of
        their different items. A model without `vectors` gives none.
        """
        if not hasattr(model, "vectors"):
            return {}
        different, place = self._sample.unique(return_inverse=True)
        unit = F.normalize(model.vectors(different), dim=-1)
        users = int((different < self.features.starts[1]).sum())
        apart = uniformity(unit[:users]) + uniformity(unit[users:])
        return {"alignment": alignment(*unit[place]), "uniformity": apart / 2}

    def outputs(self, model: nn.Module, part: str) -> dict[str, Tensor]:
        """Return what is kept of a part: `items` and `hits` (U, k) at the largest cutoff."""
        items, hits = self.recommend(model, part, max(self.cutoffs))
        return {"items": items.int(), "hits": hits}

    def measure(self, outputs: dict[str, Tensor], part: str) -> dict[str, Tensor]:
        """Return each metric (), the mean over users, of a part's outputs."""
        relevant = self.relevant(part).to(outputs["hits"].device)
        return {
            f"{name}@{k}": metric(outputs["hits"], relevant, k).mean()
            for k in self.cutoffs for name, metric in self.metrics.items()
        }

    @cached_property
    def _sample(self) -> Tensor:
        """The ids (2, m) of the training events that are watched."""
        drawn = torch.randperm(self.size, generator=torch.Generator().manual_seed(0))[:WATCHED_EVENTS]
        return self.train[drawn.to(self.ids.device)].T

    @property
    def _known(self) -> np.ndarray:
        return self.parts.train if self.known is None else self.known

    @cached_property
    def _taken(self) -> Histories:
        """The items that are never drawn as negatives, by user id."""
        return self.inputs.history if self.known is None else self._history(self.known)

    def _history(self, rows: np.ndarray) -> Histories:
        """Return the events of some training rows, by user id."""
        first = int(self.features.starts[1])
        return Histories.of(self.ids[rows, 0], self.ids[rows, 1] - first, first, self.catalogue)

    @cached_property
    def _user(self) -> Tensor:
        """The id of each user of the data set."""
        user = self.ids.new_zeros(self.people)
        user[self.person] = self.ids[:, 0]
        return user

    @cached_property
    def _before(self) -> dict[str, Histories]:
        """What must not be recommended to a part's users."""
        had = [self._known] if self.hidden is None else [self._known, self.hidden]
        earlier = {"validation": had, "test": [*had, self.parts.validation]}
        return {part: self._gather(np.concatenate(rows)) for part, rows in earlier.items()}

    def _gather(self, rows: np.ndarray) -> Histories:
        """Return the events of some rows on items of the catalogue, by user of the data set."""
        items = self.ids[rows, -1] - int(self.features.starts[-1])
        known = items < self.catalogue
        return Histories.of(self.person[rows][known], items[known], self.people, self.catalogue)


def prepare(dataset: str, data: Data, settings: Ranking, device: torch.device) -> TopKTask:
    """Read, split and number a data set.

    Raises UserError for anything wrong with the files or the split.
    """
    interactions = load_interactions(dataset, data, rated=False)
    parts = split(interactions, settings.split)
    columns = [interactions.user, interactions.item]
    features = rank_features(("user", "item"), columns, parts.train)
    return TopKTask(
        interactions, parts, features,
        ids=torch.from_numpy(features.encode(columns)).to(device),
        person=torch.from_numpy(interactions.user.codes.astype(np.int64)).to(device),
        cutoffs=tuple(settings.cutoffs),
        data=data,
    )
