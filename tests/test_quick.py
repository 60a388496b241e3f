"""DVC with a quicker way to write dvc.lock: the same content, and in the end the same bytes."""

import io

from dvc.utils.serialize import _yaml as dvc_yaml

from conftest import HOME
from latent_factors import quick


def test_what_is_written_is_what_dvc_writes_but_for_line_breaks_until_they_are_restored(tmp_path):
    text = (HOME / "dvc.lock").read_text(encoding="utf-8")
    lock, written = tmp_path / "dvc.lock", io.StringIO()
    quick.restore(lock)
    assert not lock.exists()
    quick.dump(dvc_yaml.parse_yaml(text, "dvc.lock"), written)
    assert written.getvalue().split() == text.split()
    assert written.getvalue() != text
    lock.write_text(written.getvalue(), encoding="utf-8")
    quick.restore(lock)
    assert lock.read_text(encoding="utf-8") == text
