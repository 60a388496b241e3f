"""Click prediction by who and what alone, an item being the sum of some rows of a table."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from latent_factors.data.features import Features, rank_features
from latent_factors.data.items import Items, describe_items
from latent_factors.data.lists import Lists
from latent_factors.data.newcomers import split_with_new_items
from latent_factors.data.splits import Parts
from latent_factors.data.table import Interactions, load_interactions
from latent_factors.errors import UserError
from latent_factors.identifiers.keys import Keys
from latent_factors.sections import KeyStudy
from latent_factors.tasks.ctr import CTRTask


@dataclass(frozen=True)
class KeyedClicks:
    """Events that are clicks or none, cut so that validation and test hold new items.

    Attributes:
        events: n of them.
        parts: their rows.
        label: (n,) float32, 1 for a click, 0 for none.
        described: what is known of the I items.
    """

    events: Interactions
    parts: Parts
    label: np.ndarray
    described: Items

    @property
    def counts(self) -> np.ndarray:
        """How often training holds each item (I,)."""
        return np.bincount(self.events.item.codes[self.parts.train], minlength=len(self.events.item.categories))

    def new(self, part: str) -> np.ndarray:
        """Return which rows of a part are events of items that training lacks."""
        return self.counts[self.events.item.codes[getattr(self.parts, part)]] == 0

    def task(self, keys: Keys, device: torch.device) -> CTRTask:
        """Return the task of a ranker that knows items by some keys: two fields, the user and a list of rows.

        The id space holds the users, the row of those not seen in training, and the rows of the keys.
        """
        users = rank_features(("user",), [self.events.user], self.parts.train)
        start, item = users.number, self.events.item.codes.astype(np.int64)
        used = keys.weights.numpy() != 0
        counts = np.bincount(
            keys.ids.numpy()[used], weights=np.repeat(self.counts, used.sum(1)), minlength=keys.rows
        )
        features = Features(
            ("user", "item"), (*users.tokens, pd.RangeIndex(keys.rows).astype(str)), np.array([0, start]),
            np.append(users.counts, counts.astype(np.int64)),
        )
        ids = np.column_stack([users.encode([self.events.user])[:, 0], features.number + item]).astype(np.int32)
        lists = Lists(1, (start + keys.ids).to(device), keys.weights.to(device))
        values = torch.empty(len(ids), 0, device=device)
        return CTRTask(
            self.events, self.parts, features, torch.from_numpy(ids).to(device), values,
            torch.from_numpy(self.label).to(device), lists,
        )


def prepare(study: KeyStudy) -> KeyedClicks:
    """Read and cut the data of a study; a rating above `positive_above` is a click, one below `negative_below` none.

    Raises UserError for anything wrong with the files or the split, or without both clicks and others.
    """
    read = load_interactions(study.dataset, study.data)
    told = (read.rating > study.positive_above) | (read.rating < study.negative_below)
    events = replace(
        read, user=read.user[told], item=read.item[told], rating=read.rating[told], line=read.line[told],
        timestamp=None if read.timestamp is None else read.timestamp[told],
        dropped=read.dropped | {"neither click nor none": int((~told).sum())},
    )
    label = (events.rating > study.positive_above).astype(np.float32)
    if not 0 < label.sum() < len(label):
        raise UserError(
            f"{study.dataset} has not both clicks and others; set positive_above and negative_below of its study in"
            " params.yaml to values between"
        )
    parts = split_with_new_items(events, study.protocol)
    return KeyedClicks(events, parts, label, describe_items(study.dataset, events.item.categories))
