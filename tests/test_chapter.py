"""What chapters show: tables by hand, the marks that pages are built from, and the cell that a claim comes from."""

import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from latent_factors import chapter as module
from latent_factors import larger
from latent_factors.chapter import Chapter

CLAIM = "- {id: a, paper: p, claim: c., quantity: q, unit: stars, smallest: 0.1, rule: exceeds}\n"


@pytest.fixture
def shown(monkeypatch):
    """What a chapter displays: pairs of content and metadata."""
    outputs = []

    def display(content, raw=False, metadata=None):
        outputs.append((content if raw else content.data, metadata))

    monkeypatch.setattr(module, "display", display)
    return outputs


@pytest.fixture
def chapter(project, monkeypatch):
    """A chapter of an empty project, run by hand."""
    monkeypatch.delenv("LATENT_FACTORS_OUT", raising=False)
    (project / "data" / "made").mkdir()
    (project / "notebooks").mkdir()
    (project / "notebooks" / "20-a.ipynb").write_text('{"cells": []}')
    (project / "notebooks" / "claims.yaml").write_text(CLAIM)
    return Chapter("20-a", "made", {})


def test_a_table_by_hand(chapter, shown):
    frame = pd.DataFrame({
        "stars": ["0.9 [0.8, 1.0]", "−0.1", ""], "rows": [1234, 5, 6], "share": [0.123456, 1.0, 2.0],
        "settings": ["dim 4", "<none>", "12 films"],
    }, index=["MF & co", "EASE", "mean"])
    chapter.table(frame, "errors", "What is wrong.")
    caption, (data, metadata) = shown
    assert caption == ("**Table 20.1.** What is wrong.", {"caption": "20-errors"})
    assert metadata == {"table": "20-errors"}
    right, left = (f' style="text-align: {side}"' for side in ("right", "left"))
    head, first, second, third = (line for line in data["text/html"].splitlines() if line.startswith("<tr>"))
    assert head == (
        f"<tr><th{left}></th><th{right}>stars</th><th{right}>rows</th><th{right}>share</th><th{left}>settings</th></tr>"
    )
    assert first == (
        f"<tr><th{left}>MF &amp; co</th><td{right}>0.9 [0.8, 1.0]</td><td{right}>1,234</td><td{right}>0.1235</td>"
        f"<td{left}>dim 4</td></tr>"
    )
    assert f"<td{left}>&lt;none&gt;</td>" in second
    assert f"<td{right}></td>" in third
    assert " ".join(data["text/plain"].splitlines()[1].split()) == "MF & co 0.9 [0.8, 1.0] 1,234 0.1235 dim 4"


def test_the_index_heads_rows_unless_it_counts_them(chapter, shown):
    chapter.table(pd.DataFrame({"a": [1]}), "one", "c.")
    chapter.table(pd.DataFrame({"of": ["x"], "block": [1], "a": [2]}).set_index(["of", "block"]), "two", "c.")
    one, two = (content["text/html"] for content, metadata in shown if "table" in metadata)
    assert one.count("<th ") == 1
    assert "of</th>" in two
    assert 'left">x</th><th style="text-align: right">1</th><td' in two
    assert shown[2][0].startswith("**Table 20.2.** ")


def test_figures_and_captions_are_marked(chapter, shown):
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    chapter.figure(figure, "curve", "How it goes.")
    (image, metadata), caption = shown
    assert metadata == {"image/png": {"alt": "How it goes."}, "figure": "20-curve"}
    assert image["text/plain"] == "How it goes."
    assert caption == ("**Figure 20.1.** How it goes.", {"caption": "20-curve"})


@pytest.mark.parametrize("cell", [3, None])
def test_a_claim_names_its_cell(chapter, shown, cell, monkeypatch):
    shell = cell and SimpleNamespace(user_ns={"In": ["", "one", "two", "the claim"]})
    monkeypatch.setattr(module, "get_ipython", lambda: shell)
    chapter.claim("a", "rating", 0.3, 0.2, 0.4)
    ((text, metadata),) = shown
    assert metadata == {"claim": "a"}
    assert "**Verdict: holds.**" in text
    (row,) = json.loads((chapter.folder / "claims.json").read_text())
    assert (row["id"], row["cell"]) == ("a", cell)


def test_the_cell_is_the_one_that_runs(monkeypatch):
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    monkeypatch.setattr(module, "get_ipython", lambda: shell)
    shell.user_ns["cell"] = module._cell
    runs = [shell.run_cell("number = cell()", store_history=True) for _ in range(2)]
    assert [run.execution_count for run in runs] == [1, 2]
    assert shell.user_ns["number"] == 2


def test_a_study_says_which_models_have_fewer_runs():
    runs = {"popular": 1, "bpr": 5, "directau": 3, "lightgcn": 1}
    models = [
        {"model": model, "runs": number, "settings": {} if model == "popular" else {"epochs": 9}}
        for model, number in runs.items()
    ]
    assert larger.seeds_of({"seeds": 5, "models": models}) == "5 seeds, DirectAU 3, LightGCN 1"
    assert larger.seeds_of({"seeds": 5, "models": models[:2]}) == "5 seeds"


def test_claims_are_decided_by_what_longer_studies_found(chapter, shown, project):
    folder = project / "reports" / "replications"
    folder.mkdir(parents=True)
    for name, low in (("big", 0.2), ("huge", -0.3)):
        effects = [
            {"claim": claim, "of": ["ease", "bpr"], "mean": 0.3, "low": low, "high": 0.4} for claim in ("a", "another")
        ]
        (folder / f"ranking-{name}.json").write_text(json.dumps({"dataset": name, "effects": effects}))
    larger.decide(chapter, "a")
    assert shown == [
        ("- c. (EASE and BPR-MF, big) +0.3000 [+0.2000, +0.4000]: **holds**.", {"claim": "a"}),
        ("- c. (EASE and BPR-MF, huge) +0.3000 [-0.3000, +0.4000]: **undecided**.", {"claim": "a"}),
    ]
    rows = json.loads((chapter.folder / "claims.json").read_text())
    assert [(row["dataset"], row["task"], row["verdict"]) for row in rows] == [
        ("big", "topk", "holds"), ("huge", "topk", "undecided"),
    ]
