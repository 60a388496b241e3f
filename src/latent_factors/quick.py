"""DVC's command line for projects with many stages: `python -m latent_factors.quick repro …` is `dvc repro …`.

After each stage DVC reads and writes dvc.lock with a parser that keeps comments, which takes 1.6 s for 70 stages: more
than many of them run. dvc.lock has no comments, and here a parser in C does it in a quarter of that. It breaks long
lines elsewhere, until `restore` puts them back.
"""

import io
import sys
from collections import OrderedDict
from pathlib import Path
from typing import TextIO

from dvc import cli
from dvc.utils.serialize import _yaml as dvc_yaml
from ruamel.yaml import YAML


def dump(data: dict, stream: TextIO) -> None:
    """Write YAML as DVC has it, but for where long lines break."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False
    yaml.Representer.add_representer(OrderedDict, yaml.Representer.represent_dict)
    yaml.dump(data, stream)


def restore(lock: Path) -> None:
    """Write a dvc.lock, if it is there, as DVC itself writes it."""
    if lock.is_file():
        text, plain = lock.read_text(encoding="utf-8"), io.StringIO()
        dvc_yaml._dump(dvc_yaml.parse_yaml_for_update(text, str(lock)), plain)
        if plain.getvalue() != text:
            aside = lock.with_suffix(".new")
            aside.write_text(plain.getvalue(), encoding="utf-8")
            aside.replace(lock)


def main(arguments: list[str]) -> int:
    """Run DVC, which changes no YAML file but dvc.lock in a `repro`; return its exit status."""
    dvc_yaml.parse_yaml_for_update, dvc_yaml._dump = dvc_yaml.parse_yaml, dump
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
