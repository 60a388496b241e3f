"""What every model of clicks must do, and what each computes exactly."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as oracle
from torch.nn import functional as F

from conftest import write_inter
from latent_factors import models
from latent_factors.data.lists import Lists
from latent_factors.embedding import UniformTable
from latent_factors.evaluate import auc
from latent_factors.fit import fit
from latent_factors.models.autoint import Model as AutoIntModel
from latent_factors.models.fields import field_vectors
from latent_factors.models.fm import pairs
from latent_factors.models.interacting import Interacting
from latent_factors.runs import load_model, load_run, save_run
from latent_factors.sections import CTR, FM, LR, AutoInt, AutoIntPlus, DeepFM, WideDeep
from latent_factors.tasks import prepare

CPU = torch.device("cpu")
ADAM = {"learning_rate": 0.02, "l2": 0.01, "l2_power": 0.5, "batch_size": 512, "epochs": 15, "patience": 5}
SMALL = {"dim": 4, "layers": 2, "heads": 2, "head_dim": 3, "layer_norm": True}
SETTINGS = {
    "lr": LR(**ADAM),
    "fm": FM(dim=4, l2_bias=0.01, **ADAM),
    "widedeep": WideDeep(dim=4, l2_bias=0.01, hidden=[8, 6], **ADAM),
    "deepfm": DeepFM(dim=4, l2_bias=0.01, hidden=[8, 6], **ADAM),
    "autoint": AutoInt(**SMALL, **ADAM),
    "autoint_flat": AutoInt(**SMALL, **ADAM),
    "autoint_plus": AutoIntPlus(hidden=[8, 6], **SMALL, **ADAM),
}
TYPES = {
    "user_id": "token", "left": "token", "right": "token", "tags": "token_seq", "number": "float", "label": "float",
}


@pytest.fixture
def task(project, settings):
    """Clicks that depend on the product of two fields alone: each of them says nothing by itself."""
    generator = np.random.default_rng(0)
    left, right, sign = *generator.integers(0, 12, (2, 4000)), np.array([-1, 1] * 6)
    write_inter(project, "made", pd.DataFrame({
        "user_id": [f"u{n}" for n in generator.integers(0, 30, 4000)],
        "left": [f"l{n}" for n in left], "right": [f"r{n}" for n in right],
        "tags": generator.choice(["a", "a b", "a b c", None], 4000), "number": generator.random(4000).round(2),
        "label": (sign[left] * sign[right] > 0).astype(float),
    }), TYPES)
    data = settings.data.model_copy(update={"rating": "label"})
    clicks = settings.clicks.model_copy(update={"positive_above": 0.5, "negative_below": 0.5})
    return prepare("ctr", "made", data, clicks, CPU)


def made(name: str, task, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return models.build(name, SETTINGS[name], task.inputs)


def trained(name: str, task, seeds=(1,), **changes):
    point = SETTINGS[name].model_copy(update=changes)
    return fit(f"ctr.{name}", lambda: models.build(name, point, task.inputs), task, point, list(seeds))


def test_every_model_of_the_settings_is_here():
    assert set(SETTINGS) == set(CTR.model_fields)


@pytest.mark.parametrize("name", SETTINGS)
def test_shared(task, name):
    """Shapes, indifference to the order of rows, a start near the log-odds, gradients and a penalty."""
    model = made(name, task)
    ids, values, label = (column[:200] for column in task.train)
    out = model(ids, values)
    assert out.shape == (200,)
    order = torch.randperm(200)
    torch.testing.assert_close(model(ids[order], values[order]), out[order])
    assert (out - np.log(task.mean / (1 - task.mean))).abs().max() < 3
    task.loss(model, ids, values, label).backward()
    assert all(parameter.grad.any() for parameter in model.parameters())
    tables = {id(table) for table, _ in model.penalties(task.frequency)}
    assert tables and tables <= {id(parameter) for parameter in model.parameters()}


@pytest.mark.parametrize("name", SETTINGS)
def test_unseen_ids_get_finite_predictions(task, name):
    model = made(name, task)
    unseen = torch.from_numpy(np.append(task.features.starts[1:], task.inputs.number) - 1)[None]
    unseen[:, -1] = task.inputs.number  # a list
    assert torch.isfinite(model(unseen, torch.ones(1, 1))).all()


def test_the_vectors_of_fields_against_a_loop(task):
    """number (numeric), user, left, right, then tags: a list is the mean of its values, whatever pads it."""
    assert task.features.names == ("number", "user_id", "left", "right", "tags")
    embedding = UniformTable(task.inputs.number, 3, task.inputs.unseen)
    ids, values, lists = task.train[0][:50], task.train[1][:50], task.lists
    out = field_vectors(embedding, ids, values, lists)
    assert out.shape == (50, 5, 3)
    for row, number, vectors in zip(ids, values, out, strict=True):
        torch.testing.assert_close(vectors[0], number * embedding.weight[row[0]])
        torch.testing.assert_close(vectors[1:4], embedding.weight[row[1:4]])
        own = row[4] - task.inputs.number
        held = [embedding.weight[i] for i, w in zip(lists.ids[own], lists.weights[own], strict=True) if w > 0]
        torch.testing.assert_close(vectors[4], torch.stack(held).mean(0))
    padded = torch.where(lists.weights == 0, lists.ids - 1, lists.ids)
    assert not torch.equal(padded, lists.ids)
    torch.testing.assert_close(field_vectors(embedding, ids, values, replace(lists, ids=padded)), out)


@pytest.mark.parametrize("name", ["fm", "deepfm", "autoint"])
def test_a_product_of_two_fields_is_found(task, name):
    (model,) = trained(name, task).models
    ids, values, label = task.test
    assert auc(task.predict(model, ids, values), label) > 0.95


def test_a_product_of_two_fields_is_not_linear(task):
    (model,) = trained("lr", task).models
    ids, values, label = task.test
    assert abs(auc(task.predict(model, ids, values), label).item() - 0.5) < 0.08


def test_seeds_together_or_alone_are_the_same(task):
    together, alone = trained("autoint_plus", task, (1, 2), epochs=2), trained("autoint_plus", task, (2,), epochs=2)
    for name, value in together.weights.items():
        assert torch.equal(value[1], alone.weights[name][0])
    assert not torch.equal(*together.weights["embedding.weight"])


def test_the_task_measures_what_scikit_learn_does(task):
    model = made("fm", task)
    ids, values, label = task.test
    with torch.no_grad():
        probability = torch.sigmoid(model(ids, values))
    outputs = task.outputs(model, "test")
    torch.testing.assert_close(outputs["probability"], probability)
    measured = task.measure(outputs, "test")
    assert measured["auc"].item() == pytest.approx(oracle.roc_auc_score(label.numpy(), probability.numpy()))
    assert measured["logloss"].item() == pytest.approx(oracle.log_loss(label.numpy(), probability.numpy()), rel=1e-5)
    validation = task.measure(task.outputs(model, "validation"), "validation")
    assert task.score(model).item() == validation["logloss"].item()


def test_an_epoch_is_every_row_once(task):
    model = made("lr", task)
    rows, again = (
        [torch.cat(column) for column in zip(*task.batches(model, torch.Generator().manual_seed(1), 512), strict=True)]
        for _ in range(2)
    )
    assert all(torch.equal(column, same) for column, same in zip(rows, again, strict=True))
    table, shuffled = (torch.cat([ids, values, label[:, None]], 1) for ids, values, label in (task.train, rows))
    assert not torch.equal(table, shuffled)
    assert sorted(table.tolist()) == sorted(shuffled.tolist())


def test_a_run_is_read_back(task, tmp_path):
    point = SETTINGS["deepfm"].model_copy(update={"epochs": 2})
    result = trained("deepfm", task, (1, 2), epochs=2)
    save_run(tmp_path, "ctr.deepfm", task, [point], [result], [1, 2])
    run = load_run(tmp_path, task)
    assert set(run.points[0]["test"]) == {"auc", "logloss"}
    assert run.outputs["test"]["probability"].shape == (1, 2, len(task.test[2]))
    model = load_model(models.build("deepfm", point, task.inputs), tmp_path, run=1)
    torch.testing.assert_close(task.outputs(model, "test")["probability"], run.outputs["test"]["probability"][0, 1])


def test_the_vectors_of_fields_by_hand():
    """A number times 2, a token, and lists {0: 1/2, 1: 1/2} and {3: 1}."""
    embedding = UniformTable(4, 2, torch.tensor([], dtype=torch.long))
    embedding.weight.data = torch.arange(8.0).view(4, 2)
    lists = Lists(1, torch.tensor([[0, 1], [3, 3]]), torch.tensor([[0.5, 0.5], [1, 0]]))
    ids, values = torch.tensor([[2, 3, 4], [2, 1, 5]]), torch.tensor([[2.0], [-1]])
    expected = [[[8.0, 10], [6, 7], [1, 2]], [[-4, -5], [2, 3], [6, 7]]]
    assert field_vectors(embedding, ids, values, lists).tolist() == expected
    assert torch.equal(field_vectors(embedding, ids[:, :2], values[:, :0], None), embedding(ids[:, :2]))


def test_the_identity_of_pairs_against_the_sum_over_pairs():
    vectors = torch.randn(20, 7, 5, dtype=torch.double)
    naive = sum((vectors[:, f] * vectors[:, g]).sum(-1) for f in range(7) for g in range(f + 1, 7))
    torch.testing.assert_close(pairs(vectors), naive)


def test_the_factorisation_machine_against_a_loop(task):
    model = made("fm", task).double()
    torch.nn.init.normal_(model.first.weights.weight)
    ids, values = (column[:10] for column in task.train[:2])
    starts = np.append(task.features.starts, task.inputs.number)
    out = model(ids, values.double())
    for row_ids, row_values, own in zip(ids.tolist(), values.double().tolist(), out, strict=True):
        expected, vectors = model.first.bias.clone(), [0] * 5
        own_list = row_ids[-1] - task.inputs.number
        held = zip(task.lists.ids[own_list].tolist(), task.lists.weights[own_list].tolist(), strict=True)
        for i, x in [(row_ids[0], row_values[0]), *((i, 1.0) for i in row_ids[1:-1]), *held]:
            expected = expected + model.first.weights.weight[i, 0] * x
            field = np.searchsorted(starts, i, side="right") - 1
            vectors[field] = vectors[field] + model.embedding.weight[i] * x
        for f in range(5):
            for g in range(f + 1, 5):
                expected = expected + vectors[f] @ vectors[g]
        torch.testing.assert_close(own, expected)


def test_logistic_regression_is_a_weighted_sum(task):
    model = made("lr", task)
    torch.nn.init.normal_(model.first.weights.weight)
    ids, values = task.train[:2]
    weights = model.first.weights.weight.detach()[:, 0]
    lists = (weights[task.lists.ids] * task.lists.weights).sum(1)[ids[:, -1] - task.inputs.number]
    start = np.log(task.mean / (1 - task.mean))
    expected = start + weights[ids[:, 0]] * values[:, 0] + weights[ids[:, 1:-1]].sum(1) + lists
    torch.testing.assert_close(model(ids, values).detach(), expected.float())


def test_the_sums_of_models(task):
    """Wide & Deep is the first order and the network, DeepFM adds the pairs, AutoInt+ adds the network to AutoInt."""
    ids, values = (column[:50] for column in task.train[:2])
    deep, plus = made("deepfm", task), made("autoint_plus", task)
    wide, machine, attention = made("widedeep", task), made("fm", task), made("autoint", task)
    torch.nn.init.normal_(deep.embedding.weight)
    torch.nn.init.normal_(plus.embedding.weight)
    for other, source in ((wide, deep), (machine, deep), (attention, plus)):
        state = {name: value for name, value in source.state_dict().items() if name in other.state_dict()}
        other.load_state_dict(state)
    for source in (deep, plus):
        vectors = field_vectors(source.embedding, ids, values, task.lists)
        hidden = vectors.flatten(1)
        for layer in source.dnn.net[:-1:2]:
            hidden = (hidden @ layer.weight.T + layer.bias).relu()
        network = (hidden @ source.dnn.net[-1].weight.T + source.dnn.net[-1].bias)[:, 0]
        if source is deep:
            torch.testing.assert_close(wide(ids, values), wide.first(ids, values) + network)
            torch.testing.assert_close(deep(ids, values), machine(ids, values) + network)
        else:
            torch.testing.assert_close(plus(ids, values), attention(ids, values) + network)


@pytest.mark.parametrize("residual", [True, False])
def test_an_interacting_layer_against_a_loop(residual):
    """Equations 5 to 8 for each row, head and field, then the normalisation."""
    layer = Interacting(width=3, heads=2, head_dim=4, residual=residual, layer_norm=True).double()
    vectors = torch.randn(5, 6, 3, dtype=torch.double)
    out, weights = layer(vectors), layer.weights(vectors)
    assert out.shape == (5, 6, 8)
    matrices = [part.weight for part in (layer.query, layer.key, layer.value)]  # (H D, K) each
    for e, row, alphas in zip(vectors, out, weights, strict=True):
        for m in range(6):
            mixed = []
            for head in range(2):
                query, key, value = (matrix[4 * head : 4 * head + 4] for matrix in matrices)
                alpha = torch.stack([(query @ e[m]) @ (key @ e[k]) for k in range(6)]).exp()
                alpha = alpha / alpha.sum()
                torch.testing.assert_close(alphas[head, m], alpha)
                mixed.append(sum(alpha[k] * (value @ e[k]) for k in range(6)))
            summed = torch.cat(mixed) + (layer.rest.weight @ e[m] if residual else 0)
            relu = summed.clamp(min=0)
            scaled = (relu - relu.mean()) / (relu.var(correction=0) + 1e-5).sqrt()
            torch.testing.assert_close(row[m], scaled)


@pytest.mark.parametrize("name", ["autoint", "autoint_flat", "autoint_plus"])
def test_attention_sums_to_one_and_is_what_the_model_uses(task, name):
    model = made(name, task)
    ids, values = (column[:30] for column in task.train[:2])
    weights = model.attention(ids, values)
    assert weights.shape == (2, 30, 2, 5, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 30, 2, 5))
    vectors = field_vectors(model.embedding, ids, values, task.lists)
    for layer, own in zip(model.layers, weights, strict=True):
        query, key, value = (layer._heads(part(vectors)) for part in (layer.query, layer.key, layer.value))
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        torch.testing.assert_close(own @ value, mixed)
        vectors = layer(vectors)
    assert isinstance(model, AutoIntModel)
    assert all((layer.rest is not None) == (name != "autoint_flat") for layer in model.layers)
