"""Published numbers: every one is measured, and judged by its relative difference."""

import pytest

from conftest import HOME
from latent_factors.errors import UserError
from latent_factors.published import Table, beside, load_published, read_study, swaps, verdict

TABLE = Table(paper="A", study="s", tolerance=0.04, differences="none", values={"bpr": {"ndcg@20": 0.05}})
STUDY = {"seeds": 5, "models": [{"model": "bpr", "metrics": {"ndcg@20": {"mean": 0.051, "low": 0.05, "high": 0.052}}}]}


def test_the_rule():
    assert [verdict(difference, 0.04) for difference in (-0.05, -0.04, 0.0, 0.04, 0.05)] == [
        "smaller", "agrees", "agrees", "agrees", "larger",
    ]


def test_a_number_beside_ours():
    (row,) = beside(TABLE.model_copy(update={"others": {"elsewhere": {"ndcg@20": 0.06}}}), STUDY).to_dict("records")
    assert row == {
        "model": "bpr", "metric": "ndcg@20", "published": 0.05, "mean": 0.051, "low": 0.05, "high": 0.052,
        "difference": pytest.approx(0.02), "verdict": "agrees", "runs": 5,
    }
    (told,) = STUDY["models"]
    assert beside(TABLE, STUDY | {"models": [told | {"runs": 3}]})["runs"].tolist() == [3]


@pytest.mark.parametrize("values", [{"lightgcn": {"ndcg@20": 0.05}}, {"bpr": {"ndcg@5": 0.05}}])
def test_what_was_not_measured_is_one_sentence(values):
    with pytest.raises(UserError, match="was not measured; drop the number"):
        beside(TABLE.model_copy(update={"values": values}), STUDY)


def test_who_is_ahead_in_validation_and_behind_in_the_test():
    reached = {"bpr": (0.1, 0.3), "ease": (0.2, 0.4), "itemknn": (0.3, 0.2), "popular": (0.1, 0.1)}
    rows = [
        {"model": model, "validation": validation, "metrics": {"ndcg@20": {"mean": test}}}
        for model, (validation, test) in reached.items()
    ]
    assert swaps({"cutoff": 20, "models": rows}) == [("itemknn", "bpr"), ("itemknn", "ease")]


def test_a_study_that_is_not_there_is_one_sentence(project):
    with pytest.raises(UserError, match="names the study s, and"):
        read_study(TABLE)


def test_the_tables_in_git_are_measured(monkeypatch):
    monkeypatch.chdir(HOME)
    for table in load_published():
        assert len(beside(table, read_study(table))) == sum(map(len, table.values.values()))
