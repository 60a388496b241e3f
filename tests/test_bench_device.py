"""The comparison of devices: one device twice is no difference, and without a GPU there is one sentence."""

import pytest
import torch

from conftest import planted, write_inter
from latent_factors import bench, bench_device
from latent_factors.errors import UserError
from latent_factors.settings import load_settings
from latent_factors.tune import edited

CPU = torch.device("cpu")


@pytest.fixture
def twice(project, monkeypatch):
    """A project of short trainings on made data, whose two devices are one."""
    write_inter(project, "made", planted(40, 30, 2, 0.3, 0.5).assign(rating=lambda table: table["rating"].clip(1, 5)))
    with edited(project / "params.yaml") as values:
        values["dataset"] = "made"
        for task, models in bench_device.MODELS.items():
            for model in models:
                values[task][model].update(epochs=2, patience=2)
    monkeypatch.setattr(bench_device, "DEVICES", {"cpu": CPU, "gpu": CPU})
    load_settings.cache_clear()
    return load_settings()


def test_one_device_twice_is_no_difference(twice):
    rows = bench_device.compare(twice)
    assert [(row["task"], row["model"]) for row in rows] == [
        (task, model) for task, models in bench_device.MODELS.items() for model in models
    ]
    for row in rows:
        assert row["cpu"] == row["gpu"] and len(set(row["cpu"])) == bench_device.SEEDS
        assert row["same_weights"] == 0


def test_larger_data_are_timed(twice):
    rows = bench_device.large(twice, twice.dataset)
    assert [row["model"] for row in rows] == list(bench_device.LARGE)
    assert all(row[f"{where}_{part}"] > 0 for row in rows for where in ("cpu", "gpu") for part in ("epoch", "ranking"))


def test_epochs_are_timed_over_each_other(twice):
    rows = bench_device.ratios(twice)
    assert [row["name"] for row in rows] == [
        f"{one}_over_{other}_{size}" for (one, other), (sizes, _) in bench.COMPARED.items() for size in sizes
    ]
    assert all(row["value"] > 0 and row["what"].endswith("on a processor") for row in rows)


def test_without_a_gpu_there_is_nothing_to_compare(twice, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="sees no GPU"):
        bench_device.main([])
