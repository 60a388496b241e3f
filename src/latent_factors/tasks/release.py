"""Recommendation of what nobody has taken yet: unseen items, ranked among themselves by their content."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors import ranking
from latent_factors.data.content import Vocabulary
from latent_factors.data.features import rank_features
from latent_factors.data.histories import Histories
from latent_factors.data.items import describe_items
from latent_factors.data.releases import split_by_release
from latent_factors.data.table import load_interactions
from latent_factors.models import Inputs
from latent_factors.sections import Data, Releases
from latent_factors.tasks import topk


@dataclass(frozen=True, kw_only=True)
class ReleaseTask(topk.TopKTask):
    """Items are held out, not events: those of the validation and of the test part have no training event.

    The candidates of a part are its own items and no others, J of them; of its users only those are judged who have
    training events. Items of the same genres are alike to a model that knows nothing else, so ties are broken by lot,
    drawn for each user and the same for every model: who cannot tell items apart does as chance does.

    Attributes:
        film: (n,) the number of each event's item within its part.
        films: by part, its items as positions in the categories of the items; those of training by falling frequency.
        content: by part, the blocks of content of its items, (J, ...) each.
    """

    film: Tensor
    films: dict[str, np.ndarray]
    content: dict[str, dict[str, Tensor]]

    @cached_property
    def inputs(self) -> Inputs:
        """What a model must know of the data: of content, that of the training items alone."""
        return replace(super().inputs, content=self.content["train"])

    @cached_property
    def persons(self) -> dict[str, Tensor]:
        """The users who have events in a part and in training, by part: only they are evaluated there."""
        known = self._user < int(self.features.starts[1]) - 1
        return {part: own[known[own]] for part, own in super().persons.items()}

    @cached_property
    def truths(self) -> dict[str, Histories]:
        """The items of a part that each user of the data set has, by part."""
        return {
            part: Histories.of(self.person[rows], self.film[rows], len(self._user), len(self.films[part]))
            for part, rows in self.parts
        }

    @torch.no_grad()
    def recommend(self, model: nn.Module, part: str, k: int) -> tuple[Tensor, Tensor]:
        """Return the k best items (U, k) of a part for its users, as numbers within it, and which are hits (U, k)."""
        scores, truth = model.newcomers(self.content[part]), self.truths[part]
        size = max(1, topk.SCORED_CELLS // truth.catalogue)
        blocks = zip(self.persons[part].split(size), self._lots[part].split(size), strict=True)
        lists = [
            ranking.top(by_lot(scores(self._user[persons]), lots), truth.mask(persons), k) for persons, lots in blocks
        ]
        items, hits = zip(*lists, strict=True)
        return torch.cat(items), torch.cat(hits)

    @cached_property
    def _lots(self) -> dict[str, Tensor]:
        """The lots (U, J) of each user for the items of a part, by part."""
        generator = torch.Generator().manual_seed(0)
        sizes = {part: (len(own), len(self.films[part])) for part, own in self.persons.items()}
        return {part: torch.rand(size, generator=generator).to(self.ids.device) for part, size in sizes.items()}


def by_lot(scores: Tensor, lots: Tensor) -> Tensor:
    """Return numbers (B, J) in the order of scores (B, J), no two of a row alike: the larger of tied lots is last."""
    drawn = lots.argsort(1)
    order = drawn.gather(1, scores.gather(1, drawn).sort(dim=1, descending=True, stable=True).indices)
    places = torch.arange(scores.shape[1], 0, -1.0, device=scores.device)
    return torch.empty_like(scores).scatter_(1, order, places.to(scores.dtype).expand_as(scores))


def prepare(dataset: str, data: Data, settings: Releases, device: torch.device) -> ReleaseTask:
    """Read a data set, cut it by release and number it.

    Raises UserError for anything wrong with the files or the split.
    """
    interactions = load_interactions(dataset, data, rated=False)
    tokens = interactions.item.categories
    parts = split_by_release(interactions, describe_items(dataset, tokens).year.to_numpy(float), settings)
    columns = [interactions.user, interactions.item]
    features = rank_features(("user", "item"), columns, parts.train)
    films = {part: np.unique(interactions.item.codes[rows]) for part, rows in parts}
    films["train"] = tokens.get_indexer(features.tokens[1])
    place = np.empty(len(tokens), np.int64)
    for own in films.values():
        place[own] = np.arange(len(own))
    described = {part: describe_items(dataset, tokens[own]) for part, own in films.items()}
    vocabulary = Vocabulary.of(described["train"])
    return ReleaseTask(
        interactions, parts, features, data=data,
        ids=torch.from_numpy(features.encode(columns)).to(device),
        person=torch.from_numpy(interactions.user.codes.astype(np.int64)).to(device),
        cutoffs=tuple(settings.cutoffs),
        film=torch.from_numpy(place[interactions.item.codes]).to(device),
        films=films,
        content={part: vocabulary.encode(items, device) for part, items in described.items()},
    )
