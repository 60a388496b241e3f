"""DVC with a quicker way to write dvc.lock: the same content, and plain DVC's bytes after its next writing."""

import io

from dvc.utils.serialize import _yaml as dvc_yaml

from conftest import HOME
from latent_factors.quick import dump


def test_what_is_written_is_what_dvc_writes_but_for_line_breaks():
    text = (HOME / "dvc.lock").read_text(encoding="utf-8")
    text = text[: text.index("\n  chapter-20:") + 1]  # some stages will do
    quick, plain = io.StringIO(), io.StringIO()
    dump(dvc_yaml.parse_yaml(text, "dvc.lock"), quick)
    assert quick.getvalue().split() == text.split()
    dvc_yaml._dump(dvc_yaml.parse_yaml_for_update(quick.getvalue(), "dvc.lock"), plain)
    assert plain.getvalue() == text
