"""Rating prediction: from a user and an item to the rating."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors.data.features import Features, rank_features
from latent_factors.data.splits import Parts, split
from latent_factors.data.table import Interactions, load_interactions
from latent_factors.evaluate import mae, mse, rmse
from latent_factors.models import Inputs
from latent_factors.sections import Data
from latent_factors.sections import Split as SplitSettings

METRICS = {"rmse": rmse, "mse": mse, "mae": mae}
PREDICTED_ROWS = 2**16  # at a time: 32 MiB of looked-up vectors at K = 64


@dataclass(frozen=True)
class RatingTask:
    """A data set, split and numbered, as tensors on a device.

    Attributes:
        interactions: the events, n of them.
        parts: their rows in train, validation and test.
        features: the vocabulary of the training part; fields user and item.
        ids: (n, 2) ids of every event.
        rating: (n,) float32.
        low, high: the scale, from the training part; predictions are clipped to it.
    """

    interactions: Interactions
    parts: Parts
    features: Features
    ids: Tensor
    rating: Tensor
    low: float
    high: float

    metric = "rmse"
    larger_is_better = False

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.interactions.dataset

    def lines(self, part: str) -> np.ndarray:
        """Return the line of each event of a part in the .inter file (n,)."""
        return self.interactions.line[getattr(self.parts, part)]

    @property
    def size(self) -> int:
        """How many ratings train: n."""
        return len(self.parts.train)

    @cached_property
    def train(self) -> tuple[Tensor, Tensor]:
        """The training rows: ids (n, 2) and ratings (n,)."""
        return self._part(self.parts.train)

    @cached_property
    def validation(self) -> tuple[Tensor, Tensor]:
        """The validation rows: ids (m, 2) and ratings (m,)."""
        return self._part(self.parts.validation)

    @cached_property
    def test(self) -> tuple[Tensor, Tensor]:
        """The test rows, touched once, after training: ids (m, 2) and ratings (m,)."""
        return self._part(self.parts.test)

    @cached_property
    def inputs(self) -> Inputs:
        """What a model must know of the data."""
        counts = torch.from_numpy(self.features.counts)
        first = int(self.features.starts[1])
        items = torch.arange(first, first + len(self.features.tokens[1]), device=self.ids.device)
        return Inputs(self.features.number, self.ids.shape[1], torch.nonzero(counts == 0)[:, 0], self.mean, items)

    @cached_property
    def mean(self) -> float:
        """The mean rating of the training part."""
        return float(self.train[1].double().mean())

    @cached_property
    def frequency(self) -> Tensor:
        """How many training rows hold each id: n_f (N,), as float32."""
        return torch.from_numpy(self.features.counts).to(self.ids.device, torch.float32)

    def batches(self, model: nn.Module, generator: torch.Generator, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the training rows in a fresh order: ids (B, 2) and ratings (B,)."""
        order = torch.randperm(self.size, generator=generator, device=generator.device)
        ids, rating = (column.index_select(0, order) for column in self.train)
        return zip(ids.split(size), rating.split(size), strict=True)

    def carve(self, share: float, seed: int) -> tuple["RatingTask", "RatingTask"]:
        """Return this task with a share of its training rows cut off, and with nothing but them to train on."""
        rest, held = self.parts.carve(share, seed)
        return replace(self, parts=rest), replace(self, parts=held)

    def loss(self, model: nn.Module, ids: Tensor, rating: Tensor) -> Tensor:
        """Return the mean squared error () of training rows, ids (B, 2) and ratings (B,), unclipped."""
        return mse(model(ids), rating)

    def sweep(self, model: nn.Module) -> Tensor:
        """Let a model solve for all training rows once; return their mean squared error ()."""
        model.sweep(*self.train)
        return self.loss(model, *self.train)

    @torch.no_grad()
    def predict(self, model: nn.Module, ids: Tensor) -> Tensor:
        """Return the predictions (n,) for rows of ids (n, 2), clipped to the scale."""
        return torch.cat([model(rows) for rows in ids.split(PREDICTED_ROWS)]).clamp(self.low, self.high)

    def score(self, model: nn.Module) -> Tensor:
        """Return the validation RMSE ()."""
        ids, rating = self.validation
        return rmse(self.predict(model, ids), rating)

    def watch(self, model: nn.Module) -> dict[str, Tensor]:
        """Return what else is told of a model after an epoch: nothing."""
        return {}

    def outputs(self, model: nn.Module, part: str) -> dict[str, Tensor]:
        """Return what is kept of a part: `prediction` (n,), clipped."""
        return {"prediction": self.predict(model, getattr(self, part)[0])}

    def measure(self, outputs: dict[str, Tensor], part: str) -> dict[str, Tensor]:
        """Return each metric () of a part's outputs."""
        truth = getattr(self, part)[1].to(outputs["prediction"].device)
        return {name: metric(outputs["prediction"], truth) for name, metric in METRICS.items()}

    def _part(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        return self.ids[rows], self.rating[rows]


def prepare(dataset: str, data: Data, splitting: SplitSettings, device: torch.device) -> RatingTask:
    """Read, split and number a data set.

    Raises UserError for anything wrong with the files or the split.
    """
    interactions = load_interactions(dataset, data)
    parts = split(interactions, splitting)
    columns = [interactions.user, interactions.item]
    features = rank_features(("user", "item"), columns, parts.train)
    known = interactions.rating[parts.train]
    return RatingTask(
        interactions, parts, features,
        ids=torch.from_numpy(features.encode(columns)).to(device),
        rating=torch.from_numpy(interactions.rating).to(device),
        low=float(known.min()), high=float(known.max()),
    )
