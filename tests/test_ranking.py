"""Lists and their metrics: by hand, against ir-measures, and where scores are equal."""

import ir_measures
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import RR, P, R, Success, nDCG

from latent_factors import ranking

INF = torch.inf


def lists(scores, relevant, k):
    items, hits = ranking.top(torch.tensor(scores), torch.tensor(relevant), k)
    return items.tolist(), hits.tolist()


def test_metrics_by_hand():
    """Hits at places 2 and 3 of 4, three relevant items."""
    hits, relevant = torch.tensor([[False, True, True, False]]), torch.tensor([3])
    discount = [1 / np.log2(place + 1) for place in (1, 2, 3, 4)]
    expected = {
        "ndcg": (discount[1] + discount[2]) / sum(discount[:3]), "recall": 2 / 3, "hit": 1.0, "mrr": 0.5,
        "precision": 0.5,
    }
    for name, value in expected.items():
        assert ranking.METRICS[name](hits, relevant, 4).item() == pytest.approx(value)
    assert ranking.ndcg(hits, relevant, 2).item() == pytest.approx(discount[1] / sum(discount[:2]))
    assert ranking.mrr(hits, relevant, 1).item() == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_against_ir_measures(seed, k, coarse):
    """Random scores, relevant items and forbidden items; coarse scores have ties, which our order breaks first."""
    generator = torch.Generator().manual_seed(seed)
    users, number = 5, 15
    scores = torch.rand(users, number, generator=generator)
    scores = (scores * 4).floor() if coarse else scores
    relevant = torch.rand(users, number, generator=generator) < 0.3
    relevant[:, 0] |= ~relevant.any(1)
    forbidden = (torch.rand(users, number, generator=generator) < 0.2) & ~relevant
    items, hits = ranking.top(scores.masked_fill(forbidden, -INF), relevant, k)
    truth = {str(u): {str(i): 1 for i in relevant[u].nonzero()[:, 0].tolist()} for u in range(users)}
    run = {
        str(u): {str(i): float(k - place) for place, i in enumerate(items[u].tolist()) if i >= 0} for u in range(users)
    }
    oracle = {"ndcg": nDCG @ k, "recall": R @ k, "mrr": RR @ k, "precision": P @ k, "hit": Success @ k}
    for name, measure in oracle.items():
        theirs = {row.query_id: row.value for row in ir_measures.iter_calc([measure], truth, run)}
        ours = ranking.METRICS[name](hits, relevant.sum(1), k)
        assert [theirs[str(u)] for u in range(users)] == pytest.approx(ours.tolist())


def test_equal_scores_are_ordered_against_the_model():
    relevant = [[True, True, False, False, False]]
    assert lists([[0.0] * 5], relevant, 3) == ([[2, 3, 4]], [[False] * 3])
    assert lists([[0.0] * 5], relevant, 4) == ([[2, 3, 4, 0]], [[False] * 3 + [True]])
    assert lists([[1.0, 2.0, 2.0, 0.0, 0.0]], relevant, 2) == ([[2, 1]], [[False, True]])
    assert lists([[2.0, 1.0, 1.0, 0.0, 0.0]], relevant, 2) == ([[0, 2]], [[True, False]])  # a tie at the end


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_ties_against_a_full_sort(seed, k):
    generator = np.random.default_rng(seed)
    scores, relevant = generator.integers(0, 3, (4, 8)).astype(np.float32), generator.random((4, 8)) < 0.4
    scores[generator.random((4, 8)) < 0.2] = -np.inf
    items, hits = ranking.top(torch.from_numpy(scores), torch.from_numpy(relevant), k)
    for u in range(4):
        left = np.flatnonzero(scores[u] > -np.inf)
        order = sorted(left.tolist(), key=lambda i, u=u: (-scores[u, i], relevant[u, i], i))
        expected = (order + [-1] * k)[:k]
        assert items[u].tolist() == expected
        assert hits[u].tolist() == [i >= 0 and bool(relevant[u, i]) for i in expected]


def test_lists_longer_than_what_is_left():
    scores, relevant = [[3.0, -INF, 1.0]], [[False, True, True]]
    assert lists(scores, relevant, 3) == ([[0, 2, -1]], [[False, True, False]])
    assert lists(scores, relevant, 5) == ([[0, 2, -1, -1, -1]], [[False, True, False, False, False]])
    _, hits = ranking.top(torch.tensor(scores), torch.tensor(relevant), 5)
    assert ranking.precision(hits, torch.tensor([2]), 5).item() == pytest.approx(1 / 5)
    assert ranking.recall(hits, torch.tensor([2]), 5).item() == 0.5


def test_scores_that_are_no_numbers_hit_nothing():
    _, hits = ranking.top(torch.full((1, 4), torch.nan), torch.ones(1, 4, dtype=torch.bool), 2)
    assert not hits.any()


def test_coverage_popularity_and_slices():
    items = torch.tensor([[[0, 1], [1, -1]], [[2, 2], [2, -1]]])
    assert ranking.coverage(items, 4).tolist() == [0.5, 0.25]
    assert ranking.popularity(items, torch.tensor([6, 3, 2, 1])).tolist() == [[4.5, 3.0], [2.0, 2.0]]
    assert ranking.slices(torch.tensor([6.0, 3, 3, 2, 2, 2]), 3).tolist() == [0, 1, 1, 2, 2, 2]
