"""DVC's command line for a pipeline of many short stages: `dvc(["repro", …])` is `dvc repro …`.

At each stage DVC reads dvc.lock twice and writes it once, with a parser that keeps comments: seconds for 80 stages,
more than many of them run. dvc.lock has no comments, and JSON is YAML: here it is written as JSON, which takes some
milliseconds, until `restore` puts it back. Half a second goes into imports, so a server that forks imports this module
and with it what DVC imports late.
"""

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any, TextIO

from dvc import cli
from dvc.utils import strictyaml
from dvc.utils.serialize import _yaml as dvc_yaml

LATE = ("cachemgr", "commands.repro", "data_cloud", "lock", "parsing", "repo.reproduce", "rwlock", "schema", "scm")
for late in LATE:
    importlib.import_module(f"dvc.{late}")
LOCK = "dvc.lock"
parse_yaml, dump_yaml = dvc_yaml.parse_yaml, dvc_yaml._dump


def parse(text: str, path: str, typ: str = "safe") -> Any:
    """Read dvc.lock as `dump` wrote it, or any YAML as DVC reads it."""
    try:
        return json.loads(text)
    except ValueError:
        return parse_yaml(text, path, typ)


def parse_for_update(text: str, path: str) -> Any:
    """Read dvc.lock, or any other YAML with its comments."""
    return parse(text, path, "safe" if Path(path).name == LOCK else "rt")


def dump(data: dict, stream: TextIO) -> None:
    """Write dvc.lock as JSON, any other file as DVC does."""
    (json.dump if Path(stream.name).name == LOCK else dump_yaml)(data, stream)


def restore(lock: Path) -> None:
    """Write a dvc.lock, if it is there, as DVC itself writes it."""
    if lock.is_file():
        text, plain = lock.read_text(encoding="utf-8"), io.StringIO()
        dump_yaml(parse(text, str(lock)), plain)
        if plain.getvalue() != text:
            aside = lock.with_suffix(".new")
            aside.write_text(plain.getvalue(), encoding="utf-8")
            aside.replace(lock)


def dvc(arguments: list[str]) -> int:
    """Run DVC; return its exit status."""
    strictyaml.parse_yaml = parse
    dvc_yaml.parse_yaml_for_update, dvc_yaml._dump = parse_for_update, dump
    sys.argv[:] = ["dvc", *arguments]  # by which its locks name who holds them
    return cli.main(arguments)
