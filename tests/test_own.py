"""A reader's own CSV: what is read, what is refused row by row, and what is written."""

import numpy as np
import pandas as pd
import pytest

from latent_factors.data.items import describe_items
from latent_factors.data.own import Columns, hash_file, read, write
from latent_factors.data.table import load_interactions
from latent_factors.errors import UserError

COLUMNS = Columns("who", "film", "stars", "when", "title")
SPOILT = """\
who,title,film,stars,when
ann,"Usual Suspects, The",10,4.5,2004-01-31
bob,"Usual Suspects, The",10,3,2004-01-31 13:00:01
,Alien,11,5,2004-02-01
ann,,,5,2004-02-01

ann,Alien,11,five,2004-02-01
ann,Alien,11,inf,2004-02-01
bob,Alien,11,2,31 January
bob,Alien,11,2,
ann,Alien,11
ann,Alien,11,1,2004-02-03,more
ann,Alien,11,2,2004-02-03
ann,Alien (1979),11,1,2004-02-02
"""


@pytest.fixture
def spoilt(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(SPOILT)
    return path


def test_every_bad_row_is_told_with_its_line(spoilt):
    own = read(spoilt, COLUMNS)
    assert own.read == {"ratings": 12}
    assert list(own.bad[["line", "reason", "cell"]].itertuples(index=False, name=None)) == [
        (4, "user missing", ""), (5, "item missing", ""), (7, "rating is no number", "five"),
        (8, "rating is no number", "inf"), (9, "time unreadable", "31 January"), (10, "time unreadable", ""),
        (11, "wrong number of cells", "3 of 5"), (12, "wrong number of cells", "6 of 5"),
        (14, "pair that comes again", "ann, 11"),
    ]
    assert len(own.ratings) + len(own.bad) == own.read["ratings"]
    counted = own.counted().loc["ratings"]
    assert counted["rows"].to_dict() == {
        "wrong number of cells": 2, "user missing": 1, "item missing": 1, "rating is no number": 2,
        "time unreadable": 2, "pair that comes again": 1,
    }
    assert counted.loc["rating is no number"].tolist() == [2, "7, 8", "five"]


def test_what_is_left_is_typed(spoilt):
    own = read(spoilt, COLUMNS)
    day = 1075507200.0  # 2004-01-31, by `date -u -d 2004-01-31 +%s`
    expected = pd.DataFrame({
        "user": ["ann", "bob", "ann"], "item": ["10", "10", "11"], "rating": [4.5, 3, 2],
        "timestamp": [day, day + 13 * 3600 + 1, day + 3 * 86400],
    })
    pd.testing.assert_frame_equal(own.ratings, expected, check_dtype=False)
    assert own.titles.to_dict() == {"10": "Usual Suspects, The", "11": "Alien"}


def test_the_data_set_is_read_as_any_other(spoilt, project, settings):
    own = read(spoilt, COLUMNS)
    for _ in range(2):  # the second in place of the first
        assert write(own, "mine", settings.data, project / "data") == project / "data" / "mine"
    assert [path.name for path in sorted((project / "data").iterdir())] == ["mine"]
    events = load_interactions("mine", settings.data)
    assert list(events.user) == ["ann", "bob", "ann"]
    np.testing.assert_array_equal(events.rating, np.float32([4.5, 3, 2]))
    np.testing.assert_array_equal(events.timestamp, own.ratings["timestamp"])
    titles = describe_items("mine", events.item.categories).title
    assert titles.to_dict() == own.titles.to_dict()
    with pytest.raises(UserError, match=r"'\.\./mine' is no name of a data set"):
        write(own, "../mine", settings.data, project / "data")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_and_a_mark_of_order(tmp_path, delimiter):
    path = tmp_path / "r.csv"
    lines = ["i d;user;rating;time", "a b;u1;3;1075507200", "c\u00a0\td;u2;-1e2;1075507200000"]
    path.write_text("\r\n".join(lines).replace("\t", " ").replace(";", delimiter), encoding="utf-8-sig")
    own = read(path, Columns("user", "i d", "rating", "time"))
    assert own.ratings["item"].tolist() == ["a b", "c d"]
    assert own.ratings["rating"].tolist() == [3, -100]
    assert own.ratings["timestamp"].tolist() == [1075507200, 1075507200]
    assert own.titles.empty


def test_without_times_the_last_row_of_a_pair_counts(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("u,i,r\na,x,1\na,y,2\na,x,3\n")
    own = read(path, Columns("u", "i", "r"))
    assert own.ratings.to_dict("list") == {"user": ["a", "a"], "item": ["y", "x"], "rating": [2, 3]}
    assert own.bad["line"].tolist() == [2]


def test_titles_from_a_file_of_their_own(spoilt, tmp_path):
    titles = tmp_path / "films.csv"
    titles.write_text('film;title\n10;"The ""Usual""\nSuspects"\n11\n;Nobody\n10;Again\n12;\n')
    own = read(spoilt, COLUMNS, titles)
    assert own.titles.to_dict() == {"10": 'The "Usual" Suspects'}
    assert own.read == {"ratings": 12, "titles": 5}
    bad = own.bad[own.bad["file"] == "titles"]
    assert list(bad[["line", "reason", "cell"]].itertuples(index=False, name=None)) == [
        (4, "wrong number of cells", "1 of 2"), (5, "item missing", "Nobody"),
        (6, "title of an item that comes again", "10"),
    ]
    assert own.counted().loc["titles", "rows"].tolist() == [1, 1, 1]
    with pytest.raises(UserError, match="no column of it is named; name it as title"):
        read(spoilt, Columns("who", "film", "stars"), titles)


@pytest.mark.parametrize(("text", "message"), [
    (None, "does not exist; name a CSV file"),
    ("", "begins with an empty line"),
    ("who,film,when\n", "has no column stars; it has who, film, when: name one of them"),
    ("who,film,stars,when,title\n", r"has no row that can be used, of 0; name"),
    ("who,film,stars,when,title\n,1,1,1,a\n,2,2,2,b\nann\n", "no row that can be used, of 3, mostly: user missing;"),
    ('who,film,stars,when,title\na,1,1,1,a\nb,1,1,1,"a\n', "from line 3 on: unexpected end of data; close the quote"),
    (b"who,film,stars,when,title\n\xff\n", "is no UTF-8 text"),
])
def test_a_file_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "r.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        read(path, COLUMNS)


def test_a_folder_that_cannot_be_written(spoilt, tmp_path, settings):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="could not be written"):
        write(read(spoilt, COLUMNS), "mine", settings.data, tmp_path / "file" / "data")


def test_the_hash_of_a_file(tmp_path):
    path = tmp_path / "ratings.csv"
    with pytest.raises(UserError, match="does not exist; name a CSV file"):
        hash_file(path)
    path.write_text("abc")
    assert hash_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
