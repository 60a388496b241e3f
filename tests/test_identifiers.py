"""Item identifiers: what each scheme spells, that no two items are alike, and the trie over all of them."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import SpectralClustering

from latent_factors.data.items import Items
from latent_factors.errors import UserError
from latent_factors.identifiers import END, NONE, Column, Identifiers, compose
from latent_factors.identifiers.clusters import collaborative
from latent_factors.identifiers.described import semantic, title
from latent_factors.identifiers.known import Known, Sequences, shortened
from latent_factors.identifiers.numbers import digits, drawn, sequential
from latent_factors.identifiers.rqvae import RQVAE, codes_of, kmeans, restored_share, train
from latent_factors.identifiers.schemes import identify
from latent_factors.identifiers.trie import Trie
from latent_factors.sections import Scheme

WALKS = {"u": [3, 1, 4], "v": [1, 5], "w": [0, 4, 2, 5]}  # items 0 to 6; nobody took 6; v began first, then w, then u


def walks(catalogue: int = 7) -> Sequences:
    users = np.repeat(np.arange(3), [len(own) for own in WALKS.values()])
    items = np.concatenate(list(WALKS.values()))
    began = np.array([30, 10, 20])
    order = np.random.default_rng(0).permutation(len(users))  # rows come in any order; ranks tell the true one
    rank = np.arange(len(users))
    return Sequences.of(users[order], items[order], rank[order], (began[users] + rank)[order], catalogue)


def films() -> Items:
    tokens = pd.Index(["a", "b", "c", "d"])
    genres = pd.DataFrame(
        {"Comedy": [1, 0, 1, 0], "Drama": [1, 1, 1, 0], "War": [1, 0, 0, 0]}, index=tokens
    ).astype(bool)
    names = pd.Series(["The Film", "Film", "The Film", "???"], index=tokens)
    return Items(names, genres, pd.Series([1990.0, np.nan, 1990, np.nan], index=tokens))


def spelled(identifiers: Identifiers) -> list[list[int]]:
    return [[token for token in row if token] for row in identifiers.tokens.tolist()]


def test_codes_become_tokens_and_items_that_are_alike_are_numbered():
    columns = [Column("one", np.array([5, 5, NONE, 5, NONE])), Column("two", np.array([7, 7, 7, NONE, NONE]))]
    made = compose("made", columns)
    assert spelled(made) == [[1, 2, 4], [1, 2, 5], [2], [1], [3]]  # 3: has no code at all
    assert (made.vocabulary, made.levels, made.collisions) == (6, ("one", "two", "number"), 2)
    assert made.lengths.tolist() == [3, 3, 1, 1, 1]
    assert made.report() == {"mean length": 1.8, "longest": 3, "vocabulary": 5, "collisions": 2}
    shared = compose("made", [Column("one", np.array([0, 1]), "words"), Column("two", np.array([1, 0]), "words")])
    assert spelled(shared) == [[1, 2], [2, 1]]


def test_what_is_no_identifier_is_told_in_one_sentence():
    for tokens, vocabulary, told in (
        ([[1, 2], [2, 1], [1, 2]], 3, "items 0 and 2 have the same tokens; add a level"),
        ([[1, 2], [1, 3]], 3, "token 3 of item 1 is outside the vocabulary of 3; make them"),
        ([[1, 2], [0, 2]], 3, "item 1 has no token before its end; give it one"),
        ([[1, 0, 2], [1, 2, 0]], 3, "item 0 has no token before its end"),
    ):
        with pytest.raises(UserError, match=told):
            Identifiers("made", torch.tensor(tokens), vocabulary, ())


@given(st.integers(1, 400), st.integers(2, 30), st.integers(0, 5))
def test_digits_are_those_of_the_number(items, base, seed):
    columns = drawn(items, base, seed)
    number = sum(column.codes * base ** (len(columns) - 1 - place) for place, column in enumerate(columns))
    assert sorted(number) == list(range(items))
    assert base ** (len(columns) - 1) < max(items, 2)  # none too many
    assert compose("drawn", columns).collisions == 0


def test_digits_by_hand():
    assert [column.codes.tolist() for column in digits(np.array([0, 5, 8]), 3)] == [[0, 1, 2], [0, 2, 2]]
    assert [column.codes.tolist() for column in digits(np.array([0]), 3)] == [[0]]


@pytest.mark.parametrize(("order", "met"), [
    ("time", [1, 5, 0, 4, 2, 3, 6]), ("short-first", [1, 5, 3, 4, 0, 2, 6]), ("long-first", [0, 4, 2, 5, 3, 1, 6]),
])
def test_numbers_follow_the_walks(order, met):
    (own,) = sequential(walks(), order, 7, 0)
    assert np.argsort(own.codes).tolist() == met
    assert sorted(sequential(walks(), "random", 7, 3)[0].codes) == list(range(7))


def test_words_and_categories_by_hand():
    names = [column.codes.tolist() for column in title(films(), 2)]
    assert names == [[1, 0, 1, NONE], [0, NONE, 0, NONE]]  # film, the; a title without a word has none
    told = compose("title", title(films(), 2))
    assert spelled(told)[1] == [1]
    assert told.collisions == 2
    path = [column.codes.tolist() for column in semantic(films(), 2)]
    assert path == [[0, 0, 0, NONE], [1, NONE, 1, NONE], [1990, NONE, 1990, NONE]]  # Drama, then Comedy; War is cut
    assert len({tuple(own) for own in spelled(compose("semantic", semantic(films(), 2)))}) == 4
    with pytest.raises(UserError, match="no item has a title; name another scheme"):
        blank = films().title.index.to_series()
        title(Items(blank, films().genres, films().year), 2)


def test_clusters_are_those_of_the_users():
    """Three tastes of six items each, users who take items of one alone: the first cluster is the taste."""
    generator = np.random.default_rng(0)
    taste = np.repeat(np.arange(3), 6)
    users = np.repeat(np.arange(60), 4)
    items = np.concatenate([generator.permutation(np.flatnonzero(taste == user % 3))[:4] for user in range(60)])
    own = Sequences.of(users, items, np.arange(len(users)), np.arange(len(users)), 19)  # item 18 is alone
    assert own.co_occurrence()[0, 0] == 0
    assert own.co_occurrence().sum() == 60 * 4 * 3
    first, *rest = collaborative(own.co_occurrence(), 3, 7, 0)
    assert not rest
    assert pd.crosstab(first.codes[:18], taste).gt(0).to_numpy().sum(1).tolist() == [1, 1, 1]
    assert first.codes[18] != NONE
    (whole,) = collaborative(own.co_occurrence(), 3, 50, 0)  # cut once, however large a leaf may be
    assert (whole.codes == first.codes).all()
    deeper = collaborative(own.co_occurrence(), 3, 4, 0)
    assert len(deeper) > 1
    assert compose("collaborative", deeper).levels[-1] == "number"
    with pytest.raises(UserError, match="20 clusters of 19 items; lower clusters in"):
        collaborative(own.co_occurrence(), 20, 4, 0)


def test_clusters_are_those_of_spectral_clustering():
    """Against scikit-learn's, which inverts the matrix: users with tastes of their own, some of whom share items."""
    generator = np.random.default_rng(1)
    taste = generator.integers(5, size=80)
    users = np.repeat(np.arange(150), 6)
    likely = [np.where(taste == user % 5, 8.0, 1.0) for user in range(150)]
    items = np.concatenate([generator.choice(80, 6, replace=False, p=own / own.sum()) for own in likely])
    together = Sequences.of(users, items, np.arange(len(users)), np.arange(len(users)), 80).co_occurrence()
    (first,) = collaborative(together, 5, 80, 0)
    other = SpectralClustering(5, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
    assert (first.codes == other.fit_predict(together.astype(float))).all()
    assert pd.crosstab(first.codes, taste).max(axis=1).sum() > 60


def test_vectors_are_the_singular_directions_of_who_took_what():
    dense = walks().scaled().toarray()
    assert dense[0, 3] == pytest.approx(1 / np.sqrt(3 * 1))
    u, s, _ = np.linalg.svd(dense.T, full_matrices=False)
    mine, true = shortened(walks().scaled().T, 2), u[:, :2] * s[:2]
    true = true / np.maximum(np.linalg.norm(true, axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(mine @ mine.T, true @ true.T, atol=1e-5)
    assert (mine[6] == 0).all()
    assert shortened(walks().scaled().T, 5).shape == (7, 5)


def test_a_quantiser_takes_the_nearest_of_what_is_left():
    torch.manual_seed(0)
    model = RQVAE(4, 8, 2, levels=2, codes=2, beta=0.5)
    with torch.no_grad():
        model.books.copy_(torch.tensor([[[0.0, 0.0], [4.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]]))
    codes, residuals, chosen = model.quantise(torch.tensor([[4.5, 0.25], [0.0, 2.0]]))
    assert codes.tolist() == [[1, 1], [0, 0]]
    torch.testing.assert_close(residuals[0], torch.tensor([[4.5, 0.25], [0.5, 0.25]]))
    torch.testing.assert_close(chosen.sum(1), torch.tensor([[5.0, 0.0], [0.0, 1.0]]))


def test_the_loss_of_the_quantiser_is_its_formula_and_passes_straight_through():
    torch.manual_seed(1)
    model, x = RQVAE(5, 8, 3, levels=2, codes=4, beta=0.25).double(), torch.randn(6, 5).double()
    loss, _, _ = model.loss(x)
    z = model.encoder(x)
    left, plain = z, 0.0
    for book in model.books:
        code = ((left[:, None] - book) ** 2).sum(2).argmin(1)
        plain = plain + 0.25 * ((left - book[code].detach()) ** 2).sum() + ((left.detach() - book[code]) ** 2).sum()
        left = left - book[code].detach()
    whole = z + (z - left - z).detach()
    whole.retain_grad()
    plain = plain + ((x - model.decoder(whole)) ** 2).sum()
    torch.testing.assert_close(loss, plain / 6)
    loss.backward()
    mine = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    (plain / 6).backward()
    for own, weight in zip(mine, model.parameters(), strict=True):
        torch.testing.assert_close(own, weight.grad)


def test_a_quantiser_finds_planted_clusters_and_uses_every_code():
    """Sixteen points: four corners, and four smaller ones around each; two levels of four codes tell them all apart."""
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    truth = torch.cartesian_prod(torch.arange(4), torch.arange(4)).repeat_interleave(8, 0)
    x = corners[truth[:, 0]] + 0.25 * corners[truth[:, 1]]
    x = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    settings = {"hidden": 32, "dim": 4, "levels": 2, "codes": 4, "beta": 0.25, "epochs": 150, "batch_size": 32}
    model, losses = train(x, **settings, seed=3)
    codes = codes_of(model, x)
    assert losses[-1] < 0.1 * losses[0]
    assert restored_share(model, x) > 0.95
    assert all(len(own.unique()) == 4 for own in codes.T)
    again, _ = train(x, **settings, seed=3)
    assert torch.equal(codes, codes_of(again, x))  # the same seed, the same bytes
    with pytest.raises(UserError, match="9 codes for 8 items; lower codes in"):
        kmeans(x[:8], 9, torch.Generator())


def test_dead_codes_are_moved_to_what_is_left():
    model = RQVAE(2, 4, 2, levels=2, codes=3, beta=0.25)
    before = model.books.detach().clone()
    residuals = torch.arange(8.0).view(2, 2, 2)  # (B, L, d)
    assert model.revive(torch.tensor([[0, 2], [1, 2]]), residuals, torch.Generator().manual_seed(0)) == 3
    moved = (model.books != before).any(2)
    assert moved.tolist() == [[False, False, True], [True, True, False]]
    assert any(torch.equal(model.books[0, 2], own) for own in residuals[:, 0])
    assert any(torch.equal(model.books[1, 0], own) for own in residuals[:, 1])


KINDS = {
    "drawn": {"base": 3, "seed": 0}, "title": {"words": 2}, "independent": {},
    "sequential": {"order": "time", "base": 2, "seed": 0}, "semantic": {"depth": 2},
    "collaborative": {"clusters": 2, "leaf": 2, "seed": 0},
    "residual": {
        "source": "both", "levels": 2, "codes": 2, "dim": 2, "hidden": 4, "beta": 0.25, "epochs": 2, "batch_size": 4,
        "seed": 0, "words": 0.5, "year": 0.5,
    },
}


@pytest.mark.parametrize("kinds", [
    *([kind] for kind in KINDS), ["collaborative", "independent"], ["sequential", "independent"],
    ["semantic", "independent"], ["semantic", "collaborative"],
])
def test_every_scheme_gives_each_item_an_identifier_of_its_own(kinds):
    known = Known(small(), films(), small())
    scheme = Scheme(**{kind: KINDS[kind] for kind in kinds})
    made = identify(scheme, known)
    assert made.scheme == scheme.name == "+".join(kinds)
    assert len(made) == 4
    assert torch.equal(made.tokens, identify(scheme, known).tokens)
    if "independent" in kinds:
        assert made.collisions == 0
    trie = Trie.of(made)
    assert torch.equal(trie.items[trie.find(made.tokens)], torch.arange(4))


def small() -> Sequences:
    users, items = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 1, 2, 2, 3])
    return Sequences.of(users, items, np.arange(7), np.arange(7), 4)


def test_only_the_leaky_scheme_sees_what_is_held_out():
    held = Sequences.of(np.array([0, 0, 0, 0]), np.array([3, 2, 1, 0]), np.arange(4), np.arange(4), 4)
    numbers = {"order": "time", "base": 4, "seed": 0}
    clean, leaky = (
        [identify(Scheme(**{kind: numbers}), Known(small(), films(), later)).tokens.tolist()
         for later in (small(), held)]
        for kind in ("sequential", "leaky")
    )
    assert clean[0] == clean[1] == leaky[0] != leaky[1]


@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), min_size=1, max_size=25, unique=True))
def test_the_trie_allows_what_some_item_goes_on_with_and_nothing_else(rows):
    width = max(map(len, rows))
    filled = [[*row, *[END] * (width - len(row))] for row in rows]
    trie = Trie.of(Identifiers("made", torch.tensor(filled), 5, ()))
    assert [level.tokens.shape[0] for level in trie.levels] == [
        len({tuple(row[:depth]) for row in filled}) for depth in range(width)
    ]
    for depth in range(width):
        prefixes = sorted({tuple(row[:depth]) for row in filled})
        wanted = [{row[depth] for row in filled if tuple(row[:depth]) == prefix} for prefix in prefixes]
        mask = trie.mask(torch.tensor(prefixes, dtype=torch.int64).view(len(prefixes), depth))
        assert [set(own.nonzero()[:, 0].tolist()) for own in mask] == wanted
        level = trie.levels[depth]
        assert level.open.tolist() == [
            place for place, prefix in enumerate(prefixes)
            if sum(tuple(row[:depth]) == prefix for row in filled) > 1
        ]
        assert torch.equal(level.below[level.parent, level.slot], torch.arange(len(level.held)))
        assert torch.equal(
            level.tokens[trie.nodes[:, depth], trie.slots[:, depth]], torch.tensor(filled)[:, depth]
        )
    assert torch.equal(trie.items[trie.find(torch.tensor(filled))], torch.arange(len(rows)))


def test_prefixes_that_no_item_has_are_refused():
    trie = Trie.of(Identifiers("made", torch.tensor([[1, 2], [2, 1]]), 4, ()))
    with pytest.raises(UserError, match="token 4 is outside the vocabulary of 4; give tokens below that"):
        trie.find(torch.tensor([[4, 1]]))
    with pytest.raises(UserError, match=r"no item has an identifier that begins with \[1, 1\]; give one"):
        trie.find(torch.tensor([[1, 1]]))
