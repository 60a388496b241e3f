"""The next item, spelled token by token: the task `sequence` with identifiers for its items."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors.data.items import describe_items
from latent_factors.identifiers import Identifiers
from latent_factors.identifiers.known import Known, Sequences
from latent_factors.identifiers.schemes import identify
from latent_factors.models import Inputs
from latent_factors.sections import Data, Scheme
from latent_factors.sections import Sequences as Protocol
from latent_factors.tasks import sequence


@dataclass(frozen=True, kw_only=True)
class GenerateTask(sequence.SequenceTask):
    """Split, users, lists and metrics are those of the task `sequence`; so are the scores that decide in validation.

    A model is told how to make identifiers. What a scheme may know is the training part, and what items tell of
    themselves; items that training never saw have no identifier.
    """

    @cached_property
    def inputs(self) -> Inputs:
        """What a model must know of the data."""
        return replace(super().inputs, identifiers=self.identify)

    def spelling(self, identifiers: Identifiers) -> Inputs:
        """What a model must know of the data, with identifiers that are made already."""
        return replace(self.inputs, identifiers=lambda scheme: identifiers)

    def identify(self, scheme: Scheme) -> Identifiers:
        """Return the identifiers that a scheme gives the items of the catalogue."""
        return identify(scheme, self.known_of_items)

    @cached_property
    def known_of_items(self) -> Known:
        """What a scheme may know."""
        rows = {"train": self.parts.train, "all": np.arange(len(self.order))}
        return Known(
            self._walks(rows["train"]), describe_items(self.dataset, self.features.tokens[-1]), self._walks(rows["all"])
        )

    def _walks(self, rows: np.ndarray) -> Sequences:
        """Return the events of some rows on items of the catalogue, as schemes take them."""
        rank = np.empty(len(self.order))
        rank[self.order] = np.arange(len(self.order))
        item = self.ids[rows, -1].cpu().numpy()
        kept = item < self.catalogue
        rows, item = rows[kept], item[kept]
        times = self.interactions.line if self.interactions.timestamp is None else self.interactions.timestamp
        return Sequences.of(self.person[rows].cpu().numpy(), item, rank[rows], times[rows], self.catalogue)

    @torch.no_grad()
    def search(self, model: nn.Module, part: str, k: int, beams: int) -> tuple[Tensor, Tensor]:
        """Return the k items (U, k) that a beam search finds for the users of a part, and which are hits (U, k)."""
        truth, before, lists = self.truths[part], self._before[part], []
        for persons in self.persons[part].split(SEARCHED_USERS):
            taken = before.cells(persons) if not self.rank_history else before.cells(persons[:0])
            items, _ = model.generate(self.earlier[part].last(persons)[0], taken, k, beams)
            hits = truth.mask(persons).gather(1, items.clamp(min=0)) & (items >= 0)
            lists.append((items, hits))
        items, hits = zip(*lists, strict=True)
        return torch.cat(items), torch.cat(hits)


SEARCHED_USERS = 512


def prepare(dataset: str, data: Data, settings: Protocol, device: torch.device) -> GenerateTask:
    """Read, split and number a data set as the task `sequence` does.

    Raises UserError for anything wrong with the files or the split.
    """
    task = sequence.prepare(dataset, data, settings, device)
    return GenerateTask(**{name: getattr(task, name) for name in task.__dataclass_fields__})
