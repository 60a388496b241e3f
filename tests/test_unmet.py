"""Whether held-out events lie as near to those of training as a random draw would."""

import numpy as np
from scipy.sparse import random as random_matrix

from latent_factors.data import unmet as module
from latent_factors.data.unmet import unmet


def test_by_hand():
    user = np.array([0, 0, 1, 1, 2, 0, 0])
    item = np.array([0, 1, 1, 2, 3, 2, 3])
    assert unmet(user, item, np.arange(5), np.array([5, 6])) == 0.5  # 2 met 1 at user 1; 3 met nothing


def test_against_sets_in_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    user, item = random_matrix(30, 40, 0.1, random_state=0).nonzero()
    held = np.arange(0, len(user), 3)
    train = np.setdiff1d(np.arange(len(user)), held)
    had = {person: set(item[train[user[train] == person]]) for person in range(30)}
    lonely = [
        not any(item[row] in own and own & had[user[row]] for own in had.values()) for row in held
    ]
    assert 0 < unmet(user, item, train, held) == np.mean(lonely) < 1


def test_a_random_draw_leaves_alike_shares_and_late_items_more():
    rng = np.random.default_rng(0)
    user, item = np.divmod(rng.choice(2000 * 300, 12_000, replace=False), 300)
    order = rng.permutation(len(user))
    train, one, other = np.split(order, [9000, 10_500])
    shares = [unmet(user, item, train, held) for held in (one, other)]
    assert abs(shares[0] - shares[1]) < 4 * np.sqrt(shares[0] / 1500)
    late = np.flatnonzero(item >= 290)
    assert unmet(user, item, np.setdiff1d(train, late), late) == 1
