from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latent_factors.data import atomic
from latent_factors.data.atomic import BLOCK, read_atomic, read_coded, tokens, write_atomic
from latent_factors.errors import UserError

TYPES = {"user_id": "token", "title": "token_seq", "rating": "float", "vector": "float_seq"}
text = st.text(st.characters(exclude_characters="\t\r\n\x00", exclude_categories=("Cs",)), min_size=1, max_size=8)
row = st.fixed_dictionaries({
    "user_id": text,
    "title": st.none() | text,
    "rating": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "vector": st.none() | st.just("0.5 1.25"),
})


@given(st.lists(row, min_size=1, max_size=8), st.sampled_from([1, 30, BLOCK]))
def test_what_is_written_is_read(tmp_path_factory, rows, block):
    path = tmp_path_factory.mktemp("atomic") / "x.inter"
    table = pd.DataFrame(rows, columns=list(TYPES)).astype({"rating": float})
    write_atomic(table, TYPES, path)
    with mock.patch.object(atomic, "BLOCK", block):
        back, coded = read_atomic(path), read_coded(path)
    assert back.attrs["types"] == TYPES
    for name in ("user_id", "title", "vector"):
        assert [None if v != v else v for v in back[name]] == [None if v != v else v for v in table[name]]
        expected = pd.Categorical(table[name].fillna(""))
        assert tokens(coded[name]).categories.tolist() == expected.categories.tolist()
        assert tokens(coded[name]).codes.tolist() == expected.codes.tolist()
    for own in (back, coded):
        np.testing.assert_array_equal(own["rating"], table["rating"])


def test_whole_numbers_have_no_point(tmp_path):
    write_atomic(pd.DataFrame({"r": [3.0, np.nan], "t": [1.0, 2.5]}), {"r": "float", "t": "float"}, tmp_path / "x")
    assert (tmp_path / "x").read_text() == "r:float\tt:float\n3\t1.0\n\t2.5\n"


def test_quotes_and_na_are_ordinary_text(tmp_path):
    (tmp_path / "x").write_text('a:token\tb:token\n"NA\tNaN\nnull\t""\n')
    assert read_atomic(tmp_path / "x").to_numpy().tolist() == [['"NA', "NaN"], ["null", '""']]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is no name:type"),
        ("user_id\titem_id:token\n", "'user_id' is no name:type"),
        ("user_id:tokens\n", "'user_id:tokens' is no name:type with a type of token, token_seq, float, float_seq"),
        ("a:token\tb:float\n1\t2\n3\n", "line 3, has 1 of 2 cells"),
        ("a:token\tb:float\n1\t2\t3\n", "line 2, has 3 of 2 cells"),
        ("a:token\tb:float\n1\t2\n\n1\t3\n", "line 3, has 1 of 2 cells"),
        ("a:token\tb:float\n1\t2\n1\tgood\n", "line 3: b is 'good', not a number"),
    ],
)
@pytest.mark.parametrize("block", [1, BLOCK])
def test_a_malformed_file_is_one_sentence_with_the_line(tmp_path, monkeypatch, content, sentence, block):
    monkeypatch.setattr(atomic, "BLOCK", block)
    path = tmp_path / "x.inter"
    path.write_text(content)
    with pytest.raises(UserError) as error:
        read_atomic(path)
    assert str(path) in str(error.value)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="is missing; put the data set's files into"):
        read_atomic(tmp_path / "x.inter")


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "x").write_bytes(b"a:token\tb:token\n\xff\xfe\t2\n")
    with pytest.raises(UserError, match="no UTF-8 text"):
        read_atomic(tmp_path / "x")
