"""params.yaml, read and checked.

    python -m latent_factors.settings    checks params.yaml and the data set it names
"""

import difflib
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from latent_factors.errors import UserError, tell
from latent_factors.paths import root
from latent_factors.sections import (
    CTR,
    CMLFeatures,
    Generate,
    NextItem,
    Rating,
    Release,
    Replications,
    Section,
    Settings,
    TopK,
)

S = TypeVar("S", bound=Section)


@lru_cache(maxsize=2)
def load_settings(path: Path | None = None) -> Any:
    """Read and check params.yaml (by default the project's): Settings, or Replications for the one with studies.

    Raises UserError: one line for each fault, with the key and what is expected there.
    """
    path = path or root() / "params.yaml"
    values = _read(path)
    return parse(Replications if isinstance(values, dict) and "studies" in values else Settings, values, path.name)


def _read(path: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path.name} is missing from {path.parent}: `git checkout {path.name}`") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise UserError(f"{path.name}, line {line}: {error.problem}; correct the YAML there") from None


def parse(kind: type[S], values: Any, where: str) -> S:
    """Check `values` against a section; `where` names the file or key in the message.

    Raises UserError: one line for each fault.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(_sentences(kind, error.errors(include_url=False), where))) from None


def section(key: str) -> Any:
    """Return a section of the project's params.yaml as plain values, by dotted key ("rating.mf")."""
    value: Any = load_settings()
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
        if value is None:
            raise UserError(f"params.yaml has no section {key}: name one that it has")
    return [_plain(entry) for entry in value] if isinstance(value, list) else _plain(value)


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_unset=True) if isinstance(value, Section) else value


TASKS: dict[str, tuple[type[Section], str]] = {  # the models' settings, and the section that cuts and judges
    "rating": (Rating, "split"),
    "ctr": (CTR, "clicks"),
    "ctr_attributes": (CTR, "clicks"),
    "topk": (TopK, "ranking"),
    "release": (Release, "releases"),
    "sequence": (NextItem, "sequences"),
    "generate": (Generate, "sequences"),
}
STUDIED: dict[str, dict[str, type[Section]]] = {"topk": {"cml_features": CMLFeatures}}  # models of studies alone


def points(task: str, model: str, values: dict | list[dict]) -> list[Section]:
    """Return the typed settings of a model, one for each point: one of a model, several of its curve.

    Raises UserError for an unknown task or model, or settings that do not fit it.
    """
    kind, _ = _task(task)
    models = {name: field.annotation for name, field in kind.model_fields.items()} | STUDIED.get(task, {})
    if model not in models:
        raise UserError(f"unknown {task} model {model!r}: choose one of {', '.join(models)}")
    entries = values if isinstance(values, list) else [values]
    return [parse(models[model], entry, f"settings of {task}.{model}") for entry in entries]


def typed_protocol(task: str, values: dict) -> Section:
    """Return the typed section that says how a task is cut and judged.

    Raises UserError for an unknown task, or values that do not fit it.
    """
    _, name = _task(task)
    return parse(Settings.model_fields[name].annotation, values, f"settings of {name}")


def _task(task: str) -> tuple[type[Section], str]:
    if task not in TASKS:
        raise UserError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
    return TASKS[task]


def _sentences(kind: type[BaseModel], faults: list[dict], where: str) -> list[str]:
    misspelt = {}  # location of an unknown key → the known key it resembles
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            *parents, name = fault["loc"]
            close = difflib.get_close_matches(str(name), _known_keys(kind, parents), n=1)
            misspelt[fault["loc"]] = (*parents, *close)
    missing = [fault for fault in faults if fault["type"] == "missing" and fault["loc"] not in misspelt.values()]
    return [
        *(_unknown(kind, location, meant, where) for location, meant in misspelt.items()),
        *(f"{where}: {_dotted(fault['loc'])} is missing; add it" for fault in missing),
        *(_wrong(fault, where) for fault in faults if fault["type"] not in ("extra_forbidden", "missing")),
    ]


def _unknown(kind: type[BaseModel], location: tuple, meant: tuple, where: str) -> str:
    known = ", ".join(_known_keys(kind, location[:-1]))
    remedy = f"did you mean {meant[-1]}?" if len(meant) == len(location) else f"known here: {known}"
    return f"{where}: unknown key {_dotted(location)}; {remedy}"


def _wrong(fault: dict, where: str) -> str:
    what = fault["msg"].removeprefix("Value error, ")
    got = "" if isinstance(fault["input"], dict | list) else f", got {fault['input']!r}"
    key = f"{_dotted(fault['loc'])}: " if fault["loc"] else ""
    return f"{where}: {key}{what[:1].lower()}{what[1:]}{got}; correct it"


def _dotted(location: tuple) -> str:
    return ".".join(str(part) for part in location)


def _known_keys(kind: type[BaseModel], location: Sequence) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue
        kind = kind.model_fields[part].annotation
        kind = kind.__args__[0] if hasattr(kind, "__args__") else kind
    return list(kind.model_fields)


def main() -> None:
    """Check params.yaml and that its data set stands under data/; print one line."""
    settings = load_settings()
    if not (root() / "data" / settings.dataset / f"{settings.dataset}.inter").is_file():
        raise UserError(
            f"params.yaml: dataset {settings.dataset} is not under data/; `make data` fetches a catalogued one, any"
            f" other is a folder data/{settings.dataset} with {settings.dataset}.inter"
        )
    print(f"params.yaml is sound (data set {settings.dataset})")


if __name__ == "__main__":
    sys.exit(tell(main))
