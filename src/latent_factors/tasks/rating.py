"""Rating prediction: from a user and an item to the rating."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from latent_factors.data.features import Features, rank_features
from latent_factors.data.splits import Parts, split
from latent_factors.data.table import Interactions, load_interactions
from latent_factors.evaluate import mse, rmse
from latent_factors.models import Inputs
from latent_factors.settings import Data
from latent_factors.settings import Split as SplitSettings

Predict = Callable[[Tensor], Tensor]


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
        return Inputs(self.features.number, self.ids.shape[1], torch.nonzero(counts == 0)[:, 0], self.mean)

    @cached_property
    def mean(self) -> float:
        """The mean rating of the training part."""
        return float(self.train[1].double().mean())

    @cached_property
    def frequency(self) -> Tensor:
        """How many training rows hold each id: n_f (N,), as float32."""
        return torch.from_numpy(self.features.counts).to(self.ids.device, torch.float32)

    def loss(self, predict: Predict, rows: Tensor | slice) -> Tensor:
        """Return the mean squared error (...) of training rows (B,), unclipped; predict: ids (B, 2) → (..., B)."""
        ids, rating = self.train
        return mse(predict(ids[rows]), rating[rows])

    def score(self, predict: Predict) -> Tensor:
        """Return the validation RMSE (...), smaller is better; predict: ids (m, 2) → (..., m)."""
        ids, rating = self.validation
        return rmse(self.clip(predict(ids)), rating)

    def clip(self, prediction: Tensor) -> Tensor:
        """Return predictions clipped to the scale."""
        return prediction.clamp(self.low, self.high)

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
