import pandas as pd
import pytest

from conftest import write_inter
from latent_factors.data.table import load_interactions
from latent_factors.errors import UserError
from latent_factors.sections import Data

ROWS = pd.DataFrame({
    "user_id": ["a", "a", "b", "a", "c"], "item_id": ["x", "y", "x", "x", "z"], "rating": [1.0, 2, 3, 4, 5],
    "timestamp": [50.0, 20, 30, 40, 10],
})


def data(settings, **changes) -> Data:
    return settings.data.model_copy(update=changes)


def test_a_repeated_pair_is_refused_with_its_line(project, settings):
    write_inter(project, "made", ROWS)
    with pytest.raises(UserError) as error:
        load_interactions("made", settings.data)
    assert str(error.value) == (
        f"{project}/data/made/made.inter, line 5: user a rated item x before (1 such lines); set data.duplicates in"
        " params.yaml to last to keep the latest"
    )


def test_the_latest_of_a_repeated_pair_is_kept_by_time(project, settings):
    write_inter(project, "made", ROWS)
    table = load_interactions("made", data(settings, duplicates="last"))
    assert table.line.tolist() == [2, 3, 4, 6]  # the first rating of a and x has the later time
    assert table.dropped == {"repeated pairs": 1, "too few ratings": 0}


def test_without_times_the_later_line_is_kept(project, settings):
    write_inter(project, "made", ROWS.drop(columns="timestamp"))
    table = load_interactions("made", data(settings, duplicates="last"))
    assert table.line.tolist() == [3, 4, 5, 6]
    assert table.timestamp is None


def test_few_ratings_are_dropped_until_all_have_enough(project, settings):
    write_inter(project, "made", pd.DataFrame({
        "user_id": list("aabbcd"), "item_id": list("xyxyxz"), "rating": [1.0] * 6,
    }))
    table = load_interactions("made", data(settings, min_user_ratings=2, min_item_ratings=2))
    assert table.line.tolist() == [2, 3, 4, 5]
    assert list(table.user.categories) == ["a", "b"]
    with pytest.raises(UserError, match="no rating left"):
        load_interactions("made", data(settings, min_user_ratings=3))


def test_other_column_names(project, settings):
    renamed = ROWS.drop(index=3).rename(columns={"user_id": "who", "rating": "stars"})
    write_inter(project, "made", renamed, {"who": "token", "item_id": "token", "stars": "float", "timestamp": "float"})
    table = load_interactions("made", data(settings, user="who", rating="stars"))
    assert table.rating.tolist() == [1, 2, 3, 5]
    with pytest.raises(UserError, match=r"has no column user_id \(it has who, .*name the right one as data.user"):
        load_interactions("made", settings.data)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("user_id:token\titem_id:token\n1\t2\n", "has no column rating"),
        ("user_id:token\titem_id:token\trating:float\n1\t2\t\n", "line 2: rating is empty"),
        ("user_id:token\titem_id:token\trating:float\n1\t2\t3\n\t2\t3\n", "line 3: user_id is empty"),
        ("user_id:token\titem_id:token\trating:token\n1\t2\t3\n", "rating is of type token"),
        ("user_id:token\titem_id:token\trating:float\ttimestamp:token\n1\t2\t3\t4\n", "timestamp is of type token"),
        ("user_id:token\titem_id:token\trating:float\n1\t2\tgood\n", "line 2: rating is 'good', not a number"),
        ("user_id:token\titem_id:token\trating:float\n", "no rating left"),
    ],
)
def test_a_bad_file_is_one_sentence(project, settings, content, sentence):
    path = project / "data" / "made" / "made.inter"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(UserError) as error:
        load_interactions("made", settings.data)
    assert sentence in str(error.value)
    assert "made.inter" in str(error.value)
    assert "\n" not in str(error.value)
