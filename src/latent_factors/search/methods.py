"""Every way to size a table that is compared: each yields models that keep less and less of it.

A method goes through its operating points, such as rates of pruning, under one seed. All train on the same rows, end
by the same validation part, and have the model's own settings but for what the method changes.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors.embedding import MaskedTable
from latent_factors.fit import Task, derive, fit
from latent_factors.models import build, width
from latent_factors.search import dnis, nis
from latent_factors.search.blocks import frequency_blocks, random_blocks
from latent_factors.search.dims import first_columns, mde_dims, random_dims
from latent_factors.search.prune import keep_largest
from latent_factors.search.retrain import pruned, retrain
from latent_factors.sections import Search, Section


@dataclass(frozen=True)
class Case:
    """What every method gets.

    Attributes:
        name: TASK.MODEL.
        task: its training rows are all that a method may train on.
        point: the model's settings; its `dim` is the largest K.
        search: the settings of the methods.
        seed: of this run.
    """

    name: str
    task: Task
    point: Section
    search: Search
    seed: int

    @property
    def model(self) -> str:
        """The model's name."""
        return self.name.split(".")[1]

    @property
    def make(self) -> Callable[..., nn.Module]:
        """What builds the untrained model from inputs and a wrap of its table."""
        return functools.partial(build, self.model, self.point)

    @functools.cached_property
    def block(self) -> Tensor:
        """The frequency block of each feature (N,)."""
        return frequency_blocks(self.task.frequency, self.search.dnis.blocks)

    def train(self, point: Section, wrap: Callable = lambda table: table) -> nn.Module:
        """Train the model with other settings, or another embedding, from scratch."""
        make = functools.partial(build, self.model, point, self.task.inputs, wrap)
        return fit(self.name, make, self.task, point, [self.seed]).models[0]

    def masked(self, mask: Tensor) -> nn.Module:
        """Train the model from scratch with nothing but the entries of a mask (N, K)."""
        return self.train(self.point, lambda table: MaskedTable(table.weight.detach(), mask))

    def columns(self, dims: list[int]) -> Tensor:
        """Return the mask of the whole table that leaves each block its first dimensions."""
        blocks = torch.tensor(dims, device=self.block.device)
        return first_columns(blocks, self.point.dim, width(self.model, self.point))[self.block]

    def shrink(
        self, model: nn.Module, table: Tensor, size: Tensor, mean: float, retraining: bool
    ) -> "Iterator[Kept]":
        """Prune a table (N, K) by |size| (N, K) to each rate and, with `retraining`, train what is left of it on."""
        for rate in self.search.rates:
            left = pruned(model, table, keep_largest(size, rate), self.make, self.task, mean)
            if retraining:
                retrain(f"{self.name}  rate {rate}", left, self.task, self.point, derive(f"{self.seed}/{rate}"))
            yield Kept(rate, left, left.embedding.mask)


@dataclass(frozen=True)
class Kept:
    """A trained model of an operating point, and which entries of its table it holds (N, K)."""

    point: float
    model: nn.Module
    mask: Tensor


def uniform(case: Case) -> Iterator[Kept]:
    """The grid: every feature has the same number of dimensions."""
    for dim in case.search.dims:
        model = case.train(case.point.model_copy(update={"dim": dim}))
        yield Kept(dim, model, torch.ones_like(model.embedding.weight, dtype=torch.bool))


def magnitude(case: Case, retraining: bool = True) -> Iterator[Kept]:
    """The control without α: the table at full width, pruned by |E|."""
    model = case.train(case.point)
    table = model.embedding.weight.detach()
    yield from case.shrink(model, table, table, case.task.inputs.mean, retraining)


def stronger_l2(case: Case) -> Iterator[Kept]:
    """The control for shrinking: the table at full width under a stronger penalty."""
    for factor in case.search.l2_factors:
        model = case.train(case.point.model_copy(update={"l2": factor * case.point.l2}))
        yield Kept(factor, model, torch.ones_like(model.embedding.weight, dtype=torch.bool))


def searched(
    case: Case, block: Callable[[Case], Tensor] | None = None, by_weight: bool = False, retraining: bool = True,
    **changes,
) -> Iterator[Kept]:
    """DNIS, pruned by |α ⊙ E|; `by_weight` prunes by |E|, `block` puts features into other blocks."""
    settings = case.search.dnis.model_copy(update=changes)
    blocks = block(case) if block else frequency_blocks(case.task.frequency, settings.blocks)
    found = dnis.search(case.name, case.make, case.task, blocks, case.point, settings, case.seed)
    table = found.selection.folded()
    size = found.selection.table.weight.detach() if by_weight else table
    yield from case.shrink(found.model, table, size, found.mean, retraining)


def _shuffled(case: Case) -> Tensor:
    generator = torch.Generator(case.task.frequency.device).manual_seed(derive(f"{case.seed}/blocks"))
    return random_blocks(case.task.frequency, case.search.dnis.blocks, generator)


def by_chance(case: Case) -> Iterator[Kept]:
    """Random search: dimensions that never rise with the block, trained from scratch."""
    generator = np.random.default_rng(derive(f"{case.seed}/dims"))
    for draw in range(case.search.draws):
        dims = random_dims(case.search.dnis.blocks, case.point.dim, generator)
        mask = case.columns(dims)
        yield Kept(draw, case.masked(mask), mask)


def power_law(case: Case) -> Iterator[Kept]:
    """Mixed dimensions by a power law of frequency, to each rate, trained from scratch."""
    sizes = torch.bincount(case.block)
    queries = torch.zeros(len(sizes), device=sizes.device).index_add(0, case.block, case.task.frequency)
    for rate in case.search.rates:
        budget = max(round((1 - rate) * len(case.block) * case.point.dim), len(case.block))
        dims = mde_dims(sizes.tolist(), queries.tolist(), case.search.mde_power, budget, case.point.dim)
        mask = case.columns(dims)
        yield Kept(rate, case.masked(mask), mask)


def controlled(case: Case, multi: bool) -> Iterator[Kept]:
    """NIS: the dimensions that a controller ends with for each price of room, trained from scratch."""
    for cost in case.search.costs:
        settings = case.search.nis.model_copy(update={"multi": multi, "cost": cost})
        chosen = nis.search(case.name, case.make, case.task, case.block, case.point, settings, case.seed)
        mask = case.columns(chosen.dims)
        yield Kept(cost, case.masked(mask), mask)


METHODS: dict[str, Callable[[Case], Iterator[Kept]]] = {
    "uniform": uniform,
    "magnitude": magnitude,
    "stronger_l2": stronger_l2,
    "dnis": searched,
    "dnis_one_block": functools.partial(searched, blocks=1),
    "dnis_random_blocks": functools.partial(searched, block=_shuffled),
    "dnis_by_weight": functools.partial(searched, by_weight=True),
    "dnis_second_order": functools.partial(searched, order="second"),
    "dnis_raw_gradient": functools.partial(searched, normalise=False),
    "dnis_as_found": functools.partial(searched, retraining=False),
    "dnis_unfrozen": functools.partial(searched, freeze=False),
    "random": by_chance,
    "mde": power_law,
    "nis_single": functools.partial(controlled, multi=False),
    "nis_multi": functools.partial(controlled, multi=True),
}
