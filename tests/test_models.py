"""What every rating model must do, and what each computes exactly."""

import numpy as np
import pytest
import torch
from torch.func import functional_call

from conftest import examples, planted, write_inter
from latent_factors import models
from latent_factors.embedding import UniformTable, add_gradients
from latent_factors.evaluate import rmse
from latent_factors.fit import fit
from latent_factors.sections import ALS, MF, MLP, Biases, Mean, NeuMF
from latent_factors.tasks import rating

CPU = torch.device("cpu")
GRADIENT = {"learning_rate": 0.01, "batch_size": 512, "epochs": 60, "patience": 5}
SETTINGS = {
    "mean": Mean(),
    "biases": Biases(user_damping=1.0, item_damping=1.0),
    "mf": MF(dim=4, l2=0.1, l2_bias=0.01, l2_power=0.5, **GRADIENT),
    "als": ALS(dim=4, l2=0.1, l2_bias=0.01, l2_power=0.5, epochs=40, patience=5),
    "mlp": MLP(dim=8, l2=0.01, l2_power=0.5, **GRADIENT),
    "neumf": NeuMF(dim=8, l2=0.01, l2_power=0.5, **GRADIENT),
}
NOISE = 0.2


@pytest.fixture
def task(project, settings):
    write_inter(project, "made", planted(users=150, items=100, rank=2, noise=NOISE, filled=0.4))
    return rating.prepare("made", settings.data, settings.split, CPU)


def trained(name: str, task, seeds=(1, 2)):
    point = SETTINGS[name]
    return fit(f"rating.{name}", lambda: models.build(name, point, task.inputs), task, point, list(seeds))


def predicted(fitted, task) -> torch.Tensor:
    """The test predictions of each run (S, n)."""
    return torch.stack([task.predict(model, task.test[0]) for model in fitted.models])


@pytest.mark.parametrize("name", SETTINGS)
def test_shared(task, name):
    """Outputs have the right shape and do not depend on the order of rows; unseen ids get finite predictions."""
    torch.manual_seed(0)
    model = models.build(name, SETTINGS[name], task.inputs)
    ids = task.ids[:50]
    out = model(ids)
    assert out.shape == (50,)
    order = torch.randperm(50)
    torch.testing.assert_close(model(ids[order]), out[order])
    unseen = task.inputs.unseen[None]
    assert torch.isfinite(model(unseen)).all()
    if name in ("mean", "biases", "mf", "als"):
        assert model(unseen).item() == pytest.approx(task.mean)


@pytest.mark.parametrize(
    ("name", "most"), [("mf", 1.25), ("als", 1.25), ("neumf", 1.6), ("mlp", 2.5)]
)
def test_planted_truth_is_recovered(task, name, most):
    """Ratings of rank 2 with noise 0.2: factor models come near the noise, far below what biases reach."""
    truth = task.test[1]
    error = rmse(predicted(trained(name, task), task), truth).mean() / NOISE
    biases = rmse(predicted(trained("biases", task), task), truth).mean() / NOISE
    assert biases > 4
    assert 0.95 < error < most


def test_the_mean(task):
    assert trained("mean", task).weights["mean"].tolist() == pytest.approx([task.mean] * 2)


def test_biases_solve_their_ridge_regression(task):
    """Against the normal equations over all indicators, solved by numpy."""
    settings = Biases(user_damping=3.0, item_damping=0.5)
    model = models.build("biases", settings, task.inputs)
    ids, target = task.train
    with torch.no_grad():
        model.sweep(ids, target)
    rows = np.arange(len(ids))
    design = np.zeros((len(ids), task.inputs.number))
    design[rows, ids[:, 0]] = design[rows, ids[:, 1]] = 1
    users = task.features.starts[1]
    damping = np.where(np.arange(task.inputs.number) < users, 3.0, 0.5)
    normal = design.T @ design + np.diag(damping)
    exact = np.linalg.solve(normal, design.T @ (target.double().numpy() - task.mean))
    np.testing.assert_allclose(model.bias.detach(), exact, atol=1e-4)


def test_als_solves_each_users_ridge_regression(task):
    """After a sweep every user's factors and bias solve equation (Σ x xᵀ + n^ν Λ) w = Σ x (r − μ − b_i) exactly."""
    settings = ALS(dim=3, l2=0.1, l2_bias=0.02, l2_power=0.7, epochs=1, patience=1)
    torch.manual_seed(0)
    model = models.build("als", settings, task.inputs)
    ids, target = task.train
    with torch.no_grad():
        model.sweep(ids, target)
    factors, bias = model.embedding.weight.detach().double(), model.bias.weight.detach().double()[:, 0]
    for user in (0, 7, 149):
        mine = ids[:, 0] == user
        other = ids[mine, 1]
        x = torch.cat([factors[other], torch.ones(len(other), 1)], 1)
        rest = target[mine].double() - model.mean.double() - bias[other]
        ridge = torch.diag(torch.tensor([0.1, 0.1, 0.1, 0.02], dtype=torch.double))
        normal = x.T @ x + len(other) ** 0.7 * ridge
        exact = torch.linalg.solve(normal, x.T @ rest)
        torch.testing.assert_close(torch.cat([factors[user], bias[user, None]]), exact, atol=1e-4, rtol=1e-4)


def test_als_lowers_the_objective_in_every_sweep(task):
    settings = ALS(dim=3, l2=0.1, l2_bias=0.02, l2_power=1.0, epochs=1, patience=1)
    torch.manual_seed(0)
    model = models.build("als", settings, task.inputs)
    ids, target = task.train
    counts = torch.from_numpy(task.features.counts).float()
    values = []
    with torch.no_grad():
        for _ in range(6):
            model.sweep(ids, target)
            squares = (model(ids) - target).square().sum()
            norms = 0.1 * model.embedding.weight.square().sum(1) + 0.02 * model.bias.weight[:, 0].square()
            values.append((squares + (counts * norms).sum()).item())
    assert values == sorted(values, reverse=True)


def test_mf_has_the_gradient_of_its_equation(task):
    """Against a plain loop over ratings: mean (r − r̂)² + Σ_f w_f (λ ‖e_f‖² + λ_b b_f²), w_f = n_f / n (ν = 1)."""
    settings = MF(dim=2, l2=0.3, l2_bias=0.2, l2_power=1.0, **GRADIENT)
    torch.manual_seed(3)
    model = models.build("mf", settings, task.inputs).double()
    torch.nn.init.normal_(model.bias.weight)
    ids, target = (part[:40] for part in task.train)
    weight = torch.zeros(task.inputs.number, dtype=torch.double)
    for row in ids.tolist():
        for feature in row:
            weight[feature] += 1 / 40
    (model(ids) - target).square().mean().backward()
    add_gradients(model.penalties(weight))
    table, bias, mean = (p.detach().clone() for p in (model.embedding.weight, model.bias.weight, model.mean))
    grad = torch.zeros_like(table)
    grad_bias = torch.zeros_like(bias)
    for (u, i), r in zip(ids.tolist(), target.tolist(), strict=True):
        residual = mean + bias[u, 0] + bias[i, 0] + table[u] @ table[i] - r
        grad[u] += (2 * residual * table[i] + 2 * 0.3 * table[u]) / 40
        grad[i] += (2 * residual * table[u] + 2 * 0.3 * table[i]) / 40
        grad_bias[u] += (2 * residual + 2 * 0.2 * bias[u]) / 40
        grad_bias[i] += (2 * residual + 2 * 0.2 * bias[i]) / 40
    torch.testing.assert_close(model.embedding.weight.grad, grad)
    torch.testing.assert_close(model.bias.weight.grad, grad_bias)


def test_neumf_by_hand():
    """K = 1, one hidden unit of each layer at work: r̂ = μ + w_0 g_u g_i + w_1 relu(3 relu(m_u + 2 m_i))."""
    inputs = models.Inputs(number=2, fields=2, unseen=torch.tensor([], dtype=torch.long), mean=3.0)
    model = models.build("neumf", NeuMF(dim=1, l2=0.0, l2_power=0.0, **GRADIENT), inputs)
    weights = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    weights["embedding.weight"] = torch.tensor([[2.0, 0.5], [-1.0, 1.0]])
    weights["net.0.weight"][5] = torch.tensor([1.0, 2.0])
    weights["net.2.weight"][7, 5] = 3.0
    weights["last.weight"][0, [0, 1 + 7]] = torch.tensor([0.5, 0.1])
    out = functional_call(model, weights, (torch.tensor([[0, 1]]),))
    assert out.item() == pytest.approx(3 + 0.5 * 2 * -1 + 0.1 * 3 * 2.5)


def test_the_mlp_has_the_widths_of_the_paper():
    inputs = models.Inputs(number=2, fields=2, unseen=torch.tensor([0]), mean=3.0)
    model = models.build("mlp", MLP(dim=8, l2=0.0, l2_power=0.0, **GRADIENT), inputs)
    assert [layer.weight.shape for layer in model.net if hasattr(layer, "weight")] == [(128, 16), (64, 128), (1, 64)]
    assert not model.embedding.weight[0].any()  # the unseen id


def test_the_readmes_model_works(task):
    """The example of README.md, word for word, trains and beats the global mean."""
    source = examples()[0]
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    exec(source, names)
    assert source.count("\n") <= 60
    point = SETTINGS["mlp"]

    def build():
        embedding = UniformTable(task.inputs.number, names["Model"].width(point), task.inputs.unseen)
        return names["Model"](embedding, point, task.inputs)

    truth = task.test[1]
    error = rmse(predicted(fit("rating.readme", build, task, point, [1, 2]), task), truth).mean()
    assert error < 0.7 * rmse(predicted(trained("mean", task), task), truth).mean()
