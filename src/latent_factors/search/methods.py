"""Every way to size a table that is compared: each yields models that keep less and less of it.

A method goes through its operating points, such as rates of pruning, under one seed. All end up trained on the same
rows, stop by the same validation part, and have the model's own settings but for what the method changes; only DNIS as
found has never trained on the rows that its α answers to. A method may yield
under several labels where their work is shared, such as DNIS as found, and with what is left of it trained on.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from latent_factors.embedding import MaskedTable
from latent_factors.errors import UserError
from latent_factors.fit import Task, derive, fit_run
from latent_factors.models import build, width
from latent_factors.search import dnis, nis
from latent_factors.search.blocks import frequency_blocks, random_blocks
from latent_factors.search.dims import first_columns, mde_dims, random_dims
from latent_factors.search.prune import group_size, keep_largest
from latent_factors.search.retrain import pruned, retrain
from latent_factors.search.warm import Warm, warm_start
from latent_factors.sections import DNIS, MDE, NIS, NothingToSet, RandomDims, Section, Shared, StrongerL2, Variants


@dataclass(frozen=True)
class Case:
    """What every method gets.

    Attributes:
        name: TASK.MODEL.
        task: its training rows are all that a method may train on.
        points: the model's settings at each K of its curve.
        shared: K-max, rates and blocks.
        seed: of this run.
        dnis: the settings of DNIS, for its variants.
    """

    name: str
    task: Task
    points: list[Section]
    shared: Shared
    seed: int
    dnis: DNIS | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.name.split(".")[1]

    @functools.cached_property
    def point(self) -> Section:
        """The settings at K-max.

        Raises UserError when the curve has no such K.
        """
        dims = [point.dim for point in self.points]
        if self.shared.dim not in dims:
            raise UserError(
                f"search.{self.model}.shared.dim is {self.shared.dim}, and curve.{self.model} has only the dimensions"
                f" {', '.join(map(str, dims))}; choose one of them, or give the curve that one too"
            )
        return self.points[dims.index(self.shared.dim)]

    def at(self, dim: int) -> "Case":
        """Return this case with another K-max: with the curve's settings there, or else those of K-max."""
        own = [point for point in self.points if point.dim == dim]
        points = own or [self.point.model_copy(update={"dim": dim})]
        return replace(self, points=points, shared=self.shared.model_copy(update={"dim": dim}))

    def make(self, *inputs) -> nn.Module:
        """Build the untrained model at full width from inputs and a wrap of its table."""
        return build(self.model, self.point, *inputs)

    @functools.cached_property
    def block(self) -> Tensor:
        """The frequency block of each feature (N,)."""
        return frequency_blocks(self.task.frequency, self.shared.blocks)

    @functools.cached_property
    def warm(self) -> Warm:
        """The model at full width, trained on all rows but those for α: every search begins with it."""
        return warm_start(self.name, self.make, self.task, self.point, self.shared.alpha_share, self.seed)

    def train(self, point: Section, wrap: Callable = lambda table: table) -> nn.Module:
        """Train the model with other settings, or another embedding, from scratch."""
        make = functools.partial(build, self.model, point, self.task.inputs, wrap)
        return fit_run(f"{self.name} K={point.dim}", make, self.task, point, self.seed)[0]

    def masked(self, mask: Tensor) -> nn.Module:
        """Train the model from scratch with nothing but the entries of a mask (N, K)."""
        return self.train(self.point, lambda table: MaskedTable(table.weight.detach(), mask))

    def columns(self, dims: list[int]) -> Tensor:
        """Return the mask of the whole table that leaves each block its first dimensions."""
        blocks = torch.tensor(dims, device=self.block.device)
        return first_columns(blocks, self.point.dim, width(self.model, self.point))[self.block]

    def budgets(self) -> Iterator[tuple[float, int]]:
        """Yield each rate that prunes anything, and Σ_b n_b d_b that it leaves, at least one dimension a feature."""
        vectors = width(self.model, self.point) // self.point.dim
        entries = len(self.block) * vectors * self.point.dim
        for rate in self.shared.rates:
            if rate > 0:
                yield rate, max((entries - round(rate * entries)) // vectors, len(self.block))

    def shrink(
        self, label: str, model: nn.Module, table: Tensor, size: Tensor, mean: float, second: Tensor | None = None,
        retraining: bool = True,
    ) -> "Iterator[Kept]":
        """Prune a table (N, K) by |size|, then |second| (N, K), to each rate; with `retraining`, train on what is left.

        That is on all training rows, those that trained α included.
        """
        for rate in self.shared.rates:
            left = pruned(model, table, keep_largest(size, rate, second), self.make, self.task, mean)
            if retraining:
                title = f"{self.name}  {label} at rate {rate}"
                retrain(title, left, self.task, self.point, derive(f"{self.seed}/{rate}"))
            yield Kept(label, f"{rate:g}", left, left.embedding.mask)


@dataclass(frozen=True)
class Kept:
    """A trained model of an operating point, and which entries of its table it holds (N, K).

    `point` tells it from the others of its label. `path` (E + 1, L, K) is what α did in the search that led to it.
    """

    label: str
    point: str
    model: nn.Module
    mask: Tensor
    path: Tensor | None = None


def uniform(case: Case, _: NothingToSet) -> Iterator[Kept]:
    """The grid: every feature has the same number of dimensions, each K with the settings that its curve has."""
    for point in case.points:
        model = case.train(point)
        yield Kept("uniform", str(point.dim), model, torch.ones_like(model.embedding.weight, dtype=torch.bool))


def magnitude(case: Case, _: NothingToSet) -> Iterator[Kept]:
    """The control without α: the table at full width, pruned by |E|."""
    model = case.train(case.point)
    table = model.embedding.weight.detach()
    yield from case.shrink("magnitude", model, table, table, case.task.inputs.mean)


def stronger_l2(case: Case, settings: StrongerL2) -> Iterator[Kept]:
    """The control for shrinking: the table at full width under a stronger penalty."""
    for factor in settings.factors:
        model = case.train(case.point.model_copy(update={"l2": factor * case.point.l2}))
        yield Kept("stronger_l2", f"{factor:g}", model, torch.ones_like(model.embedding.weight, dtype=torch.bool))


def by_chance(case: Case, settings: RandomDims) -> Iterator[Kept]:
    """Random search: dimensions that never rise with the block, some draws to each rate, trained from scratch."""
    generator, sizes = np.random.default_rng(derive(f"{case.seed}/dims")), torch.bincount(case.block).tolist()
    for rate, budget in case.budgets():
        for draw in range(settings.draws):
            mask = case.columns(random_dims(sizes, budget, case.point.dim, generator))
            yield Kept("random_dims", f"{rate:g}, draw {draw + 1}", case.masked(mask), mask)


def mde(case: Case, settings: MDE) -> Iterator[Kept]:
    """Mixed dimensions by a power law of frequency, to each rate, trained from scratch."""
    sizes = torch.bincount(case.block)
    queries = torch.zeros(len(sizes), device=sizes.device).index_add(0, case.block, case.task.frequency)
    for rate, budget in case.budgets():
        mask = case.columns(mde_dims(sizes.tolist(), queries.tolist(), settings.power, budget, case.point.dim))
        yield Kept("mde", f"{rate:g}", case.masked(mask), mask)


def by_controller(case: Case, settings: NIS) -> Iterator[Kept]:
    """NIS, single-size and multi-size: the dimensions chosen with each rate as the target, trained from scratch."""
    for label, multi in (("nis_multi", True), ("nis_single", False)):
        for rate, _ in case.budgets():
            mask = case.columns(nis.search(case.warm, case.block, settings, multi, 1 - rate).dims)
            yield Kept(label, f"{rate:g}", case.masked(mask), mask)


def searched(case: Case, settings: DNIS) -> Iterator[Kept]:
    """DNIS, pruned by |α ⊙ E|: as found, and with what is left trained on."""
    found = dnis.search(case.warm, case.block, settings)
    table, weight = found.selection.folded(), found.selection.table.weight.detach()
    first, *rest = case.shrink("dnis_as_found", found.model, table, table, found.mean, weight, retraining=False)
    yield Kept(first.label, first.point, first.model, first.mask, found.path)
    yield from rest
    yield from case.shrink("dnis", found.model, table, table, found.mean, weight)


def variants(case: Case, settings: Variants) -> Iterator[Kept]:
    """DNIS with one thing changed at a time: how it prunes, which blocks, how α moves, when it stops, K-max."""
    plain = dnis.search(case.warm, case.block, case.dnis)
    table, weight = plain.selection.folded(), plain.selection.table.weight.detach()
    generator = torch.Generator(case.block.device).manual_seed(derive(f"{case.seed}/blocks"))
    switches = {
        "prune by weight": lambda: case.shrink("prune by weight", plain.model, table, weight, plain.mean),
        "prune whole dimensions": lambda: case.shrink(
            "prune whole dimensions", plain.model, table, group_size(table, case.block), plain.mean, weight
        ),
        "random blocks": lambda: _variant(
            case, "random blocks", random_blocks(case.task.frequency, case.shared.blocks, generator)
        ),
        "second order": lambda: _variant(case, "second order", case.block, order="second"),
        "one scale": lambda: _variant(case, "one scale", case.block, normalise="table"),
        "other freeze": lambda: _variant(case, "other freeze", case.block, freeze=not case.dnis.freeze),
    }
    for name in settings.switches:
        yield from switches[name]()
    for rate in settings.alpha_rates:
        yield from _variant(case, f"alpha_rate {rate:g}", case.block, alpha_rate=rate)
    for strength in settings.l1s:
        yield from _variant(case, f"l1 {strength:g}", case.block, l1=strength)
    for stop in settings.stops:
        yield from _variant(case, f"stop {stop}", case.block, keep="last", epochs=stop, patience=stop)
    for number in settings.blocks:
        yield from _variant(case, f"blocks {number}", frequency_blocks(case.task.frequency, number))
    for dim in settings.dims:
        yield from _variant(case.at(dim), f"dim {dim}", case.block)


def _variant(case: Case, label: str, block: Tensor, **changes) -> Iterator[Kept]:
    found = dnis.search(case.warm, block, case.dnis.model_copy(update=changes))
    table, weight = found.selection.folded(), found.selection.table.weight.detach()
    yield from case.shrink(label, found.model, table, table, found.mean, weight)


METHODS: dict[str, Callable[[Case, Section], Iterator[Kept]]] = {
    "uniform": uniform, "magnitude": magnitude, "stronger_l2": stronger_l2, "random_dims": by_chance, "mde": mde,
    "nis": by_controller, "dnis": searched, "variants": variants,
}
