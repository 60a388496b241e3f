import torch

from conftest import planted, write_inter
from latent_factors.bench import reading, report, training
from latent_factors.tasks import rating


def test_the_benchmark_file_has_its_schema(project, settings):
    write_inter(project, "ml-100k", planted(users=40, items=30, rank=1, noise=0.5, filled=0.5))
    device = torch.device("cpu")
    problem = rating.prepare("ml-100k", settings.data, settings.split, device)
    written = report(training(settings, problem, 1) + reading(settings, problem, 1), settings, device)
    assert list(written) == ["threads", "device", "machine", "versions", "results"]
    assert {row["name"] for row in written["results"]} == {
        "epoch_mf", "epoch_als", "epoch_mlp", "epoch_neumf", "stacking_gain", "read", "prepare", "bootstrap",
    }
    for row in written["results"]:
        assert {key: type(value) for key, value in row.items()} == {
            "name": str, "value": float, "unit": str, "what": str,
        }
        assert row["value"] > 0
        assert row["unit"] in ("s", "ratio")
