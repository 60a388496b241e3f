import json
import re

import pytest
import torch

from conftest import HOME, planted, write_inter
from latent_factors import (
    bench_clicks,
    bench_decoding,
    bench_interpret,
    bench_peers,
    bench_search,
    bench_sequences,
    peers,
)
from latent_factors.bench import BOUNDED, COMPARED, beside_recbole, compared, large, reading, report
from latent_factors.bench_bounds import bounds
from latent_factors.bench_large import measure
from latent_factors.data.atomic import read_atomic
from latent_factors.errors import UserError
from latent_factors.interpret.activations import Activations
from latent_factors.tasks import prepare, rating

RATIOS = [f"{model}_over_{other}_{size}" for (model, other), (sizes, _) in COMPARED.items() for size in sizes]
BOUNDS = [f"uniformity_over_bpr_{size}" for size in BOUNDED["uniformity"]] + [
    f"info_nce_over_lightgcn_{size}" for size in BOUNDED["info_nce"]
]
ROW = {"name": str, "value": float, "unit": str, "what": str}


def check(written: dict) -> None:
    assert list(written) == ["threads", "device", "machine", "versions", "results"]
    for row in written["results"]:
        assert {key: type(value) for key, value in row.items()} == ROW
        assert row["unit"] in ("s", "h", "ratio", "GiB", "AUC", "ndcg")


def test_the_benchmark_file_has_its_schema(project, settings):
    write_inter(project, "ml-100k", planted(users=40, items=30, rank=1, noise=0.5, filled=0.5))
    device = torch.device("cpu")
    problem = rating.prepare("ml-100k", settings.data, settings.split, device)
    written = report(reading(settings, problem, 1), settings, device)
    check(written)
    assert {row["name"] for row in written["results"]} == {"read", "prepare", "bootstrap"}


def test_the_committed_benchmark_times_every_recommender(settings):
    written = json.loads((HOME / "reports" / "bench.json").read_text())
    check(written)
    names = {row["name"] for row in written["results"]}
    assert {f"train_topk_{model}" for model in type(settings.topk).model_fields} <= names
    assert set(RATIOS) | set(BOUNDS) <= names


def test_without_peers_or_large_data_there_is_a_notice(project, settings, capsys):
    assert peers.recbole() is None
    assert beside_recbole(settings, torch.device("cpu")) == []
    assert large(settings) == []
    notices = capsys.readouterr().err
    assert "no ../shared/peers beside the project" in notices
    assert "`make data NAME=gowalla`" in notices


def test_epochs_are_compared_at_equal_batches(project, settings):
    write_inter(project, "ml-100k", planted(users=40, items=30, rank=1, noise=0.5, filled=0.5))
    rows = compared(settings, torch.device("cpu"), 1)
    assert [row["name"] for row in rows] == RATIOS
    rows = bounds(settings, torch.device("cpu"), BOUNDED, 1)
    assert [row["name"] for row in rows] == BOUNDS
    assert all(row["value"] > 0 for row in rows)


def test_a_large_data_set_is_measured(project):
    write_inter(project, "made", planted(users=40, items=30, rank=1, noise=0.5, filled=0.5))
    measured = measure("made")
    assert measured["events"] > 400
    assert 0 < measured["peak"] < 24


def test_a_pruned_table_takes_a_tenth_of_the_bytes(project):
    rows = {row["name"]: row["value"] for row in bench_search._storage("small", 2000)}
    assert rows["sparse_disk_small"] < 0.1
    assert rows["sparse_memory_small"] < 0.1
    assert rows["sparse_look_up_small"] > 0


def test_the_committed_benchmark_tells_what_a_search_costs():
    names = {row["name"] for row in json.loads((HOME / "reports" / "bench.json").read_text())["results"]}
    for model in bench_search.MODELS:
        assert {f"search_{ratio}_{model}_median" for ratio in ("search", "whole", "grid")} <= names
    assert {"millions_memory", "sparse_look_up_large", "clicks_memory_whole"} <= names


def test_dictionaries_are_timed_and_the_committed_benchmark_has_them(settings):
    activations = Activations(torch.randn(60, 4), torch.randn(60, 4), torch.arange(60), lambda given: given)
    quick = settings.interpret.autoencoder.model_copy(update={"epochs": 2})
    quick = settings.model_copy(update={"interpret": settings.interpret.model_copy(update={"autoencoder": quick})})
    rows = {row["name"]: row["value"] for row in bench_interpret.compared(activations, quick, 2)}
    assert rows["interpret_ratio_least"] <= rows["interpret_ratio_median"] <= rows["interpret_ratio_most"]
    committed = json.loads((HOME / "reports" / "bench.json").read_text())["results"]
    assert set(rows) <= {row["name"] for row in committed}


def test_made_clicks_are_searched(project):
    made = project / "data" / "made"
    made.mkdir(parents=True)
    bench_clicks.write(made / "made.inter", 3000)
    measured = bench_clicks.measure(3000)
    assert 39 + 26 < measured["features"] < 3000  # of rare values, few occur ten times
    assert 0 < measured["read_peak"] <= measured["peak"] < 24


def test_a_peer_gets_the_very_same_rows(project, settings, tmp_path):
    write_inter(project, "made", planted(users=40, items=30, rank=1, noise=0.5, filled=0.5))
    task = rating.prepare("made", settings.data, settings.split, torch.device("cpu"))
    name = peers.write_parts(task, tmp_path)
    files = [read_atomic(tmp_path / name / f"{name}.{part}.inter") for part in peers.PARTS.values()]
    assert len(list((tmp_path / name).iterdir())) == 3
    assert files[-1]["rating"].tolist() == pytest.approx(sorted_by_line(task, "test"))
    assert [len(table) for table in files] == [len(rows) for _, rows in task.parts]


def test_a_peer_gets_sequences_in_one_order(project, settings, tmp_path):
    write_inter(project, "made", planted(users=10, items=30, rank=1, noise=0.5, filled=0.5).assign(timestamp=0.0))
    task = prepare("sequence", "made", settings.data, settings.sequences, torch.device("cpu"))
    name = peers.write_in_order(task, tmp_path)
    table = read_atomic(tmp_path / name / f"{name}.inter")
    assert table["timestamp"].is_monotonic_increasing
    last = table.groupby("user_id")["item_id"].last()
    events = task.interactions
    assert last.to_dict() == {events.user[row]: events.item[row] for row in task.parts.test}


def test_every_user_of_made_data_gets_ten_items_by_beam_search(project, settings, monkeypatch):
    table = planted(users=30, items=40, rank=2, noise=0.3, filled=0.4)
    write_inter(project, "made", table.drop(columns="timestamp"))
    monkeypatch.setattr(bench_decoding, "DATASET", "made")
    with pytest.raises(UserError, match=r"data/other is not there; `make data NAME=other` fetches it"):
        bench_decoding.decoding("other", (20,))
    (project / "reports").mkdir()
    (project / "reports" / "bench.json").write_text(json.dumps({"threads": 1, "results": []}))
    bench_decoding.main()
    narrow, wide = bench_decoding.measured()
    assert (narrow["name"], wide["name"]) == bench_decoding.NAMES
    assert narrow["value"] > 0
    assert re.match(r"ten items out of \d+ for each of 30 users of made, 10 beams, 2 tokens an item, ", narrow["what"])


def test_rows_beside_recbole_take_the_place_of_older_ones(project, settings, monkeypatch):
    assert bench_sequences.measured() == []
    (project / "reports").mkdir()
    names = ("read", bench_sequences.ONCE, bench_sequences.NAMES[0])
    old = [{"name": name, "value": 1.0, "unit": "s", "what": ""} for name in names]
    (project / "reports" / "bench.json").write_text(json.dumps({"threads": 1, "results": old}))
    rows = [{"name": name, "value": 2.0, "unit": "ratio", "what": ""} for name in bench_sequences.NAMES]
    monkeypatch.setattr(bench_sequences, "beside_recbole", lambda *arguments: rows)
    monkeypatch.setattr(peers, "recbole", lambda: project)
    bench_sequences.main()
    written = json.loads((project / "reports" / "bench.json").read_text())
    assert written == {"threads": 1, "results": [*old[:2], *rows]}
    assert bench_sequences.measured() == [old[1], *rows]  # what cannot be measured again is kept
    monkeypatch.setattr(peers, "recbole", lambda: None)
    with pytest.raises(UserError, match="there is nothing to measure beside"):
        bench_sequences.main()


def sorted_by_line(task, part: str) -> list[float]:
    rows = getattr(task.parts, part)
    return task.interactions.rating[rows[task.lines(part).argsort()]].tolist()


def test_what_an_epoch_is_spent_on_adds_up():
    table = torch.randn(1000, 16)
    rows = bench_peers._spent("made", lambda: (table @ table.T, table.index_select(0, torch.arange(500))))
    shares = {row["name"]: row["value"] for row in rows}
    groups = {"matrix_products", "look-ups", "elementwise_work_and_overhead"}
    assert set(shares) == {f"spent_made_{group}" for group in groups}
    assert sum(shares.values()) == pytest.approx(1)
