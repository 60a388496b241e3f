"""Items that training never saw: how they are held out, what is known of them, and who ranks them."""

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_inter
from latent_factors import models
from latent_factors.data.atomic import write_atomic
from latent_factors.data.content import Vocabulary
from latent_factors.data.histories import Histories
from latent_factors.data.items import Items
from latent_factors.data.releases import split_by_release
from latent_factors.data.table import Interactions
from latent_factors.errors import UserError
from latent_factors.fit import fit
from latent_factors.models import Inputs
from latent_factors.paths import root
from latent_factors.sections import CMLContent, CMLTower, ContentKNN, ContentLinear, PopularGenre, Releases
from latent_factors.tasks import release

CPU = torch.device("cpu")
RELEASES = Releases(validation=0.15, test=0.15, cutoffs=[5, 10])
DESCRIBED = {"words": 0.1, "year": 0.1}
METRIC = {
    "dim": 8, "hidden": 16, "margin": 0.5, "covariance": 1.0, "negatives": 5, "learning_rate": 0.02, "l2": 1e-4,
    "batch_size": 256, "epochs": 10, "patience": 10,
}
SETTINGS = {
    "popular_genre": PopularGenre(damping=1.0, length=1.0, crowding=0.0),
    "content_knn": ContentKNN(neighbours=10, shrinkage=0.1, **DESCRIBED),
    "content_linear": ContentLinear(dim=4, l2=1.0, alpha=5.0, ridge=1.0, epochs=5, patience=5, **DESCRIBED),
    "cml_tower": CMLTower(**METRIC, **DESCRIBED),
    "cml_content": CMLContent(**METRIC, **DESCRIBED, pull=1.0),
}
GENRES = np.array(["Comedy", "Drama", "War", "Western"])
WORDS = np.array(["night", "day", "return", "city", "love"])


def films() -> pd.DataFrame:
    """Forty films of each genre, four a year, one of a genre; words of their titles tell nothing."""
    number = np.arange(160)
    generator = np.random.default_rng(0)
    return pd.DataFrame({
        "item_id": [f"i{n:03}" for n in number], "movie_title": generator.choice(WORDS, 160),
        "release_year": (1950 + number // 4).astype(str), "class": GENRES[number % 4],
    })


def taken() -> pd.DataFrame:
    """Users take half of the films of their own genre and few others; the last users take new films alone."""
    generator = np.random.default_rng(1)
    user, film = np.meshgrid(np.arange(82), np.arange(160), indexing="ij")
    kept = generator.random(user.shape) < np.where(user % 4 == film % 4, 0.5, 0.03)
    kept &= (user < 80) | (film >= 140)
    return pd.DataFrame({
        "user_id": [f"u{n:02}" for n in user[kept]], "item_id": [f"i{n:03}" for n in film[kept]],
    })


def write(events: pd.DataFrame, items: pd.DataFrame | None) -> None:
    write_inter(root(), "made", events)
    if items is not None:
        types = {name: "token" if name in ("item_id", "release_year") else "token_seq" for name in items}
        write_atomic(items, types, root() / "data" / "made" / "made.item")


def prepared(settings, events: pd.DataFrame, items: pd.DataFrame | None) -> release.ReleaseTask:
    write(events, items)
    return release.prepare("made", settings.data, RELEASES, CPU)


@pytest.fixture
def task(settings):
    return prepared(settings, taken(), films())


def trained(name: str, task, point=None):
    point = point or SETTINGS[name]
    return fit(f"release.{name}", lambda: models.build(name, point, task.inputs), task, point, [1])


def test_films_are_held_out_whole_and_by_year(task):
    film, year = task.interactions.item.codes, 1950 + np.arange(160) // 4
    spans = {part: (year[film[rows]].min(), year[film[rows]].max()) for part, rows in task.parts}
    assert spans["train"][1] < spans["validation"][0]
    assert spans["validation"][1] < spans["test"][0]
    assert spans["test"][1] == 1989
    for part, share in (("validation", 0.15), ("test", 0.15)):
        assert len(getattr(task.parts, part)) / len(film) == pytest.approx(share, abs=0.05)
    assert sum(map(len, task.films.values())) == 160
    strangers = {int(code) for code, name in enumerate(task.interactions.user.categories) if name in ("u80", "u81")}
    assert strangers <= set(task.person[task.parts.test].tolist())
    assert not strangers & set(task.persons["test"].tolist())  # without training events nobody is judged
    for part in ("validation", "test"):
        person, number = task.truths[part].cells(task.persons[part])
        events = {(task.persons[part][one].item(), task.films[part][other]) for one, other in zip(
            person.tolist(), number.tolist(), strict=True
        )}
        rows = [row for row in getattr(task.parts, part) if task.person[row].item() not in strangers]
        assert events == {(task.person[row].item(), film[row]) for row in rows}
        assert task.relevant(part).sum() == len(rows)


def test_a_film_whose_year_is_unknown_is_old_and_years_are_not_needed(settings):
    events = Interactions(
        "made", pd.Categorical(list("aabbcc")), pd.Categorical(list("vwvxyz")), None, np.array([9.0, 2, 3, 4, 5, 6]),
        np.arange(2, 8), {},
    )
    shares = Releases(validation=0.2, test=0.2, cutoffs=[5])
    year = np.array([1990, np.nan, 1990, 1991, 1992])  # of v, w, x, y, z
    parts = {part: rows.tolist() for part, rows in split_by_release(events, year, shares)}
    assert parts == {"train": [0, 1, 2, 3], "validation": [4], "test": [5]}
    parts = {part: rows.tolist() for part, rows in split_by_release(events, np.full(5, np.nan), shares)}
    assert parts == {"train": [0, 1, 2, 3], "validation": [4], "test": [5]}  # v is as old as its first event
    with pytest.raises(UserError, match="leaves no validation rows"):
        split_by_release(events, np.full(5, 1990.0), shares)


@pytest.mark.parametrize("name", SETTINGS)
def test_shared(task, name):
    """Scores have the shape of users by films, do not depend on the order of either, and are finite for a stranger."""
    torch.manual_seed(0)
    model = models.build(name, SETTINGS[name], task.inputs)
    if hasattr(model, "sweep"):
        with torch.no_grad():
            model.sweep()
    users, content = torch.arange(7), task.content["test"]
    with torch.no_grad():
        scores = model.newcomers(content)(users)
        assert scores.shape == (7, len(task.films["test"]))
        turned = model.newcomers({name: block.flip(0) for name, block in content.items()})(users.flip(0))
        torch.testing.assert_close(turned.flip(0, 1), scores)
        stranger = torch.tensor([int(task.features.starts[1]) - 1])
        assert torch.isfinite(model.newcomers(content)(stranger)).all()


def test_who_cannot_tell_films_apart_does_as_chance_does(task):
    class Constant(torch.nn.Module):
        def newcomers(self, content):
            return lambda users: torch.zeros(len(users), len(content["year"]))

    _, hits = task.recommend(Constant(), "test", 5)
    wanted, number = task.relevant("test").double(), len(task.films["test"])
    assert hits.double().mean().item() == pytest.approx((wanted / number).mean().item(), abs=0.05)
    scores, lots = torch.tensor([[1.0, 2, 1, 3, 1]]), torch.tensor([[0.9, 0.1, 0.2, 0.3, 0.4]])
    assert release.by_lot(scores, lots).argsort(descending=True).tolist() == [[3, 1, 2, 4, 0]]


@pytest.mark.parametrize("name", SETTINGS)
def test_planted_tastes_are_found_in_films_that_training_never_saw(task, name):
    """Each user likes one genre. Whoever reads content finds it, what is popular with everyone does not tell."""
    (model,) = trained(name, task).models
    reached = task.measure(task.outputs(model, "test"), "test")["recall@10"].item()
    blind = SETTINGS["popular_genre"].model_copy(update={"damping": 1e9})
    (popular,) = trained("popular_genre", task, blind).models
    assert task.measure(task.outputs(popular, "test"), "test")["recall@10"].item() < 0.55
    assert reached > 0.75


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_held_out_for_test_does_not_reach_training(settings, name):
    """Other events, titles and genres of the films of the test part leave every trained weight as it is."""
    task = prepared(settings, taken(), films())
    weights = trained(name, task).weights
    new = set(task.interactions.item.categories[task.films["test"]])
    events, items = taken(), films()
    own = events["item_id"].isin(new)
    events.loc[own, "user_id"] = events.loc[own, "user_id"].map(lambda user: f"u{(int(user[1:]) + 1) % 80:02}")
    items.loc[items["item_id"].isin(new), ["movie_title", "class"]] = ["unheard of", "Musical"]
    other = trained(name, prepared(settings, events.drop_duplicates(), items)).weights
    assert weights.keys() == other.keys()
    assert all(torch.equal(weights[key], other[key]) for key in weights)


def test_a_data_set_that_tells_nothing_of_its_items_can_be_run(settings):
    events = taken()
    task = prepared(settings, events.assign(timestamp=np.arange(len(events), dtype=float)), None)
    for name in SETTINGS:
        (model,) = trained(name, task).models
        assert 0 <= task.measure(task.outputs(model, "test"), "test")["ndcg@5"].item() <= 1


def described(titles: list[str], genres: dict[str, list[bool]], years: list[float]) -> Items:
    return Items(pd.Series(titles), pd.DataFrame(genres), pd.Series(years))


def test_content_is_what_training_items_taught():
    seen = described(
        ["Star Wars", "A Star Is Born, a Star", "Alien 3", "Wars of Sun"],
        {"Drama": [False, True, False, True], "SciFi": [True, False, True, True], "Musical": [False] * 4},
        [1970.0, 1980.0, 1990.0, np.nan],
    )
    vocabulary = Vocabulary.of(seen)
    assert vocabulary.genres.tolist() == ["Drama", "SciFi"]
    assert vocabulary.words.to_dict() == {"star": np.log(2), "wars": np.log(2)}
    new = described(
        ["STAR Trek", "Born: star wars", "Trek"], {"Musical": [True, False, True], "SciFi": [False, True, False]},
        [2020.0, 1980.0, np.nan],
    )
    content = vocabulary.encode(new, CPU)
    assert content["genres"].tolist() == [[0, 0], [0, 1], [0, 0]]
    half = pytest.approx(0.5**0.5)
    assert content["words"].tolist() == [[1, 0], [half, half], [0, 0]]
    deviation = (200 / 3) ** 0.5
    assert content["year"][:, 0].tolist() == pytest.approx([10 / deviation, 0, 0])
    assert vocabulary.encode(seen, CPU)["genres"][3].tolist() == [half, half]


SEEN = {  # three items, two genres
    "genres": torch.tensor([[1.0, 0], [0.5**0.5, 0.5**0.5], [0, 1]]), "words": torch.zeros(3, 0),
    "year": torch.zeros(3, 1),
}
NEW = {"genres": torch.tensor([[1.0, 0], [0.5**0.5, 0.5**0.5]]), "words": torch.zeros(2, 0), "year": torch.zeros(2, 1)}


def inputs() -> Inputs:
    """User 0 has items 0 and 1, user 1 has 1 and 2, user 2 has 2; user 3 is unknown, so are ids 3 and 7."""
    history = Histories.of(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 2, 2]), 4, 3)
    return Inputs(8, 2, torch.tensor([3, 7]), 0.0, items=torch.arange(4, 7), history=history, content=SEEN)


def scores(name: str, point) -> list[list[float]]:
    torch.manual_seed(0)
    model = models.build(name, point, inputs())
    with torch.no_grad():
        model.sweep()
        return model.newcomers(NEW)(torch.arange(4)).tolist()


def test_popular_genre_by_hand():
    """Genre 0 has 3 of 5 events on 2 items, genre 1 has 4 of 5 on 2 items."""
    found = scores("popular_genre", PopularGenre(damping=2.0, length=0.5, crowding=1.0))
    first = [(2 + 2 * 0.6) / 4 / 2, (1 + 2 * 0.6) / 4 / 2, (0 + 2 * 0.6) / 3 / 2, 0.6 / 2]
    second = [(1 + 2 * 0.8) / 4 / 2, (2 + 2 * 0.8) / 4 / 2, (1 + 2 * 0.8) / 3 / 2, 0.8 / 2]
    for row, one, other in zip(found, first, second, strict=True):
        assert row == pytest.approx([one, (one + other) / 2**0.5])


def test_content_knn_by_hand():
    found = scores("content_knn", ContentKNN(neighbours=2, shrinkage=1.0, words=1.0, year=1.0))
    near = 0.5**0.5 / 2  # the cosine of one genre with both, shrunk by 1 in the norms
    # item f = 0 is nearest to items 0 (1/2) and 1; f = 1 to item 1 (1/2) and to items 0 and 2, alike
    assert [row[0] for row in found] == pytest.approx([0.5 + near, near, 0, 0])
    assert found[0][1] in (pytest.approx(0.5 + near), pytest.approx(0.5))
    assert found[3] == [0, 0]


def test_the_linear_map_is_the_ridge_regression_of_factors_on_content():
    point = ContentLinear(dim=2, l2=0.1, alpha=2.0, ridge=0.3, words=1.0, year=1.0, epochs=1, patience=1)
    torch.manual_seed(0)
    model = models.build("content_linear", point, inputs())
    with torch.no_grad():
        model.sweep()
        factors, x = model.embedding.weight[4:7].double(), SEEN["genres"].double()
        weight = torch.linalg.solve(
            (x - x.mean(0)).T @ (x - x.mean(0)) + 0.3 * torch.eye(2, dtype=torch.double),
            (x - x.mean(0)).T @ (factors - factors.mean(0)),
        )
        placed = factors.mean(0) + (NEW["genres"].double() - x.mean(0)) @ weight
        expected = model.embedding.weight[:4].double() @ placed.T
        torch.testing.assert_close(model.newcomers(NEW)(torch.arange(4)).double(), expected, atol=1e-6, rtol=1e-5)
