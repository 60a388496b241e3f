"""Recommendation of the next item: what will a user take after what they took, in its order?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors import ranking
from latent_factors.data.features import rank_features
from latent_factors.data.histories import ItemSequences
from latent_factors.data.sequences import split_in_order
from latent_factors.data.table import load_interactions
from latent_factors.models import Inputs
from latent_factors.sections import Data, Sequences
from latent_factors.tasks import topk

METRICS = {name: ranking.METRICS[name] for name in ("ndcg", "hit", "mrr")}  # with one relevant item recall is hit


@dataclass(frozen=True, kw_only=True)
class SequenceTask(topk.TopKTask):
    """Of each user the last event is test and the one before it validation; a model sees what came before, in order.

    For validation that is the training part, for test the event of validation too. An item that training never saw is
    left out of histories, and cannot be recommended: where it is the next one it counts as missed. Users have no ids,
    they are what they took; the id of an item is its number in the catalogue, and I stands for no item.

    Attributes:
        order: (n,) the rows of the events by user, and in order within the user.
        length: L, how many items in a row a model sees at most; of a longer history the last ones count.
        rank_history: whether items that the user has had are ranked too.
    """

    order: np.ndarray
    length: int
    rank_history: bool

    metrics = METRICS

    @cached_property
    def inputs(self) -> Inputs:
        """What a model must know of the data."""
        return Inputs(
            number=self.features.number, fields=1, unseen=self.ids.new_tensor([self.catalogue]), mean=0.0,
            items=torch.arange(self.catalogue, device=self.ids.device),
            history=self._gather(self.parts.train), sequences=self.earlier["validation"],
        )

    @cached_property
    def earlier(self) -> dict[str, ItemSequences]:
        """What each user of the data set took before a part, in order: for validation, what trains."""
        parts = {"validation": (self.parts.train,), "test": (self.parts.train, self.parts.validation)}
        return {part: self._in_order(np.concatenate(rows)) for part, rows in parts.items()}

    def histories(self, part: str) -> tuple[Tensor, Tensor]:
        """Return what a model sees of the users of a part: their last items (U, L), and how many they are (U,).

        The oldest comes first; rows are filled up to the right with I.
        """
        return self.earlier[part].last(self.persons[part])

    def batches(
        self, model: nn.Module, generator: torch.Generator, size: int
    ) -> Iterator[tuple[Tensor, torch.Generator]]:
        """Yield windows (B, L + 1) of the training sequences in a fresh order, none wider than the longest in it.

        All items of a window but the first are to be predicted. The generator behind it is for what the model draws.
        """
        windows = self.inputs.sequences.windows(generator)
        order = torch.randperm(len(windows), generator=generator, device=generator.device)
        batches = windows[order].split(size)
        widths = torch.stack([(batch < self.catalogue).sum(1).max() for batch in batches])
        for batch, width in zip(batches, widths.tolist(), strict=True):  # all widths at once: a GPU waits once
            yield batch[:, :width], generator

    @torch.no_grad()
    def recommend(
        self, model: nn.Module, part: str, k: int, histories: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the k best items (U, k) for the users of a part, and which are hits (U, k).

        The whole catalogue is ranked, but for what the user has had unless `rank_history` is set. A model sees the
        users' own histories, or those given (U, ...) in their place.
        """
        scores, truth = model.scorer(), self.truths[part]
        seen, size = self.histories(part)[0] if histories is None else histories, topk.SCORED_CELLS // self.catalogue
        lists = []
        for persons, own in zip(*(rows.split(max(1, size)) for rows in (self.persons[part], seen)), strict=True):
            scored = scores(own)
            if not self.rank_history:
                scored[self._before[part].cells(persons)] = -torch.inf
            lists.append(ranking.top(scored, truth.mask(persons), k))
        items, hits = zip(*lists, strict=True)
        return torch.cat(items), torch.cat(hits)

    def again(self, part: str) -> Tensor:
        """Return which users of a part (U,) had its item before: only where histories are ranked can it be found."""
        persons = self.persons[part]
        wanted = torch.full_like(persons, self.catalogue)
        row, items = self.truths[part].cells(persons)
        wanted[row] = items
        row, items = self._before[part].cells(persons)
        found = torch.zeros(len(persons), dtype=torch.bool, device=persons.device)
        found[row[items == wanted[row]]] = True
        return found

    def _in_order(self, rows: np.ndarray) -> ItemSequences:
        """Return the events of some rows on items of the catalogue, by user of the data set and in order."""
        wanted = np.zeros(len(self.order), bool)
        wanted[rows] = True
        rows = self.order[wanted[self.order]]
        items = self.ids[rows, 0]
        known = items < self.catalogue
        return ItemSequences.of(self.person[rows][known], items[known], self.people, self.catalogue, self.length)


def prepare(dataset: str, data: Data, settings: Sequences, device: torch.device) -> SequenceTask:
    """Read a data set, cut each user's events by their order and number the items.

    Raises UserError for anything wrong with the files or the split.
    """
    interactions = load_interactions(dataset, data, rated=False, repeats=True)
    parts, order = split_in_order(interactions, settings)
    features = rank_features(("item",), [interactions.item], parts.train)
    return SequenceTask(
        interactions, parts, features, data=data,
        ids=torch.from_numpy(features.encode([interactions.item])).to(device),
        person=torch.from_numpy(interactions.user.codes.astype(np.int64)).to(device),
        cutoffs=tuple(settings.cutoffs),
        order=order, length=settings.length, rank_history=settings.rank_history,
    )
