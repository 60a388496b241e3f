"""Click data and their encoding, by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_inter
from latent_factors.data.atomic import write_atomic
from latent_factors.data.clicks import load_clicks
from latent_factors.data.features import rank_features
from latent_factors.data.fields import make_field, time_fields
from latent_factors.errors import UserError
from latent_factors.settings import load_settings
from latent_factors.tasks import prepare

CPU = torch.device("cpu")
NO_USERS = {"label": "float", "price": "float", "colour": "token"}


def column(*cells) -> pd.Series:
    return pd.Series(pd.Categorical(cells))


def change(section, **values):
    return section.model_copy(update=values)


def describe(root, name: str, suffix: str, table: dict, types: dict) -> None:
    write_atomic(pd.DataFrame(table), types, root / "data" / name / f"{name}.{suffix}")


@pytest.fixture
def shop(project):
    """Ten events of five users on three items, both described."""
    write_inter(project, "shop", pd.DataFrame({
        "user_id": list("abcdeabcde"), "item_id": list("xxxyyyzzzx"),
        "rating": [5.0, 1, 3, 4, 2, 5, 1, 4, 2, 5], "timestamp": [3600.0 * n for n in range(10)],
    }))
    describe(project, "shop", "user", {"user_id": list("abcd"), "age": ["20", "30", None, "20"]},
             {"user_id": "token", "age": "token"})
    items = {"item_id": list("xyzx"), "tags": ["red big", "red", None, "small"], "price": [1.0, 10.0, None, 7]}
    describe(project, "shop", "item", items, {"item_id": "token", "tags": "token_seq", "price": "float"})
    return project


def test_a_token_is_one_value_and_a_missing_one_a_value_of_its_own():
    field = make_field("colour", "token", column("red", None, "blue", "red"))
    assert field.categories.tolist() == ["", "blue", "red"]
    assert field.codes.tolist() == [[2], [0], [1], [2]]
    assert (field.values == 1).all()


def test_the_values_of_a_sequence_are_averaged():
    field = make_field("tags", "token_seq", column("b a", None, "c", "a b  a", "c b a"))
    assert field.categories.tolist() == ["", "a", "b", "c"]
    rows = [
        {field.categories[code]: value for code, value in zip(*row, strict=True) if code >= 0}
        for row in zip(field.codes, field.values, strict=True)
    ]
    third = np.float32(1 / 3)
    assert rows == [
        {"b": 0.5, "a": 0.5}, {"": 1}, {"c": 1}, {"a": 0.5, "b": 0.5}, {"c": third, "b": third, "a": third}
    ]
    assert (field.values[field.codes < 0] == 0).all()
    assert field.codes.shape == (5, 3)


def test_numbers_above_two_are_squared_logarithms():
    field = make_field("price", "float", pd.Series([-1.0, 0, 2, np.e, np.e**3, np.nan]))
    assert field.values[:, 0].tolist() == pytest.approx([-1, 0, 2, 1, 9, 0])
    assert field.codes[:, 0].tolist() == [0, 0, 0, 0, 0, -1]
    assert field.categories.tolist() == ["price"]


def test_hours_and_weekdays():
    noon = pd.Timestamp("2026-11-21 12:59:59", tz="UTC")
    times = np.array([noon.timestamp(), np.nan, 0.0, -1.0])
    hour, weekday = ([field.categories[code] for code in field.codes[:, 0]] for field in time_fields(times))
    assert hour == ["12", "", "00", "23"]
    assert weekday == [noon.day_name(), "", "Thursday", "Wednesday"]


def test_rare_values_are_merged_by_their_count_in_training_alone():
    columns = [make_field("f", "token", column(*"aaabbcdddddd")), make_field("g", "token_seq", column(*["x y"] * 12))]
    features = rank_features(("f", "g"), columns, np.arange(7), min_count=2)  # a a a b b c d
    assert [tokens.tolist() for tokens in features.tokens] == [["a", "b"], ["x", "y"]]
    assert features.starts.tolist() == [0, 3]
    assert features.counts.tolist() == [3, 2, 2, 7, 7, 0]  # c and d share id 2; nothing is rare or unseen in g
    ids = features.encode(columns)
    assert ids[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2]
    assert (ids[:, 1:] == [3, 4]).all()


def test_padding_and_missing_numbers_weigh_nothing_and_take_the_last_id_of_their_field():
    tags, price = column("x y", "x", "z"), pd.Series([1.0, np.nan, 2])
    columns = [make_field("g", "token_seq", tags), make_field("p", "float", price)]
    features = rank_features(("g", "p"), columns, np.arange(2))
    assert features.counts.tolist() == [2, 1, 0, 1, 0]
    assert features.encode(columns).tolist() == [[0, 1, 3], [0, 2, 4], [2, 2, 3]]  # z is unseen in training
    assert np.concatenate([field.values for field in columns], 1).tolist() == [[0.5, 0.5, 1], [1, 0, 0], [1, 0, 2]]


def test_events_get_labels_and_all_columns_become_fields(shop, settings):
    read = load_clicks("shop", settings.data, settings.clicks)
    assert [field.name for field in read.fields] == ["user_id", "item_id", "hour", "weekday", "age", "tags", "price"]
    assert read.label.tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert read.events.line.tolist() == [2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert read.events.dropped == {"neither click nor none": 1}
    age = read.fields[4]
    assert [age.categories[code] for code in age.codes[:, 0]] == ["20", "30", "20", "", "20", "30", "", "20", ""]
    price = read.fields[6]  # of two lines for one item, the first counts; z has none
    assert price.values[:, 0].tolist() == pytest.approx([1, 1] + [np.log(10) ** 2] * 3 + [0, 0, 0, 1])


def test_what_is_skipped(shop, settings):
    clicks = change(settings.clicks, skip=["tags", "hour", "timestamp", "nowhere"])
    names = [field.name for field in load_clicks("shop", settings.data, clicks).fields]
    assert names == ["user_id", "item_id", "age", "price"]


def test_a_column_named_like_a_time_field_stays(project, settings):
    table = pd.DataFrame({"user_id": list("ab"), "rating": [1.0, 5], "weekday": ["off", "work"], "timestamp": [0.0, 1]})
    types = {"user_id": "token", "rating": "float", "weekday": "token", "timestamp": "float"}
    write_inter(project, "made", table, types)
    fields = load_clicks("made", settings.data, settings.clicks).fields
    assert [field.name for field in fields] == ["user_id", "weekday", "hour"]
    assert fields[1].categories.tolist() == ["off", "work"]


def test_the_two_variants(shop, settings):
    clicks = change(settings.clicks, split=change(settings.clicks.split, validation=0.3, test=0.3, seed=3))
    full = prepare("ctr", "shop", settings.data, clicks, CPU)
    attributes = prepare("ctr_attributes", "shop", settings.data, clicks, CPU)
    assert full.features.names == ("price", "user_id", "item_id", "hour", "weekday", "age", "tags")
    assert attributes.features.names == ("price", "hour", "weekday", "age", "tags")
    assert torch.equal(full.label, attributes.label)
    assert full.ids.shape == (9, 7)
    assert full.values.shape == (9, 1)
    assert torch.equal(full.values, attributes.values)
    assert full.lists.weights.tolist() == attributes.lists.weights.tolist()
    assert full.inputs.fields == 7
    assert full.mean == full.train[2].mean()
    for (_, rows), (_, same) in zip(full.parts, attributes.parts, strict=True):
        assert rows.tolist() == same.tolist()
    users = slice(*full.features.starts[1:3])
    counted = torch.bincount(full.train[0][:, 1], minlength=full.inputs.number)[users]
    assert torch.equal(full.frequency[users], counted.float())


def without_users(project, **columns) -> None:
    table = pd.DataFrame({
        "label": [0.0, 1] * 20, "price": np.arange(40.0), "colour": ["red", "blue", "blue", None] * 10
    } | columns)
    write_inter(project, "ads", table, NO_USERS | {"timestamp": "float"})


def test_without_users_a_random_split_works_and_others_say_what_is_missing(project, settings):
    without_users(project)
    data = change(settings.data, rating="label")
    clicks = change(settings.clicks, positive_above=0.5, negative_below=0.5)
    task = prepare("ctr", "ads", data, clicks, CPU)
    assert task.features.names == ("price", "colour")
    for kind in ("leave-last-out", "global-time"):
        other = change(clicks, split=change(clicks.split, kind=kind))
        with pytest.raises(UserError, match=rf"split.kind {kind} needs times, and ads has no column .*to random"):
            prepare("ctr", "ads", data, other, CPU)
    without_users(project, timestamp=np.arange(40.0))
    other = change(clicks, split=change(clicks.split, kind="leave-last-out"))
    with pytest.raises(UserError, match=r"split.kind leave-last-out needs users, and ads has no column .*to random"):
        prepare("ctr", "ads", data, other, CPU)


@pytest.mark.parametrize(
    ("table", "types", "sentence"),
    [
        ({"mark": [1.0, 5]}, {"mark": "float"}, "has no column rating (it has user_id, mark); name the right one"),
        ({"rating": ["1", "5"]}, {"rating": "token"}, "rating is of type token; data.rating must name a float column"),
        ({"rating": [1.0, None]}, {"rating": "float"}, "line 3: rating is empty; fill it in or delete the line"),
        ({"rating": [4.0, 5]}, {"rating": "float"}, "no rating lies below clicks.negative_below (they go from 4 to 5)"),
        ({"rating": [3.0, 3]}, {"rating": "float"}, "no rating lies above clicks.positive_above (they go from 3 to 3)"),
        ({"rating": [1.0, 5], "timestamp": ["a", "b"]}, {"rating": "float", "timestamp": "token"},
         "timestamp is of type token; data.timestamp must name a float column"),
    ],
)
def test_bad_labels_are_one_sentence(project, settings, table, types, sentence):
    write_inter(project, "bad", pd.DataFrame({"user_id": ["a", "b"], **table}), {"user_id": "token", **types})
    with pytest.raises(UserError) as error:
        load_clicks("bad", settings.data, settings.clicks)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_float_column_with_text_names_the_line(shop, settings):
    path = shop / "data" / "shop" / "shop.item"
    path.write_text(path.read_text().replace("10", "cheap"))
    with pytest.raises(UserError, match=r"shop.item, line 3: price is 'cheap', not a number"):
        load_clicks("shop", settings.data, settings.clicks)


def test_descriptions_that_do_not_fit(shop, settings):
    describe(shop, "shop", "user", {"user_id": ["a"], "timestamp": ["x"]}, {"user_id": "token", "timestamp": "token"})
    with pytest.raises(UserError, match=r"shop.user: another file has a column timestamp too; rename one, or add it"):
        load_clicks("shop", settings.data, settings.clicks)
    describe(shop, "shop", "user", {"name": ["a"]}, {"name": "token"})
    with pytest.raises(UserError, match=r"shop.user has no column user_id, which shop.inter has"):
        load_clicks("shop", settings.data, settings.clicks)


def test_no_field_left_and_a_part_of_one_kind(project, settings):
    table = pd.DataFrame({"user_id": list("abcdefghij"), "item_id": list("xy") * 5, "rating": [1.0] * 9 + [5]})
    write_inter(project, "bare", table)
    with pytest.raises(UserError, match=r"bare has no field but user_id and item_id; choose the task ctr"):
        prepare("ctr_attributes", "bare", settings.data, settings.clicks, CPU)
    with pytest.raises(UserError, match=r"part of bare has not both clicks and others .* clicks.split in params.yaml"):
        prepare("ctr", "bare", settings.data, settings.clicks, CPU)


def test_thresholds_that_overlap(project, settings):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("negative_below: 3", "negative_below: 4"))
    with pytest.raises(UserError, match=r"clicks: negative_below must not lie above positive_above"):
        load_settings(path)
