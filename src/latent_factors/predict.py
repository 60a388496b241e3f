"""What a trained model is good for: recommendations, ratings and clicks by a data set's own names."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from latent_factors.data.atomic import read_types
from latent_factors.data.clicks import describe_rows
from latent_factors.data.items import describe_items
from latent_factors.data.lists import Lists
from latent_factors.data.rows import encode
from latent_factors.errors import UserError
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.sections import Clicks, Data, Section
from latent_factors.tasks.ctr import CTRTask
from latent_factors.tasks.rating import RatingTask
from latent_factors.tasks.release import ReleaseTask
from latent_factors.tasks.sequence import SequenceTask
from latent_factors.tasks.topk import TopKTask


@dataclass(frozen=True)
class Trained:
    """One run of a trained model.

    Attributes:
        name: TASK.MODEL.
        module: the trained module, for evaluation.
        task: the data it was trained on, split and numbered.
        settings: what it was trained with.
        data: how the data set's files are read.
        protocol: the section that cuts and judges the task.
    """

    name: str
    module: nn.Module
    task: TopKTask | RatingTask | CTRTask
    settings: Section
    data: Data
    protocol: Section


@dataclass(frozen=True)
class Recommender(Trained):
    """A model of the tasks topk and release."""

    @cached_property
    def items(self) -> pd.DataFrame:
        """The items that are ranked: their tokens `item`, and `title` where the data set has titles."""
        tokens = self._tokens
        title = describe_items(self.task.dataset, tokens).title.to_numpy()
        table = pd.DataFrame({"item": tokens.to_numpy()})
        return table if (title == table["item"]).all() else table.assign(title=title)

    @torch.no_grad()
    def recommend(self, user: object, k: int = 10) -> pd.DataFrame:
        """Return the k best items for a user, the best first: `item`, `title` where there are titles, `score`.

        `user` is the data set's own name of the user. Items that the user has in the training part are left out; a
        model of the task release recommends the items of the test part, which nobody has in training.

        Raises UserError for an unknown user, or one without training events.
        """
        person = self._person(str(user))
        return self._best(self._scores(person), k)

    def _best(self, scores: Tensor, k: int) -> pd.DataFrame:
        """Return the k best items by their scores (I,), none of those with −∞."""
        scores = scores.cpu().numpy()
        best = np.argsort(-scores, kind="stable")[:k]
        best = best[scores[best] > -np.inf]
        return self.items.iloc[best].assign(score=scores[best]).reset_index(drop=True)

    @property
    def _tokens(self) -> pd.Index:
        if isinstance(self.task, ReleaseTask):
            return self.task.interactions.item.categories[self.task.films["test"]]
        return self.task.features.tokens[-1]

    def _person(self, user: str) -> Tensor:
        """Return the id of a user (1,)."""
        known = self.task.features.tokens[0]
        if user in known:
            return torch.tensor([known.get_loc(user)], device=self.task.ids.device)
        if user in self.task.interactions.user.categories:
            raise UserError(
                f"user {user} of {self.task.dataset} has no training event, so {self.name} knows nothing of them; name"
                f" another, such as {known[0]}"
            )
        raise UserError(self._unknown("user", user, known))

    def _unknown(self, what: str, name: str, known: pd.Index) -> str:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0)
        return f"{self.task.dataset} has no {what} {name}; name one that it has, such as {', '.join(near)}"

    def _scores(self, person: Tensor) -> Tensor:
        """Return the score of each item that is ranked (I,), −∞ for those the user has in training."""
        if isinstance(self.task, ReleaseTask):
            return self.module.newcomers(self.task.content["test"])(person)[0]
        scores = self.module.scorer()(person)
        scores[self.task.inputs.history.cells(person)] = -torch.inf
        return scores[0]


@dataclass(frozen=True)
class NextRecommender(Recommender):
    """A model of the task sequence: what comes next after what a user took, or after any items.

    Of a user it sees what it sees when it is tested: all events but the last one, and of those the last L.
    """

    task: SequenceTask

    @torch.no_grad()
    def follow(self, items: Sequence[object], k: int = 10) -> pd.DataFrame:
        """Return the k best items to come after some items, the oldest first, as `recommend` does for a user.

        `items` are the data set's own names. None of them is recommended, unless the task ranks histories too.

        Raises UserError for an item that training has not seen, and when there is no item.
        """
        known = self._tokens
        names = [str(item) for item in items]
        if not names:
            raise UserError(f"{self.name} has nothing to go by in an empty history; name at least one item")
        for name in names:
            if name not in known:
                raise UserError(self._unknown("training item", name, known))
        numbers = torch.from_numpy(known.get_indexer(names)).to(self.task.ids.device)
        return self._best(self._after(numbers[None, -self.task.length :], numbers), k)

    def _person(self, user: str) -> Tensor:
        known = self.task.interactions.user.categories
        if user not in known:
            raise UserError(self._unknown("user", user, known))
        return torch.tensor([known.get_loc(user)], device=self.task.ids.device)

    def _scores(self, person: Tensor) -> Tensor:
        before = self.task.earlier["test"]
        return self._after(before.last(person)[0], before.items[before.starts[person] : before.starts[person + 1]])

    def _after(self, history: Tensor, had: Tensor) -> Tensor:
        """Return the score of each item (I,) after a history (1, L), −∞ for those the user `had` (m,)."""
        scores = self.module.scorer()(history)[0]
        if not self.task.rank_history:
            scores[had] = -torch.inf
        return scores


@dataclass(frozen=True)
class Rater(Trained):
    """A model of the task rating."""

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        """Return the predicted rating of each row, which names a user and an item as the data set does.

        The columns are called as in the .inter file. A user or an item without training rows adds nothing to the mean.

        Raises UserError for a missing column.
        """
        names = [self.data.user, self.data.item]
        _require(rows, names, self.name)
        columns = [_column(rows[name], "token", self.name).array for name in names]
        ids = torch.from_numpy(self.task.features.encode(columns)).to(self.task.ids.device)
        return pd.Series(self.task.predict(self.module, ids).cpu().numpy(), rows.index, name=self.data.rating)


@dataclass(frozen=True)
class Clicker(Trained):
    """A model of the tasks ctr and ctr_attributes."""

    protocol: Clicks

    def predict(self, rows: pd.DataFrame) -> pd.Series:
        """Return the probability of a click of each row, which has the columns of the .inter file but for the rating.

        What .user and .item files tell of its user and item is added. A value that training has not seen, or seldom,
        counts as a rare one.

        Raises UserError for a missing column or a cell that is not of its column's type.
        """
        dataset, data, clicks = self.task.dataset, self.data, self.protocol
        types = read_types(root() / "data" / dataset / f"{dataset}.inter")
        types = {name: kind for name, kind in types.items() if name not in (data.rating, *clicks.skip)}
        _require(rows, list(types), self.name)
        table = pd.DataFrame({name: _column(rows[name], kind, self.name) for name, kind in types.items()})
        described = {field.name: field for field in describe_rows(table, types, dataset, data, clicks)}
        fields = [described[name] for name in self.task.features.names]
        ids, values, lists = encode(fields, self.task.features, self.task.ids.device)
        module = self._with(lists)
        return pd.Series(self.task.predict(module, ids, values).cpu().numpy(), rows.index, name="probability")

    def _with(self, lists: Lists | None) -> nn.Module:
        """Return the model with the lists of values, such as genres, that other rows hold."""
        with torch.random.fork_rng(devices=[]):
            module = build(self.name.split(".")[1], self.settings, replace(self.task.inputs, lists=lists))
        module.load_state_dict(self.module.state_dict())
        return module.to(self.task.ids.device).eval()


def _require(rows: pd.DataFrame, names: list[str], model: str) -> None:
    missing = [name for name in names if name not in rows]
    if missing:
        raise UserError(f"the rows have no column {missing[0]}, which {model} needs; it takes {', '.join(names)}")


def _column(cells: pd.Series, kind: str, model: str) -> pd.Series:
    """Return a column of a type of atomic files as `read_coded` does; numbers may stand for tokens.

    Raises UserError for a cell of a float column that is no number.
    """
    cells = cells.reset_index(drop=True)
    if kind != "float":
        return cells.map(str, na_action="ignore").astype("category")
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    wrong = numbers.isna() & cells.notna()
    if wrong.any():
        raise UserError(f"{cells.name} is {cells[wrong].iloc[0]!r} in a row, and {model} needs a number; correct it")
    return numbers
