"""Click prediction: from everything known of an event to the probability of a click."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.data.clicks import load_clicks
from latent_factors.data.features import Features, rank_features
from latent_factors.data.fields import KINDS
from latent_factors.data.lists import Lists
from latent_factors.data.rows import encode
from latent_factors.data.splits import Parts, split
from latent_factors.data.table import Interactions
from latent_factors.errors import UserError
from latent_factors.evaluate import auc, logloss
from latent_factors.models import Inputs
from latent_factors.sections import Clicks, Data

METRICS = {"auc": auc, "logloss": logloss}
GATHERED_ROWS = 2**18  # at a time, of an epoch's fresh order: 80 MiB of ids at 39 fields
PREDICTED_ROWS = 2**13  # at a time: 10 MiB of looked-up vectors at K = 16 and 20 fields


@dataclass(frozen=True)
class CTRTask:
    """Click data, split and encoded, as tensors on a device.

    Attributes:
        events: n events.
        parts: their rows in train, validation and test.
        features: the vocabulary of the training part.
        ids: (n, F) int32, the id of each field's value; for lists, in the last fields, N and the list's number.
        values: (n, M) float32, the numbers in the first M fields, which are numeric.
        label: (n,) float32, 1 for a click, 0 for none.
        lists: the lists of values; None where no field holds any.
    """

    events: Interactions
    parts: Parts
    features: Features
    ids: Tensor
    values: Tensor
    label: Tensor
    lists: Lists | None

    metric = "logloss"
    larger_is_better = False

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.events.dataset

    def lines(self, part: str) -> np.ndarray:
        """Return the line of each event of a part in the .inter file (n,)."""
        return self.events.line[getattr(self.parts, part)]

    @property
    def size(self) -> int:
        """How many events train: n."""
        return len(self.parts.train)

    @property
    def train(self) -> tuple[Tensor, Tensor, Tensor]:
        """The training rows: ids (n, F), values (n, M) and labels (n,)."""
        return self._part(self.parts.train)

    @cached_property
    def validation(self) -> tuple[Tensor, Tensor, Tensor]:
        """The validation rows: ids (m, F), values (m, M) and labels (m,)."""
        return self._part(self.parts.validation)

    @cached_property
    def test(self) -> tuple[Tensor, Tensor, Tensor]:
        """The test rows, touched once, after training: ids (m, F), values (m, M) and labels (m,)."""
        return self._part(self.parts.test)

    @cached_property
    def inputs(self) -> Inputs:
        """What a model must know of the data."""
        unseen = torch.nonzero(torch.from_numpy(self.features.counts) == 0)[:, 0]
        return Inputs(self.features.number, self.ids.shape[1], unseen, self.mean, lists=self.lists)

    @cached_property
    def mean(self) -> float:
        """The share of clicks in the training part."""
        return float(self.label[self._rows].double().mean())

    @cached_property
    def frequency(self) -> Tensor:
        """How often each id stands in the training rows: n_f (N,), as float32."""
        return torch.from_numpy(self.features.counts).to(self.ids.device, torch.float32)

    def batches(
        self, model: nn.Module, generator: torch.Generator, size: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the training rows in a fresh order: ids (B, F) int64, values (B, M) and labels (B,)."""
        order = torch.randperm(self.size, generator=generator, device=generator.device)
        for rows in self._rows.index_select(0, order).split(size * max(1, GATHERED_ROWS // size)):
            ids, *others = (column.index_select(0, rows) for column in (self.ids, self.values, self.label))
            yield from zip(*(column.split(size) for column in (ids.long(), *others)), strict=True)

    def carve(self, share: float, seed: int) -> tuple["CTRTask", "CTRTask"]:
        """Return this task with a share of its training rows cut off, and with nothing but them to train on."""
        rest, held = self.parts.carve(share, seed)
        return replace(self, parts=rest), replace(self, parts=held)

    def loss(self, model: nn.Module, ids: Tensor, values: Tensor, label: Tensor) -> Tensor:
        """Return the mean logloss () of training rows: ids (B, F), values (B, M) and labels (B,)."""
        return F.binary_cross_entropy_with_logits(model(ids, values), label)

    def sweep(self, model: nn.Module) -> Tensor:
        """Let a model solve for all training rows once; return their mean logloss ()."""
        model.sweep(*self.train)
        return self.loss(model, *self.train)

    @torch.no_grad()
    def predict(self, model: nn.Module, ids: Tensor, values: Tensor) -> Tensor:
        """Return the probability of a click (n,) for rows of ids and values (n, M)."""
        blocks = zip(ids.split(PREDICTED_ROWS), values.split(PREDICTED_ROWS), strict=True)
        return torch.cat([model(own.long(), numbers) for own, numbers in blocks]).sigmoid()

    def score(self, model: nn.Module) -> Tensor:
        """Return the validation logloss ()."""
        ids, values, label = self.validation
        return logloss(self.predict(model, ids, values), label)

    def watch(self, model: nn.Module) -> dict[str, Tensor]:
        """Return what else is told of a model after an epoch: nothing."""
        return {}

    def outputs(self, model: nn.Module, part: str) -> dict[str, Tensor]:
        """Return what is kept of a part: `probability` (n,)."""
        ids, values, _ = getattr(self, part)
        return {"probability": self.predict(model, ids, values)}

    def measure(self, outputs: dict[str, Tensor], part: str) -> dict[str, Tensor]:
        """Return each metric () of a part's outputs."""
        label = getattr(self, part)[2].to(outputs["probability"].device)
        return {name: metric(outputs["probability"], label) for name, metric in METRICS.items()}

    @cached_property
    def _rows(self) -> Tensor:
        """The training rows' numbers (n,)."""
        return torch.from_numpy(self.parts.train).to(self.ids.device)

    def _part(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        return self.ids[rows], self.values[rows], self.label[rows]


def prepare(dataset: str, data: Data, clicks: Clicks, device: torch.device, ids: bool = True) -> CTRTask:
    """Read, split and encode a data set; without `ids`, the user and the item themselves are no fields.

    Raises UserError for anything wrong with the files or the split, no field left, or a part without both clicks
    and others.
    """
    read = load_clicks(dataset, data, clicks)
    fields = [field for field in read.fields if ids or field.name not in (data.user, data.item)]
    fields.sort(key=lambda field: KINDS.index(field.kind))
    if not fields:
        raise UserError(f"{dataset} has no field but {data.user} and {data.item}; choose the task ctr")
    parts = split(read.events, clicks.split)
    for name, rows in parts:
        if len(np.unique(read.label[rows])) < 2:
            raise UserError(
                f"the {name} part of {dataset} has not both clicks and others among its {len(rows)} rows; choose other"
                " shares or another seed under clicks.split in params.yaml, or a larger data set"
            )
    features = rank_features(tuple(field.name for field in fields), fields, parts.train, clicks.min_count)
    encoded, values, lists = encode(fields, features, device)
    label = torch.from_numpy(read.label).to(device)
    return CTRTask(read.events, parts, features, encoded, values, label, lists)
