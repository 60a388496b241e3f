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
    with lock.open("w", encoding="utf-8") as stream:
        quick.dump(content, stream)
    short = lock.read_text(encoding="utf-8")
    assert json.loads(short) == quick.parse(short, "dvc.lock") == quick.parse_yaml(short, "dvc.lock") == content
    quick.restore(lock)
    assert lock.read_text(encoding="utf-8") == text


def test_other_files_are_written_as_dvc_writes_them(tmp_path):
    text, path = (HOME / "data.dvc").read_text(encoding="utf-8"), tmp_path / "data.dvc"
    with path.open("w", encoding="utf-8") as stream:
        quick.dump(quick.parse_for_update(f"# mine\n{text}", str(path)), stream)
    assert path.read_text(encoding="utf-8") == f"# mine\n{text}"


def test_what_neither_reads_is_refused_as_dvc_refuses_it():
    with pytest.raises(YAMLFileCorruptedError):
        quick.parse('{"stages": [', "dvc.lock")
