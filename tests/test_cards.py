"""Model cards: what they say is what was trained and measured."""

import contextlib
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import tiny
from conftest import HOME
from latent_factors import cards
from latent_factors.errors import UserError
from latent_factors.loading import load
from latent_factors.provenance import data_hash
from latent_factors.runs import load_run
from latent_factors.settings import load_settings
from latent_factors.stats import Bootstrap

ROW = {"dataset": "tiny", "task": "topk", "split": "random", "model": "bpr", "metric": "ndcg@10", "part": "test"}
NAMES = [
    "tiny-rating-biases", "tiny-ctr-lr", "tiny-topk-bpr", "tiny-topk-popular", "tiny-release-popular_genre",
    "tiny-sequence-markov",
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A project with trained models, what a chapter handed in, how long one model took, and the cards."""
    folder = tiny.train(tmp_path_factory.mktemp("made"))
    rows = [ROW | {"mean": 0.5, "low": 0.25, "high": 0.75, "seeds": 2}]
    for name, kept in (("build/chapters/40-top-k", rows), ("build/chapters/10-the-data", []), ("reports", rows)):
        (folder / name).mkdir(parents=True)
        (folder / name / "metrics.json").write_text(json.dumps(kept))
    (folder / "notebooks").mkdir()
    for name in ("40-top-k", "10-the-data"):
        shutil.copy(HOME / "notebooks" / f"{name}.ipynb", folder / "notebooks")
    (folder / "build/times/train").mkdir(parents=True)
    told = {"seconds": 12.6, "started": "2026-01-01T00:00:00+00:00", "threads": 1, "device": "cpu"}
    (folder / "build/times/train/tiny-topk-bpr.json").write_text(json.dumps(told))
    load_settings.cache_clear()
    with contextlib.chdir(folder):
        cards.write(folder / "models", chapters="../pages")
    return folder


@pytest.fixture
def trained(written, monkeypatch):
    """The same, as the working folder."""
    monkeypatch.chdir(written)
    load_settings.cache_clear()
    yield written
    load_settings.cache_clear()


def table(page: str) -> dict[str, list[str]]:
    """The rows of a page's tables by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line[:1] == "|"]
    return {first: rest for first, *rest in rows}


def test_a_card_says_what_was_trained(trained):
    page = (trained / "models/tiny-topk-bpr.md").read_text()
    assert page.startswith("# BPR-MF, top-k recommendation on tiny\n")
    assert "\nShown in [40 · Top-k recommendation](../pages/40-top-k.ipynb).\n" in page
    rows = table(page)
    assert rows["data"] == [f"`tiny`, SHA-256 `{data_hash('tiny')}`"]
    assert rows["seeds, from root seed 2006"] == ["1, 2"]
    assert rows["parameters"] == ["306"]  # 3 times 60 users, 40 items and an id each for the unseen
    assert rows["training time"] == ["13 s for all runs, on cpu with 1 thread"]
    for key, value in tiny.TRAINED["topk", "bpr"].items():
        assert rows[f"`{key}`"] == [str(value)]
    assert (trained / "models/tiny-topk-bpr.png").stat().st_size < 20_000
    assert Image.open(trained / "models/tiny-topk-bpr.png").width > 600
    popular = (trained / "models/tiny-topk-popular.md").read_text()
    assert "There are no learning curves" in popular
    assert table(popular)["training time"] == ["not known: trained elsewhere, or taken from the cache"]
    assert not (trained / "models/tiny-topk-popular.png").exists()


def test_scores_are_those_of_chapters_and_of_the_bootstrap(trained):
    rows = table((trained / "models/tiny-topk-bpr.md").read_text())
    assert rows["ndcg@10"][1] == "0.5000 [0.2500, 0.7500]"  # as the chapter has it
    stored = json.loads((trained / "build/train/tiny-topk-bpr/run.json").read_text())["points"][0]
    assert rows["recall@20"][1].startswith(f"{np.mean(stored['test']['recall@20']):.4f} [")  # which no chapter has
    assert rows["hit@20"][0].startswith(f"{np.mean(stored['validation']['hit@20']):.4f} [")

    task = load("tiny-rating-biases").task
    run = load_run(trained / "build/train/tiny-rating-biases", task)
    errors = (run.outputs["validation"]["prediction"][0] - task.validation[1]).numpy()
    users = task.interactions.user.codes[task.parts.validation]
    bootstrap = Bootstrap(users, load_settings().statistics, load_settings().seeds.count)
    expected = "{:.4f} [{:.4f}, {:.4f}]".format(*bootstrap.interval(bootstrap.mean(np.abs(errors))))
    assert table((trained / "models/tiny-rating-biases.md").read_text())["mae (stars)"][0] == expected
    for cell in table((trained / "models/tiny-ctr-lr.md").read_text())["auc"]:
        assert re.fullmatch(r"0\.\d{4} \[0\.\d{4}, [01]\.\d{4}\]", cell)


def test_the_three_lines_of_a_card_work(trained):
    for name in NAMES:
        code = re.search(r"```python\n(.*?)```", (trained / "models" / f"{name}.md").read_text(), re.DOTALL)[1]
        first, second, third = code.splitlines()
        scope = {}
        exec(f"{first}\n{second}\nanswer = {third}", scope)
        assert len(scope["answer"]) > 0


def test_the_list_names_every_model_and_nothing_changes_by_itself(trained):
    index = (trained / "models/index.md").read_text()
    assert index.split("```{toctree}\n:hidden:\n")[1].split("```")[0].split() == NAMES
    assert all(f"]({name}.md)" in index for name in NAMES)
    assert "| [BPR-MF](tiny-topk-bpr.md) | 0.5000 [0.2500, 0.7500] | 306 |" in index
    assert cards.write(trained / "again", chapters="../pages") == NAMES
    for path in (trained / "models").iterdir():
        assert path.read_bytes() == (trained / "again" / path.name).read_bytes()


def test_without_trained_models(project):
    with pytest.raises(UserError, match="build/train holds no trained model"):
        cards.write(project / "models")
