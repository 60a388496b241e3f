"""What `make repro` shows: which stage of how many runs, how long each took, and what came of it."""

import json
import os
from datetime import UTC, datetime

import pytest

from conftest import HOME
from latent_factors import repro, summary
from latent_factors.errors import UserError
from latent_factors.guide import refresh, shortened
from latent_factors.progress import Progress
from latent_factors.settings import TASKS
from latent_factors.times import read_times, times_path, write_times

TOLD = (  # by three processes of DVC, as it words it
    ("a", "'data.dvc' didn't change, skipping", None),
    ("a", "Stage 'train@x' didn't change, skipping", None),
    ("a", "Running stage 'train@y':", "stage 2 of 9: train@y"),
    ("a", "> PYTHONPATH=src python -m latent_factors.notebook notebooks/train.ipynb build/train/y", None),
    ("b", "Stage 'train@z' is cached - skipping run, checking out outputs", "stage 3 of 9: train@z, from DVC's cache"),
    ("a", "topk.bpr  run 1/5  epoch 2/9  loss 0.1  ndcg@10 0.2  best 0.2", ...),
    ("b", "Running stage 'chapter-10':", "stage 4 of 9: chapter-10"),
    ("a", "Updating lock file 'dvc.lock'", None),
    ("a", "", None),
    ("a", "Use `dvc push` to send your updates to remote storage.", None),
    ("c", "Stage 'train@y' didn't change, skipping", None),
    ("c", "Running stage 'claims':", "stage 5 of 9: claims"),
)


def told() -> Progress:
    """The progress after these lines, one a second."""
    progress = Progress(9, clock=iter(range(100)).__next__)
    for process, line, shown in TOLD:
        assert progress.read(process, line) == (line if shown is ... else shown)
    progress.end("b")
    progress.end("c")
    return progress


def test_stages_are_counted_over_all_processes_and_timed_in_their_own():
    progress = told()
    assert progress.outcomes == {
        "train@x": "unchanged", "train@y": "ran", "train@z": "restored", "chapter-10": "ran", "claims": "ran",
    }
    assert progress.seconds == {"train@y": 2, "chapter-10": 3, "claims": 2}  # begun at 0, 1, 3, ended at 2, 4, 5


@pytest.fixture
def reports(tmp_path):
    (tmp_path / "reports").mkdir()
    rows = [
        {"task": task, "metric": metric, "part": part, "model": model,
         "mean": mean, "low": mean - 0.1, "high": mean + 0.1}
        for task, metric, part, model, mean in (
            ("rating", "rmse", "test", "mf", 0.9), ("rating", "rmse", "test", "mean", 1.1),
            ("rating", "rmse", "test, user block 1", "mean", 0.1), ("rating", "mse", "test", "mean", 0.1),
            ("topk", "ndcg@10", "test", "popular", 0.2), ("topk", "ndcg@10", "test", "neumf_implicit", 0.3),
            ("topk", "ndcg@20", "test", "popular", 0.5),
        )
    ]
    (tmp_path / "reports/metrics.json").write_text(json.dumps(rows))
    claims = [{"verdict": verdict} for verdict in ("holds", "fails", "fails")]
    (tmp_path / "reports/claims.json").write_text(json.dumps(claims))
    return tmp_path


def test_the_summary(reports):
    lines = summary.text(told(), 150, reports).splitlines()
    assert lines[1] == "3 of 9 stages ran in 2 min; 5 were up to date, 1 came from DVC's cache"
    assert [line.split() for line in lines[3:7]] == [
        ["stages", "count", "seconds", "slowest,", "seconds"], ["train", "1", "2.0", "y,", "2.0"],
        ["chapters", "1", "3.0", "chapter-10,", "3.0"], ["claims", "1", "2.0", "claims,", "2.0"],
    ]
    assert lines[8:11] == [
        "task    test     best            mean [interval]          second   mean",
        "rating  rmse     mf              0.9000 [0.8000, 1.0000]  mean     1.1000",
        "topk    ndcg@10  neumf_implicit  0.3000 [0.2000, 0.4000]  popular  0.2000",
    ]
    assert lines[12] == "Of 3 claims measured, 1 hold, 2 fail, 0 are undecided: reports/claims.md"
    assert lines[13] == f"Open {summary.OPEN}"
    assert max(map(len, lines)) <= 100


def test_nothing_to_do_takes_a_line(reports):
    lines = summary.text(Progress(9), 2.04, reports).splitlines()
    assert lines[0] == "Nothing to do: all 9 stages are up to date (2.0 s)"
    assert len(lines) == 3


def test_without_results_it_names_the_page(project):
    assert summary.text(Progress(9), 1, project).splitlines()[1:] == [f"Open {summary.OPEN}"]


def test_the_committed_results_fit_the_screen():
    lines = summary.metrics(HOME)
    assert [line.split()[0] for line in lines[1:]] == list(TASKS)
    assert max(map(len, lines)) <= 100


def test_durations():
    assert [summary.duration(seconds) for seconds in (59.94, 61, 3599, 3601, 7260)] == [
        "59.9 s", "1 min", "1 h 0 min", "1 h 0 min", "2 h 1 min",
    ]


def test_a_fault_is_the_last_thing_that_is_seen(capsys):
    progress = Progress(2)
    code = "import sys; print('epoch 1'); print('error: params.yaml: mend it', file=sys.stderr); sys.exit(3)"
    assert repro.follow("a", exec, [code], progress) == ["error: params.yaml: mend it"]
    assert not progress.buried
    assert repro.follow("b", exec, ["print('epoch 2')"], progress) == []
    assert progress.buried  # so it is told again
    assert repro.follow("c", exec, ["raise SystemExit(3)"], progress) == ["error: c ended with status 3"]
    assert capsys.readouterr().out == "epoch 1\nerror: params.yaml: mend it\nepoch 2\n"


def test_after_a_fault_no_stage_is_begun(monkeypatch):
    begun = []
    monkeypatch.setattr(repro, "follow", lambda name, *_: begun.append(name) or ["error"])
    assert set(repro.side_by_side(["a", "b", "c", "d"], Progress(4))) == {"error"}
    assert set(begun) <= {"a", "b"}


def test_times_lie_beside_the_outputs(project):
    started = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    out = project / "build/train/ml-100k-topk-bpr"
    write_times(out, 1.234, started, {"device": "auto", "threads": 2}, gpu=True)
    assert times_path(out) == project / "build/times/train/ml-100k-topk-bpr.json"
    took = read_times(out)
    assert took.pop("processor")
    assert took.pop("cores") <= os.cpu_count()
    assert took == {"seconds": 1.23, "started": "2026-01-02T03:04:05+00:00", "threads": 2, "device": "cuda"}
    write_times(out, 1, started, {"device": "cpu", "threads": 2}, gpu=True)
    assert read_times(out)["device"] == "cpu"
    assert read_times(project / "build/train/other") is None
    write_times(project / "elsewhere", 1, started, None, gpu=False)
    assert read_times(project / "elsewhere") is None
    assert [path.name for path in (project / "build/times").rglob("*.json*")] == ["ml-100k-topk-bpr.json"]


def test_times_that_cannot_be_written_fail_nothing(project):
    (project / "build").mkdir()
    (project / "build/times").touch()
    write_times(project / "build/train/x", 1, datetime.now(UTC), None, gpu=False)
    assert read_times(project / "build/train/x") is None


GUIDE = """# Guide

```console
$ echo one \\
  two
old output
$ true
```

```python
$ echo untouched
```

```console
$ seq 30
```
"""


def test_a_guide_shows_what_its_commands_print(tmp_path):
    text = refresh(GUIDE, tmp_path)
    assert "```console\n$ echo one \\\n  two\none two\n$ true\n```\n" in text
    assert "$ echo untouched\n```" in text
    assert "$ seq 30\n1\n2\n3\n4\n5\n6\n[… 17 lines …]\n24\n" in text
    assert text.endswith("\n30\n```\n")
    assert refresh(text, tmp_path) == text
    with pytest.raises(UserError, match=r"`echo so; exit 3` ended with status 3, .*\nso"):
        refresh("```console\n$ echo so; exit 3\n```\n", tmp_path)


def test_what_one_line_would_replace_stays():
    assert shortened(list(map(str, range(14)))) == list(map(str, range(14)))
