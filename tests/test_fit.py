import resource

import numpy as np
import pytest
import torch

from conftest import planted, write_inter
from latent_factors import models
from latent_factors.embedding import add_gradients
from latent_factors.errors import UserError
from latent_factors.fit import derive_seeds, fit, set_up
from latent_factors.runs import load_model, load_run, save_run
from latent_factors.sections import ALS, MF, Compute, Seeds
from latent_factors.tasks import rating
from latent_factors.training import train_points

POINT = MF(dim=3, l2=0.1, l2_bias=0.01, l2_power=0.5, learning_rate=0.02, batch_size=256, epochs=8, patience=3)


@pytest.fixture
def task(project, settings):
    write_inter(project, "made", planted(users=60, items=40, rank=2, noise=0.3, filled=0.5))
    return rating.prepare("made", settings.data, settings.split, torch.device("cpu"))


def train(task, seeds, point=POINT, model="mf"):
    return fit(f"rating.{model}", lambda: models.build(model, point, task.inputs), task, point, list(seeds))


def test_products_are_those_of_float32():
    """Rounded to bfloat16, the error would be a thousand times larger."""
    set_up(Compute(device="cpu", threads=1))
    one, other = torch.randn(2, 300, 200, generator=torch.Generator().manual_seed(0)).requires_grad_()
    exact = one.detach().double() @ other.detach().double().T
    product = one @ other.T
    assert (product.double() - exact).abs().max() < 1e-4
    (gradient,) = torch.autograd.grad(product.sum(), one)
    torch.testing.assert_close(gradient, other.detach().sum(0).expand_as(one))


def test_freed_memory_is_kept():
    """Memory for two tensors of 8 MiB, 2,048 pages each, is mostly not asked for again; else it always is."""
    set_up(Compute(device="cpu", threads=1))

    def faults(rounds: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(rounds):
            one, other = torch.ones(2**21), torch.ones(2**21)
            del one, other
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults(2)
    assert faults(20) < 20 * 2 * 2048 / 4


def test_one_more_run_shifts_nothing(task):
    together = train(task, [11, 12, 13])
    alone = train(task, [12])
    for name, value in together.weights.items():
        assert torch.equal(value[1], alone.weights[name][0])
    assert not torch.equal(together.weights["embedding.weight"][0], together.weights["embedding.weight"][1])


def test_the_same_bytes_every_time(task):
    first, second = train(task, [11, 12]), train(task, [11, 12])
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name])
    assert first.history == second.history


def test_runs_in_processes_of_their_own_are_the_same(task):
    points = [POINT, POINT.model_copy(update={"dim": 2})]
    beside, alone = (
        train_points("rating.mf", task, points, [11, 12], Compute(device="cpu", threads=threads)) for threads in (2, 1)
    )
    for point, one, other in zip(points, beside, alone, strict=True):
        expected = train(task, [11, 12], point)
        for fitted in (one, other):
            assert fitted.best.tolist() == expected.best.tolist()
            assert fitted.history == expected.history
            assert all(torch.equal(value, fitted.weights[name]) for name, value in expected.weights.items())
            assert [task.score(model) for model in fitted.models] == fitted.best.tolist()


def test_an_error_in_a_process_of_its_own_reaches_the_user(task):
    point = POINT.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(UserError, match=r"^rating\.mf: the loss became "):
        train_points("rating.mf", task, [point], [1, 2], Compute(device="cpu", threads=2))


def test_the_best_epoch_is_kept(task):
    loose = {"dim": 20, "epochs": 40, "patience": 2, "l2": 0.0, "l2_bias": 0.0}
    result = train(task, [1, 2, 3], POINT.model_copy(update=loose))
    for run, seed in enumerate((1, 2, 3)):
        scores = [row["validation"] for row in result.history if row["seed"] == seed]
        assert result.best[run].item() == torch.tensor(min(scores)).item()
        assert len(scores) < 40  # it overfits
        assert scores.index(min(scores)) == len(scores) - 3  # two epochs of patience after the best
    scores = [task.score(model) for model in result.models]
    assert torch.stack(scores).tolist() == result.best.tolist()


def test_a_loss_that_is_not_finite_names_step_and_rate(task):
    with pytest.raises(UserError) as error:
        train(task, [1], POINT.model_copy(update={"learning_rate": 1e30}))
    sentence = str(error.value)
    assert sentence.startswith("rating.mf: the loss became ")
    assert "at step " in sentence
    assert "(epoch 1, batch " in sentence
    assert sentence.endswith(
        "with learning_rate 1e+30 and batch_size 256; lower the learning_rate of rating.mf in params.yaml"
    )


def test_seeds_depend_on_name_and_number_alone():
    five, six = (derive_seeds(Seeds(root=1, count=count), "rating.mf") for count in (5, 6))
    assert six[:5] == five
    assert len(set(six) | set(derive_seeds(Seeds(root=1, count=6), "rating.als"))) == 12
    assert derive_seeds(Seeds(root=2, count=1), "rating.mf") != five[:1]


def test_a_gpu_that_is_not_there():
    assert set_up(Compute(device="cpu", threads=2)) == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"compute\.device is cuda, and torch sees no GPU"):
            set_up(Compute(device="cuda", threads=2))


def test_a_run_is_read_back(task, tmp_path, settings):
    points = [POINT, POINT.model_copy(update={"dim": 5})]
    fits = [train(task, [5, 6], point) for point in points]
    (tmp_path / "run").mkdir()
    save_run(tmp_path / "run", "rating.mf", task, points, fits, [5, 6])
    run = load_run(tmp_path / "run", task)
    assert [point["settings"]["dim"] for point in run.points] == [3, 5]
    number = task.inputs.number
    assert [point["parameters"] for point in run.points] == [number * 4 + 1, number * 6 + 1]
    ids, truth = task.test
    predicted = torch.stack([task.predict(model, ids) for model in fits[1].models])
    torch.testing.assert_close(run.outputs["test"]["prediction"][1], predicted)
    by_hand = ((predicted - truth) ** 2).mean(1).sqrt()
    np.testing.assert_allclose(run.points[1]["test"]["rmse"], by_hand, rtol=1e-5)
    assert set(run.outputs) == {"test"}
    assert not (tmp_path / "run/weights.safetensors").exists()

    other = rating.prepare("made", settings.data, settings.split.model_copy(update={"seed": 9}), torch.device("cpu"))
    with pytest.raises(UserError, match="was trained on another split"):
        load_run(tmp_path / "run", other)
    with pytest.raises(UserError, match="holds no trained model"):
        load_run(tmp_path / "none", task)

    save_run(tmp_path / "run", "rating.mf", task, points[1:], fits[1:], [5, 6])
    alone = load_run(tmp_path / "run", task)
    assert set(alone.outputs) == {"validation", "test"}
    model = load_model(models.build("mf", points[1], task.inputs), tmp_path / "run", run=1)
    torch.testing.assert_close(task.predict(model, ids), alone.outputs["test"]["prediction"][0, 1])


def test_predictions_are_clipped_to_the_training_scale(task):
    low, high = task.train[1].min(), task.train[1].max()
    wild = task.predict(lambda ids: ids[:, 0] * 1e6 - 1e5, torch.tensor([[0, 0], [1, 0]]))
    assert wild.tolist() == [low.item(), high.item()]


def test_als_ends_by_patience_too(task):
    point = ALS(dim=8, l2=0.001, l2_bias=0.001, l2_power=1.0, epochs=40, patience=2)
    assert max(row["epoch"] for row in train(task, [1], point, "als").history) < 40


def test_the_penalty_weighs_a_power_of_the_frequency(task):
    """The gradient of feature f's penalty is 2 λ n_f^ν e_f / n."""
    for power in (0.0, 0.5, 1.0):
        point = POINT.model_copy(update={"l2_power": power})
        model = models.build("mf", point, task.inputs)
        weight = task.frequency**power / len(task.train[1])
        for parameter in (model.embedding.weight, model.bias.weight):
            parameter.grad = torch.zeros_like(parameter)
        add_gradients(model.penalties(weight))
        seen = task.frequency > 0
        pull = (model.embedding.weight.grad / (2 * point.l2 * model.embedding.weight))[seen, 0].detach()
        torch.testing.assert_close(pull * len(task.train[1]), task.frequency[seen] ** power)
