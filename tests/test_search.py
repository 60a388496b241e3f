"""Differentiable neural input search: its gradients are exact, its parts disjoint, and it finds planted ranks."""

import copy
import functools

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_inter
from latent_factors import models, optimiser
from latent_factors.data import planted
from latent_factors.embedding import MaskedTable, SoftSelection, UniformTable, add_gradients
from latent_factors.errors import UserError
from latent_factors.fit import Adam
from latent_factors.search import nis
from latent_factors.search.blocks import frequency_blocks, random_blocks
from latent_factors.search.dims import first_columns, mde_dims, random_dims
from latent_factors.search.dnis import Bilevel, search, slope
from latent_factors.search.methods import METHODS, Case
from latent_factors.search.prune import group_size, keep_above, keep_budget, keep_largest
from latent_factors.search.retrain import pruned, retrain
from latent_factors.search.warm import Warm, warm_start
from latent_factors.sections import (
    BPR,
    DNIS,
    FM,
    MDE,
    MF,
    MLP,
    NIS,
    AutoInt,
    DeepFM,
    ImplicitNeuMF,
    LightGCN,
    NeuMF,
    NothingToSet,
    RandomDims,
    Shared,
    StrongerL2,
    Variants,
    WideDeep,
)
from latent_factors.tasks import prepare

CPU = torch.device("cpu")
RANKS = [4, 2, 1]
GRADIENT = {"learning_rate": 0.01, "l2": 0.3, "l2_power": 0.5, "batch_size": 2048, "epochs": 60, "patience": 3}
POINTS = {
    "rating.mf": MF(dim=8, l2_bias=0.3, **GRADIENT), "rating.mlp": MLP(dim=4, **GRADIENT),
    "rating.neumf": NeuMF(dim=4, **GRADIENT),
    "ctr.fm": FM(dim=4, l2_bias=0.3, **GRADIENT),
    "ctr.widedeep": WideDeep(dim=4, l2_bias=0.3, hidden=[8], **GRADIENT),
    "ctr.deepfm": DeepFM(dim=4, l2_bias=0.3, hidden=[8], **GRADIENT),
    "ctr.autoint": AutoInt(dim=4, layers=2, heads=2, head_dim=4, layer_norm=True, **GRADIENT),
    "topk.bpr": BPR(dim=4, **GRADIENT), "topk.neumf_implicit": ImplicitNeuMF(dim=4, negatives=2, **GRADIENT),
    "topk.lightgcn": LightGCN(dim=4, layers=2, **GRADIENT | {"epochs": 3}),
}
BLOCKS = 3
SEARCH = DNIS(
    alpha_rate=0.01, l1=0.01, order="first", normalise="blocks", freeze=True, keep="best", epochs=60, patience=60,
)


def made(project, settings, name: str, table: pd.DataFrame | None = None):
    """Return the task of a model of POINTS on planted data."""
    if table is None:
        table = planted.clicks(60, 50, 1500, RANKS, 2.0, 1.5, 0)
    write_inter(project, "made", table)
    task = name.split(".")[0]
    protocol = {"rating": settings.split, "ctr": settings.clicks, "topk": settings.ranking}[task]
    return prepare(task, "made", settings.data, protocol, CPU)


def bilevel(task, name: str, double: bool = True, **changes) -> Bilevel:
    """Return the trainer of a search, its α somewhere between 0 and 1."""
    point, settings = POINTS[name], SEARCH.model_copy(update=changes)
    torch.manual_seed(0)
    model = models.build(name.split(".")[1], point, task.inputs)
    torch.nn.init.normal_(model.embedding.weight, std=0.5)
    rest, held = task.carve(0.2, 0)
    start = Adam(name, model.double() if double else model, rest, point, 0)
    start.step(*doubled(next(rest.batches(model, torch.Generator().manual_seed(1), 300)), double))
    trainer = Bilevel(Warm(start, held, [], 0), frequency_blocks(task.frequency, BLOCKS), settings)
    torch.nn.init.uniform_(trainer.selection.alpha, 0.3, 0.7)
    trainer.selection.double() if double else trainer.selection
    trainer.path = [trainer.selection.alpha.detach().clone()]
    return trainer


def warm(name: str, task, point, seed: int = 1) -> Warm:
    """Train the start of a search."""
    return warm_start(name, functools.partial(models.build, name.split(".")[1], point), task, point, 0.1, seed)


def remembered(adam: optimiser.Adam) -> dict:
    """Return a copy of what Adam remembers."""
    return {weight: own.clone() for weight, own in adam.memory.items()}


def doubled(batch, double: bool = True):
    return tuple(part.double() if double and part.is_floating_point() else part for part in batch)


def test_blocks_hold_features_of_like_frequency():
    frequency = torch.tensor([5.0, 1, 9, 3, 3, 0, 7])
    assert frequency_blocks(frequency, 3).tolist() == [0, 2, 0, 1, 1, 2, 0]
    assert frequency_blocks(frequency, 7).tolist() == [2, 5, 0, 3, 4, 6, 1]
    shuffled = random_blocks(frequency, 3, torch.Generator().manual_seed(0))
    assert shuffled.bincount().tolist() == [3, 2, 2]
    with pytest.raises(UserError, match=r"there are 8 blocks for only 7 features; lower search"):
        frequency_blocks(frequency, 8)


def test_a_selection_scales_rows_and_starts_as_the_table():
    torch.manual_seed(0)
    table = UniformTable(6, 3, torch.tensor([], dtype=torch.long))
    selection = SoftSelection(table, torch.tensor([0, 0, 1, 1, 2, 2]))
    ids = torch.tensor([[0, 5], [3, 3]])
    assert torch.equal(selection(ids), table(ids))
    torch.nn.init.uniform_(selection.alpha)
    torch.testing.assert_close(selection(ids), selection.folded()[ids])
    torch.testing.assert_close(selection(ids)[0, 1], table.weight[5] * selection.alpha[2])


def test_masked_entries_stay_zero():
    mask = torch.tensor([[True, False], [False, False], [True, True]])
    table = MaskedTable(torch.ones(3, 2), mask)
    adam = optimiser.Adam(table.parameters(), 0.1)
    for _ in range(3):
        adam.zero_grad()
        (table(torch.arange(3)) - 2).square().sum().backward()
        adam.step()
    assert torch.equal(table(torch.arange(3)) != 0, mask)
    assert not table.weight[~mask].any()


def test_what_is_pruned():
    size = torch.tensor([[3.0, -1], [0.5, 2], [-4, 0.5]])
    assert keep_largest(size, 0.5).tolist() == [[True, False], [False, True], [True, False]]
    assert keep_largest(size, 0).all()
    zeros = torch.tensor([[0.0, 0], [5, 0], [0, 0]])
    assert keep_largest(zeros, 0.5, size).tolist() == [[True, False], [True, False], [True, False]]
    assert keep_budget(size, 5).tolist() == [[True, True], [True, True], [True, False]]
    assert keep_above(size, 1).tolist() == [[True, False], [False, True], [True, False]]
    block = torch.tensor([0, 1, 0])
    torch.testing.assert_close(group_size(size, block), torch.tensor([[12.5**0.5, 0.625**0.5], [0.5, 2]])[block])
    for rate in (1, -0.1):
        with pytest.raises(UserError, match=r"lies outside \[0, 1\)"):
            keep_largest(size, rate)
    for budget in (0, 7):
        with pytest.raises(UserError, match=r"does not fit a table of 6; give a number from 1 to that"):
            keep_budget(size, budget)


@pytest.mark.parametrize("name", POINTS)
def test_the_parts_of_a_search_are_disjoint(project, settings, name):
    task = made(project, settings, name)
    rest, held = task.carve(0.1, 1)
    rows = [rest.parts.train, held.parts.train, task.parts.validation, task.parts.test]
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(np.concatenate(rows))))
    assert held.size == round(0.1 * task.size)
    assert np.array_equal(rest.parts.validation, task.parts.validation)
    with pytest.raises(UserError, match=r"shared.alpha_share 1e-06 of the search .* leaves 0 of \d+ training rows"):
        task.carve(1e-6, 1)


def test_no_event_of_either_part_is_a_negative_or_ranked(project, settings):
    task = made(project, settings, "topk.bpr")
    rest, held = task.carve(0.3, 1)
    model = models.build("bpr", POINTS["topk.bpr"], rest.inputs)
    before = task.inputs.history.mask(torch.arange(int(task.features.starts[1])))
    assert rest.inputs.history.mask(torch.arange(3)).sum() < before[:3].sum()
    for part in (rest, held):
        for (ids,) in part.batches(model, torch.Generator().manual_seed(0), 256):
            assert not before[ids[0], ids[2] - int(task.features.starts[1])].any()
    items, _ = rest.recommend(model, "validation", 5)
    users = torch.stack([task._user[person] for person in task.persons["validation"]])
    assert not before[users[:, None], items].any()


def test_the_first_step_of_adam_has_the_slope_worked_out_by_hand():
    """At the first step m̂ = g and v̂ = g², so Δ = η g / (|g| + ε) and ∂Δ/∂g = η ε / (|g| + ε)²."""
    weight = torch.nn.Parameter(torch.zeros(3, dtype=torch.double))
    adam = optimiser.Adam([weight], 0.1, eps=0.5)
    weight.grad = torch.tensor([2.0, -1.0, 0.25], dtype=torch.double)
    adam.step()
    torch.testing.assert_close(slope(adam, weight), 0.1 * 0.5 / (weight.grad.abs() + 0.5) ** 2)


def test_the_gradient_of_alpha_by_hand(project, settings):
    """MF with one dimension: ∂L/∂α_b = mean of 2 (r̂ − r) p_u q_i (α_b(i) [b(u) = b] + α_b(u) [b(i) = b])."""
    task = made(project, settings, "rating.mf")
    trainer = bilevel(task, "rating.mf", normalise="none", l1=0.0)
    model, selection = trainer.model, trainer.selection
    ids, rating = next(trainer.held_batches)
    loss = trainer.held.loss(model, ids, rating.double())
    (gradient,) = torch.autograd.grad(loss, selection.alpha)
    expected = torch.zeros_like(gradient)
    for (u, i), r in zip(ids.tolist(), rating.tolist(), strict=True):
        p, q = selection.table.weight[u].detach(), selection.table.weight[i].detach()
        b, c = selection.block[u], selection.block[i]
        residual = 2 * (model(ids[:1] * 0 + torch.tensor([u, i]))[0].detach() - r) / len(ids)
        expected[b] += residual * p * q * selection.alpha[c].detach()
        expected[c] += residual * p * q * selection.alpha[b].detach()
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("name", POINTS)
def test_second_order_is_the_derivative_of_the_held_out_loss_through_the_step(project, settings, name):
    """Against central differences of α → L_held(Adam's step(α), α), after three steps that fill Adam's state."""
    task = made(project, settings, name)
    trainer = bilevel(task, name, normalise="none", l1=0.0, order="second", freeze=False, alpha_rate=1e-6)
    trainer.optimiser.eps = 1e-3  # else |g| near ε bends the step too sharply for differences
    batches = trainer.task.batches(trainer.model, torch.Generator().manual_seed(0), 300)
    for _ in range(3):
        trainer.step(*doubled(next(batches)))
    batch, held = doubled(next(batches)), doubled(next(trainer.held_batches))
    trainer.held_batches = iter([held] * 2)
    start = copy.deepcopy(trainer.model.state_dict())
    memory = remembered(trainer.optimiser)
    alpha = trainer.selection.alpha
    trainer.step(*batch)
    moved = (start["embedding.alpha"] - alpha.detach()) / 1e-6

    def after(change: torch.Tensor) -> float:
        trainer.model.load_state_dict(start)
        trainer.optimiser.memory = {weight: own.clone() for weight, own in memory.items()}
        with torch.no_grad():
            alpha.add_(change)
        loss = trainer.task.loss(trainer.model, *batch)
        pulls = torch.autograd.grad(loss, trainer.weights)
        for weight, pull in zip(trainer.weights, pulls, strict=True):
            weight.grad = pull
        add_gradients(trainer.penalties)
        trainer.optimiser.step()
        return trainer.held.loss(trainer.model, *held).item()

    for place in [(0, 0), (1, 1), (2, 0)]:
        nudge = torch.zeros_like(alpha)
        nudge[place] = 1e-7
        assert moved[place].item() == pytest.approx((after(nudge) - after(-nudge)) / 2e-7, rel=2e-3, abs=1e-7)


@pytest.mark.parametrize("freeze", [True, False])
def test_alpha_stays_in_its_bounds_and_frozen_weights_stay(project, settings, freeze):
    task = made(project, settings, "rating.mlp")
    trainer = bilevel(task, "rating.mlp", double=False, freeze=freeze, alpha_rate=5.0)
    before = copy.deepcopy(trainer.model.state_dict())
    trainer.epoch(1)
    alpha = trainer.selection.alpha.detach()
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert ((alpha == 0) | (alpha == 1)).any()
    same = {key for key, value in trainer.model.state_dict().items() if torch.equal(value, before[key])}
    assert ("net.0.weight" in same) == freeze
    assert "embedding.table.weight" not in same
    assert trainer.path[0].equal(before["embedding.alpha"])


def test_normalised_gradients_move_all_blocks_alike(project, settings):
    task = made(project, settings, "rating.mf")
    trainer = bilevel(task, "rating.mf", double=False, alpha_rate=0.001)
    trainer.step(*next(trainer.task.batches(trainer.model, torch.Generator().manual_seed(0), 300)))
    steps = (trainer.selection.alpha.detach() - trainer.path[0]).abs().mean(1)
    torch.testing.assert_close(steps, torch.full((3,), 0.001), atol=1e-6, rtol=1e-3)


def test_planted_ranks_are_found(project, settings):
    """Blocks of rank 6, 3 and 1 out of 12 dimensions end with α that leaves each its rank or one more."""
    ranks, point = [6, 3, 1], POINTS["rating.mf"].model_copy(update={"dim": 12})
    task = made(project, settings, "rating.mf", planted.ratings(400, 400, 50_000, ranks, 0.3, 1.6, 0))
    block = frequency_blocks(task.frequency, 3)
    found = search(warm("rating.mf", task, point), block, SEARCH.model_copy(update={"keep": "last"}))
    assert found.path.shape[1:] == (3, 12)
    assert torch.equal(found.path[0], torch.ones(3, 12))
    left = (found.path[-1] > 0.1).sum(1)
    assert (left - torch.tensor(ranks)).abs().max() <= 1
    assert left.diff().max() < 0


@pytest.mark.parametrize("name", POINTS)
def test_what_is_pruned_predicts_as_found_and_keeps_its_mask_in_retraining(project, settings, name):
    task, point = made(project, settings, name), POINTS[name].model_copy(update={"epochs": 2})
    build = functools.partial(models.build, name.split(".")[1], point)
    block = frequency_blocks(task.frequency, 3)
    found = search(warm(name, task, point), block, SEARCH.model_copy(update={"epochs": 2}))
    folded = found.selection.folded()
    whole = pruned(found.model, folded, torch.ones_like(folded, dtype=torch.bool), build, task, found.mean)
    if name != "topk.lightgcn":  # its graph has the rows that trained α now
        for key, value in task.outputs(found.model, "test").items():
            torch.testing.assert_close(task.outputs(whole, "test")[key], value)
    mask = keep_largest(folded, 0.8)
    model = pruned(found.model, folded, mask, build, task, found.mean)
    assert len(retrain(name, model, task, point, 1)) == 2
    assert not model.embedding.weight[~mask].any()
    assert not torch.equal(model.embedding.weight[mask], folded[mask])


def test_a_graph_knows_nothing_of_the_rows_that_train_alpha(project, settings):
    task = made(project, settings, "topk.lightgcn")
    point = POINTS["topk.lightgcn"]
    start = warm("topk.lightgcn", task, point)
    found = search(start, frequency_blocks(task.frequency, 3), SEARCH.model_copy(update={"epochs": 1}))
    assert len(found.model.graph.neighbours) == 2 * (task.size - round(0.1 * task.size))


def test_a_search_leaves_its_start_as_it_was_and_can_keep_its_last_epoch(project, settings):
    task, point = made(project, settings, "rating.mf"), POINTS["rating.mf"]
    start, block = warm("rating.mf", task, point), frequency_blocks(task.frequency, 3)
    before = copy.deepcopy(start.trainer.model.state_dict())
    memory = remembered(start.trainer.optimiser)
    changes = {"epochs": 8, "alpha_rate": 0.2}
    best, again, last = (
        search(start, block, SEARCH.model_copy(update=changes | {"keep": keep})) for keep in ("best", "best", "last")
    )
    assert all(torch.equal(value, before[key]) for key, value in start.trainer.model.state_dict().items())
    for weight, own in start.trainer.optimiser.memory.items():
        assert all(torch.equal(value, getattr(memory[weight], name)) for name, value in vars(own).items())
    assert torch.equal(best.path, again.path)
    assert torch.equal(best.selection.alpha, again.selection.alpha)
    epoch = int(np.argmin([row["validation"] for row in best.history])) + 1
    assert len(best.path) == epoch + 1
    assert torch.equal(best.selection.alpha, best.path[-1])
    assert torch.equal(last.selection.alpha, last.path[-1])


def test_dimensions_drawn_at_random_never_rise_and_fit_the_budget():
    sizes = [10, 10, 10, 9, 9]
    drawn = [random_dims(sizes, 240, 16, np.random.default_rng(seed)) for seed in range(200)]
    assert all(dims == sorted(dims, reverse=True) for dims in drawn)
    used = [np.dot(sizes, dims) for dims in drawn]
    assert max(used) <= 240
    assert min(used) > 230
    assert min(min(dims) for dims in drawn) == 1
    assert max(max(dims) for dims in drawn) >= 12
    assert len({tuple(dims) for dims in drawn}) > 50


def test_dimensions_by_a_power_law():
    """Rates 100, 10 and 1 a feature: α = 0 gives all alike, α = 0.5 the ratios 10 : √10 : 1."""
    assert mde_dims([10, 10, 10], [1000, 100, 10], 0.0, 240, 64) == [8, 8, 8]
    dims = mde_dims([10, 10, 10], [1000, 100, 10], 0.5, 10 * (40 + 13 + 4), 64)
    assert dims == [40, 13, 4]
    capped = mde_dims([10, 10, 10], [1000, 100, 10], 1.0, 640 + 180 + 20, 64)
    assert capped == [64, 18, 2]
    with pytest.raises(UserError, match=r"a budget of 29 parameters .* give a number from 30 to 1920"):
        mde_dims([10, 10, 10], [1000, 100, 10], 0.5, 29, 64)


def test_a_mask_of_first_columns():
    mask = first_columns(torch.tensor([2, 0, 3]), 3, 3)
    assert mask.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert first_columns(torch.tensor([1]), 2, 4).tolist() == [[True, False, True, False]]


CONTROLLER = NIS(cost=0.1, controller_rate=0.1, epochs=6)


@pytest.mark.parametrize("multi", [True, False])
def test_a_controller_weighs_quality_against_room(project, settings, multi):
    """Where room costs more than it can ever be worth it takes the least, and where it is free it does not."""
    task = made(project, settings, "rating.mf", planted.ratings(300, 300, 20_000, [4, 4, 4], 0.3, 1.5, 0))
    start, block = warm("rating.mf", task, POINTS["rating.mf"]), frequency_blocks(task.frequency, 3)
    taken = {}
    for cost in (0.0, 100.0):
        chosen = nis.search(start, block, CONTROLLER.model_copy(update={"cost": cost}), multi, 0.05)
        assert len(chosen.dims) == 3
        taken[cost] = sum(chosen.dims)
    assert taken[100.0] <= 2
    assert taken[0.0] >= 12


def test_what_a_controller_can_choose():
    assert nis._options(3, 8, multi=True)[:, 0].tolist() == [0, 1, 2, 4, 8]
    single = nis._options(3, 4, multi=False).tolist()
    assert single == [[d] * kept + [0] * (3 - kept) for d in (1, 2, 4) for kept in (1, 2, 3)]


SHARED = Shared(dim=4, rates=[0.0, 0.5], blocks=3, alpha_share=0.1)
SHORT = SEARCH.model_copy(update={"epochs": 2})
EACH = {  # method: its settings here, and how many models each label has
    "uniform": (NothingToSet(), {"uniform": 2}),
    "magnitude": (NothingToSet(), {"magnitude": 2}),
    "stronger_l2": (StrongerL2(factors=[3.0]), {"stronger_l2": 1}),
    "random_dims": (RandomDims(draws=2), {"random_dims": 2}),
    "mde": (MDE(power=0.3), {"mde": 1}),
    "nis": (CONTROLLER.model_copy(update={"epochs": 2}), {"nis_multi": 1, "nis_single": 1}),
    "dnis": (SHORT, {"dnis_as_found": 2, "dnis": 2}),
    "variants": (
        Variants(
            switches=["prune by weight", "prune whole dimensions", "random blocks", "second order", "one scale",
                      "other freeze"],
            blocks=[1], dims=[2, 8], alpha_rates=[0.1], l1s=[0.0], stops=[1],
        ),
        dict.fromkeys([
            "prune by weight", "prune whole dimensions", "random blocks", "second order", "one scale",
            "other freeze", "alpha_rate 0.1", "l1 0", "stop 1", "blocks 1", "dim 2", "dim 8",
        ], 2),
    ),
}


def case(task, **changes) -> Case:
    """Return what a method gets, for MF with the dimensions 2 and 4."""
    points = [POINTS["rating.mf"].model_copy(update={"dim": dim, "epochs": 2}) for dim in (2, 4)]
    return Case("rating.mf", task, points, SHARED.model_copy(update=changes), 1, SHORT)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_models_that_keep_what_they_say(project, settings, method):
    task = made(project, settings, "rating.mf")
    own, expected = EACH[method]
    kept = list(METHODS[method](case(task), own))
    labels = [one.label for one in kept]
    assert {label: labels.count(label) for label in dict.fromkeys(labels)} == expected
    assert len({(one.label, one.point) for one in kept}) == len(kept)
    for one in kept:
        weight = one.model.embedding.weight
        assert weight.shape == one.mask.shape
        assert not weight[~one.mask].any()
        assert torch.isfinite(task.score(one.model))
        if method != "nis" and one.point.startswith("0.5"):
            entries = int(one.mask.sum())
            half = weight.numel() // 2
            if method in ("random_dims", "mde"):
                assert half - task.inputs.number / 2 < entries <= half
            else:
                assert entries == half


def test_a_search_that_cannot_be(project, settings):
    task = made(project, settings, "rating.mf")
    with pytest.raises(UserError, match=r"search\.mf\.shared\.dim is 3, and curve\.mf has only the dimensions 2, 4;"):
        next(METHODS["magnitude"](case(task, dim=3), NothingToSet()))
    with pytest.raises(UserError, match=r"there are 200 blocks for only 112 features"):
        next(METHODS["dnis"](case(task, blocks=200), SHORT))
    with pytest.raises(UserError, match=r"leaves 0 of \d+ training rows for α"):
        next(METHODS["dnis"](case(task, alpha_share=1e-6), SHORT))


def test_both_vectors_of_neumf_are_cut_alike(project, settings):
    task = made(project, settings, "rating.mlp")
    point = NeuMF(dim=4, **GRADIENT)
    both = Case("rating.neumf", task, [point], SHARED, 1)
    mask = both.columns([4, 2, 1])
    assert mask.shape == (task.inputs.number, 8)
    assert torch.equal(mask[:, :4], mask[:, 4:])
    assert dict(both.budgets()) == {0.5: 2 * task.inputs.number}
    chosen = nis.search(both.warm, both.block, CONTROLLER.model_copy(update={"epochs": 4}), True, 0.5)
    assert max(chosen.dims) <= 4
