"""DVC with a quicker way to write dvc.lock: the same content, and in the end the same bytes."""

import json

import pytest
from dvc.utils.serialize import YAMLFileCorruptedError

from conftest import HOME
from latent_factors import quick


def test_what_is_written_is_read_as_before_and_restored_to_what_dvc_writes(tmp_path):
    text = (HOME / "dvc.lock").read_text(encoding="utf-8")
    lock = tmp_path / "dvc.lock"
    quick.restore(lock)
    assert not lock.exists()
    content = quick.parse(text, "dvc.lock")
    short = json.dumps(content)
    assert quick.parse(short, "dvc.lock") == content == quick.parse_yaml(short, "dvc.lock")
    lock.write_text(short, encoding="utf-8")
    quick.restore(lock)
    assert lock.read_text(encoding="utf-8") == text


def test_what_neither_reads_is_refused_as_dvc_refuses_it():
    with pytest.raises(YAMLFileCorruptedError):
        quick.parse('{"stages": [', "dvc.lock")
