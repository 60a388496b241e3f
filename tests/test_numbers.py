"""Metrics, intervals and verdicts on cases whose answer is known."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from latent_factors import stats
from latent_factors.claims import Claim, collect, decide, ledger, load_claims, measured
from latent_factors.errors import UserError
from latent_factors.evaluate import auc, equal_bins, logloss, mae, mse, rmse
from latent_factors.sections import Statistics
from latent_factors.stats import Bootstrap, holm, p_value

numbers = st.floats(-10, 10, width=32)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=30))
def test_metrics_agree_with_scikit_learn(pairs):
    prediction, target = (torch.tensor(side) for side in zip(*pairs, strict=True))
    stacked = torch.stack([prediction, target])
    truth, guess = target.double().numpy(), prediction.double().numpy()
    expected = {
        mse: oracle.mean_squared_error(truth, guess), mae: oracle.mean_absolute_error(truth, guess),
        rmse: oracle.root_mean_squared_error(truth, guess),
    }
    for metric, value in expected.items():
        assert metric(stacked, target)[0].item() == pytest.approx(value, rel=1e-4, abs=1e-4)
        assert metric(stacked, target)[1].item() == 0


def test_metrics_by_hand():
    prediction, target = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 4.0, 1.0])
    assert (mse(prediction, target), mae(prediction, target)) == (20 / 3, 2.0)
    assert rmse(prediction, target).item() == pytest.approx((20 / 3) ** 0.5)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=40))
def test_click_metrics_agree_with_scikit_learn(pairs):
    """Predictions are eighths from 0 to 1, so that there are ties, and certainties that fail."""
    probability, label = (torch.tensor(side, dtype=torch.float32) for side in zip(*pairs, strict=True))
    probability = probability / 8
    stacked = torch.stack([probability, 1 - probability])
    if label.unique().numel() == 1:
        assert auc(stacked, label).isnan().all()
    else:
        expected = [oracle.roc_auc_score(label.numpy(), row.numpy()) for row in stacked]
        assert auc(stacked, label).tolist() == pytest.approx(expected)
    expected = [oracle.log_loss(label.numpy(), row.numpy(), labels=[0, 1]) for row in stacked]
    assert logloss(stacked, label).tolist() == pytest.approx(expected, rel=1e-4)


def test_the_auc_by_hand():
    label = torch.tensor([1.0, 0, 1, 0])
    scores = torch.tensor([[0.9, 0.1, 0.5, 0.5], [2.0, 2, 2, 2], [-1, 3, -2, 4]])
    assert auc(scores, label).tolist() == [3.5 / 4, 0.5, 0]
    assert auc(scores[None].expand(2, 3, 4), label).shape == (2, 3)


def test_equal_bins_by_hand():
    """Five rows in two bins; both runs, of which the second predicts the same for all."""
    probability = torch.tensor([[0.9, 0.1, 0.5, 0.3, 0.7], [0.4] * 5])
    assert equal_bins(probability, 2).tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 1, 1]]


def statistics(replicates=2000, seed=0) -> Statistics:
    return Statistics(replicates=replicates, level=0.95, seed=seed, blocks=2)


def test_the_interval_has_the_width_of_theory():
    """Users with one row each: the bootstrap is that of a mean, whose standard error is known."""
    values = np.random.default_rng(0).normal(size=(1, 4000))
    mean, low, high = Bootstrap(np.arange(4000), statistics(), 1).interval(
        Bootstrap(np.arange(4000), statistics(), 1).mean(values)
    )
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 / 4000**0.5, rel=0.06)


def test_rows_of_one_user_are_drawn_together():
    """A hundred copies of each row by the same user tell no more than one."""
    values = np.random.default_rng(0).normal(size=(1, 300))
    single = Bootstrap(np.arange(300), statistics(), 1)
    copied = Bootstrap(np.repeat(np.arange(300), 100), statistics(), 1)
    np.testing.assert_allclose(single.mean(values), copied.mean(np.repeat(values, 100, 1)), atol=1e-5)


def test_coverage():
    """The interval of the mean over users and runs covers the truth about as often as it says."""
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        users = np.repeat(np.arange(80), 5)
        values = generator.normal(size=80)[users] + generator.normal(size=400) + generator.normal(size=(5, 400))
        _, low, high = (boot := Bootstrap(users, statistics(400, trial), 5)).interval(boot.mean(values))
        covered += low <= 0 <= high
    assert 0.90 <= covered / 200 <= 0.985


def test_pairing_removes_what_is_common():
    generator = np.random.default_rng(2)
    common = generator.normal(size=(1, 500))
    first, second = common + 0.01 * generator.normal(size=(1, 500)), common + 0.1
    bootstrap = Bootstrap(np.arange(500), statistics(), 1)
    mean, low, high = bootstrap.interval(bootstrap.mean(second) - bootstrap.mean(first))
    assert mean == pytest.approx(0.1, abs=0.002)
    assert high - low < 0.004
    assert p_value(bootstrap.mean(second) - bootstrap.mean(first)) == pytest.approx(2 / 2001)


def test_rows_and_root():
    users = np.array([0, 0, 1, 1])
    bootstrap = Bootstrap(users, statistics(200), 2)
    values = np.array([[1.0, 4, 9, 16], [4.0, 4, 4, 4]])
    rows = np.array([True, False, False, True])
    assert bootstrap.mean(values, rows)[0] == pytest.approx((8.5 + 4) / 2)
    assert bootstrap.mean(values, rows, root=True)[0] == pytest.approx((8.5**0.5 + 2) / 2)
    only = bootstrap.mean(values, np.array([True, False, False, False]))
    assert np.isnan(only).any()  # redraws without user 0 know nothing of these rows
    assert np.isfinite(bootstrap.interval(only)).all()


def test_a_group_is_the_mean_of_its_rows():
    generator = np.random.default_rng(3)
    values, group = generator.normal(size=(3, 40)), generator.integers(2, size=40)
    bootstrap = Bootstrap((np.arange(40) // 4 + 90).astype(np.int8), statistics(100), 3)  # as pandas has few users
    together = bootstrap.by_group(values, np.tile(group, (3, 1)), 2)
    apart = [bootstrap.mean(values, group == own) for own in range(2)]
    np.testing.assert_allclose(together, np.stack(apart, 1), rtol=1e-4, atol=1e-6)
    turned = bootstrap.by_group(values[:1], 1 - group[None], 2)  # another run may put the rows elsewhere
    assert turned[0, 0] == pytest.approx(values[0, group == 1].mean())


def test_users_without_test_rows_are_never_drawn():
    bootstrap = Bootstrap(np.array([0, 5]), statistics(200), 1)
    assert np.isfinite(bootstrap.mean(np.array([[1.0, 3.0]]))).all()


def test_p_values():
    assert p_value(np.array([0.0, -1, 1, -1, 1])) == 1
    assert p_value(np.array([5.0, *np.ones(99)])) == pytest.approx(0.02)
    assert p_value(np.array([5.0, *np.ones(98), -1, np.nan])) == pytest.approx(0.04)
    assert p_value(np.array([5.0, *np.ones(98), -1]), bound=2) == pytest.approx(0.02)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def claim(smallest: float) -> Claim:
    return Claim(id="x", paper="p", claim="c.", quantity="q", unit="stars", smallest=smallest, rule="exceeds")


@pytest.mark.parametrize(
    ("smallest", "low", "high", "verdict"),
    [
        (0.1, 0.11, 0.2, "holds"), (0.1, 0.1, 0.2, "undecided"), (0.1, 0.0, 0.1, "fails"),
        (0.1, 0.0, 0.11, "undecided"),
        (0.1, -0.3, -0.2, "fails"), (0.0, 0.001, 0.002, "holds"), (0.0, -0.1, 0.1, "undecided"),
        (-0.1, -0.05, 0.3, "holds"), (-0.1, -0.2, 0.0, "undecided"), (-0.1, -0.3, -0.2, "fails"),
    ],
)
def test_verdicts(smallest, low, high, verdict):
    assert decide(claim(smallest), "rating", low, high) == verdict


def test_a_corrected_verdict_needs_its_p_value_too():
    strict = Claim(
        id="x", paper="p", claim="c.", quantity="q", unit={"rating": "stars", "ctr": "AUC"},
        smallest={"rating": 0.1, "ctr": 0.01}, rule="exceeds-corrected",
    )
    assert decide(strict, "rating", 0.2, 0.3, 0.05) == "holds"
    assert decide(strict, "rating", 0.2, 0.3, 0.06) == "undecided"
    assert decide(strict, "rating", 0.02, 0.09, 0.01) == "fails"
    assert decide(strict, "ctr_attributes", 0.02, 0.09, 0.01) == "holds"
    assert "above 0.01 AUC with a corrected p-value of at most 0.05" in strict.wording("ctr")
    assert strict.anywhere.startswith("holds if the whole interval is above 0.1 stars (rating), 0.01 AUC (ctr) with")
    with pytest.raises(UserError, match="its rule asks for a corrected p-value"):
        decide(strict, "rating", 0.2, 0.3)


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("nan"))])
def test_no_verdict_without_an_interval(bounds):
    with pytest.raises(UserError, match="is no interval"):
        decide(claim(0.0), "rating", *bounds)


def test_the_ledger(tmp_path):
    claims = {"x": claim(0.1)}
    (tmp_path / "20-a").mkdir()
    with pytest.raises(UserError, match="states x, which no chapter measured"):
        collect(tmp_path, claims)
    row = measured(claims["x"], "made", "rating", "20-a", 0.3, 0.2, 0.4)
    assert list(row) == [
        "id", "paper", "claim", "dataset", "task", "effect", "low", "high", "p", "rule", "verdict", "chapter", "cell",
    ]
    (tmp_path / "20-a" / "claims.json").write_text(json.dumps([row]))
    assert collect(tmp_path, claims) == [row]
    assert "| c. | p | made, rating | +0.3000 [+0.2000, +0.4000] stars | **holds** | [20](chapters/20-a.ipynb) |" in (
        ledger([row], claims)
    )
    assert "| a norm, \\|E\\|. | p |" in ledger([row | {"claim": "a norm, |E|."}], claims)
    topk = row | {"task": "topk"}
    (tmp_path / "20-a" / "claims.json").write_text(json.dumps([topk, row | {"dataset": "other"}, row]))
    assert collect(tmp_path, claims) == [row, row | {"dataset": "other"}, topk]


def test_stated_claims(tmp_path):
    assert all(claim.claim.endswith(".") for claim in load_claims().values())
    path = tmp_path / "claims.yaml"
    path.write_text("- {id: a, paper: p, claim: c., quantity: q, unit: u, smallest: 0.1, rule: exceed}\n")
    with pytest.raises(UserError, match=r"claims.yaml, claim 1: rule: .*'exceeds'"):
        load_claims(path)
    entry = "- {id: a, paper: p, claim: c., quantity: q, unit: u, smallest: 0.1, rule: exceeds}\n"
    path.write_text(entry * 2)
    with pytest.raises(UserError, match="states a twice"):
        load_claims(path)


def test_the_interval_over_seeds_is_students():
    bootstrap = Bootstrap(np.arange(3), statistics(2000), 5)
    values = bootstrap.over_seeds(np.array([1.0, 2, 3, 4, 5]))
    assert values[0] == 3
    _, low, high = bootstrap.interval(values)
    assert high - low == pytest.approx(2 * 2.776 * (2.5 / 5) ** 0.5, rel=0.15)  # Student's t, four degrees of freedom
    assert p_value(bootstrap.over_seeds(np.array([1.0]))) > 0.9


def test_the_bootstrap_of_the_auc_is_scikit_learns_with_weights(monkeypatch):
    """Each replicate weighs a row by how often its user was drawn; scores are coarse, so there are ties.

    Users come in the small integers that tables hold, and are counted in several portions.
    """
    monkeypatch.setattr(stats, "USERS", 16)
    generator = np.random.default_rng(0)
    users = np.concatenate([np.arange(40), generator.integers(0, 40, 260)]).astype(np.int8)
    label = (generator.random(300) < 0.4).astype(np.float32)
    scores = np.round(generator.random((2, 300)) + label * 0.3, 1).astype(np.float32)
    bootstrap = Bootstrap(users, statistics(200), 2)
    values = bootstrap.auc(scores, label)
    assert values[0] == pytest.approx(np.mean([oracle.roc_auc_score(label, run) for run in scores]))
    for replicate in (0, 7, 150):
        weight = bootstrap._weights[replicate, users]
        areas = [oracle.roc_auc_score(label, run, sample_weight=weight) for run in scores]
        assert values[replicate + 1] == pytest.approx(np.mean([areas[run] for run in bootstrap._seeds[replicate]]))
