"""The project's own files agree with each other and with what is committed."""

import ast
import itertools
import json
import re
import sys
import tomllib

import nbformat
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from closure import cells, closure
from conftest import HOME
from latent_factors import tune_interpret
from latent_factors.claims import load_claims
from latent_factors.notebook import declared, strip
from latent_factors.sections import Settings
from latent_factors.settings import TASKS, load_settings, points
from latent_factors.spaces import SPACES
from latent_factors.study import MODELS

PACKAGE = HOME / "src" / "latent_factors"
NOTEBOOKS = sorted([*(HOME / "notebooks").glob("*.ipynb"), *(HOME / "replications").glob("*.ipynb")])
SECTIONS = {f"sections/{path.name}" for path in (PACKAGE / "sections").glob("*.py")}
# dvc.yaml says why no stage needs them
CHECKS = {"settings.py", "paths.py", "errors.py", "times.py", "turns.py"} | SECTIONS
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
DECLARED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
IMPORTED_AS = {"PIL": "pillow", "ruamel": "ruamel.yaml", "sklearn": "scikit-learn"}


def yaml(name: str):
    return YAML(typ="safe", pure=True).load((HOME / name).read_text())


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = (HOME / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs)
    return {canonical(name): version for name, version in pairs}


def test_the_lock_pins_every_dependency():
    lock = locked()
    assert all(re.fullmatch(r"[0-9][\w.]*", version) for version in lock.values())
    for requirement in DECLARED:
        name, _, version = requirement.partition("==")
        assert canonical(name) in lock, name
        assert not version or lock[canonical(name)] == version
    assert lock["torch"] == "2.13.0"


def test_conda_users_get_the_same():
    environment = yaml("environment.yml")
    *conda, pip = environment["dependencies"]
    assert "python=3.11" in conda
    assert PROJECT["requires-python"].startswith(">=3.11,")
    assert pip["pip"] == ["--requirement requirements.lock", "--editable ."]


def test_everything_imported_is_declared():
    sources = [path.read_text() for path in (*PACKAGE.rglob("*.py"), *(HOME / "tests").glob("*.py"))]
    sources += [cells(path) for path in NOTEBOOKS]
    names = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    foreign = names - sys.stdlib_module_names - {"latent_factors", "closure", "conftest", "tiny"}
    known = {canonical(requirement.partition("==")[0]) for requirement in DECLARED}
    assert {canonical(IMPORTED_AS.get(name, name)) for name in foreign} <= known


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert nbformat.writes(strip(notebook)) + "\n" == path.read_text()


SHARED = {  # what several models of a task use: every train stage of that task depends on all of it
    "rating": {"models/dot.py"},
    "ctr": {
        f"models/{name}.py" for name in ("autoint", "dnn", "fields", "first_order", "fm", "interacting", "widedeep")
    },
    "topk": {f"models/{name}.py" for name in ("directau_graph", "graph", "losses", "neighbours", "neumf", "pairs")}
    | {f"models/{name}.py" for name in ("augment", "towers", "towers_ssl")} | {"data/information.py"},
    "sequence": {f"models/{name}.py" for name in ("losses", "neighbours", "sequential")},
    "generate": {f"models/{name}.py" for name in ("generative", "losses", "sequential", "transformer")},
    "release": {f"models/{name}.py" for name in ("cml", "cml_tower", "content", "ials", "impostors")},
}


def stages():
    """Every stage of dvc.yaml with its matrix filled in: name, command, dependencies, parameters."""
    dataset = yaml("params.yaml")["dataset"]
    for name, stage in yaml("dvc.yaml")["stages"].items():
        matrix = stage.get("matrix", {})
        for task, model, method in itertools.product(*(matrix.get(axis, [""]) for axis in ("task", "model", "method"))):
            key = f"{dataset}-{task}-{model}" + (f"-{method}" if method else "")
            values = {"item.model": model, "item.task": task, "item.method": method, "item.dataset": dataset,
                      "dataset": dataset, "key": key}

            def fill(text: str, values=values) -> str:
                return re.sub(r"\$\{([\w.]+)\}", lambda found: values[found[1]], text)

            params = [fill(entry) if isinstance(entry, str) else entry for entry in stage.get("params", [])]
            yield f"{name}@{key}", fill(stage["cmd"]), {fill(path) for path in stage.get("deps", [])}, params


STAGES = [pytest.param(*stage, id=stage[0]) for stage in stages()]


@pytest.mark.parametrize(("name", "command", "deps", "params"), STAGES)
def test_a_stage_depends_on_what_it_uses_and_no_more(name, command, deps, params):
    modules = {path.removeprefix("src/latent_factors/") for path in deps if re.match(r"src/.*\.py$", path)}
    module = re.search(r"-m latent_factors\.(\w+)", command)[1]
    sources, extra = [f"import latent_factors.{module}"], set()
    if module == "notebook":
        notebook = re.search(r"notebooks/\S+\.ipynb", command)[0]
        assert notebook in deps
        code = cells(HOME / notebook)
        built = re.findall(r'(?:build\("|"topk\.)(\w+)"', code)
        sources += [code, *(f"import latent_factors.models.{name}" for name in built)]
        wanted = set(declared(nbformat.read(HOME / notebook, as_version=4)))
        model = re.search(r"-p task (\w+) -p model (\w+)", command)
        if model:
            sources.append(f"import latent_factors.models.{model[2]}, latent_factors.tasks.{model[1]}")
            if name.startswith(("train", "curve", "ablation")):
                extra = SHARED[model[1].removesuffix("_attributes")] | {"tasks/ctr.py"}
            wanted.add(re.search(r"-s protocol (\w+)", command)[1])
        sections = {entry for entry in params if entry in Settings.model_fields}
        assert sections == wanted & set(Settings.model_fields)
        assert "requirements.lock" in deps
    needed = closure(sources, PACKAGE) - CHECKS
    if module == "settings":
        needed = {"settings.py"} | SECTIONS
    assert modules - extra == needed - extra, name


def test_every_model_is_trained():
    trained = {name.partition("@")[2] for name, *_ in (stage.values for stage in STAGES) if name.startswith("train-")}
    dataset = yaml("params.yaml")["dataset"]
    assert trained == {
        f"{dataset}-{task}-{model}"
        for task, (kind, _) in TASKS.items() for model in kind.model_fields
    }


def test_reports_follow_their_schema():
    metrics = json.loads((HOME / "reports" / "metrics.json").read_text())
    settings = load_settings(HOME / "params.yaml")
    for task, (kind, _) in TASKS.items():
        assert {row["model"] for row in metrics if row["task"] == task} == set(kind.model_fields)
    for row in metrics:
        assert {key: type(value) for key, value in row.items()} == {
            "dataset": str, "task": str, "split": str, "model": str, "metric": str, "part": str, "mean": float,
            "low": float, "high": float, "seeds": int,
        }
        assert row["low"] <= row["mean"] <= row["high"]
        assert re.fullmatch(r"test(, (user|item) block \d+|, (head|middle|tail) items)?", row["part"])
        (point,) = points(row["task"], row["model"], getattr(getattr(settings, row["task"]), row["model"]).model_dump())
        assert row["seeds"] == (settings.seeds.count if point.random else 1)
    claims = json.loads((HOME / "reports" / "claims.json").read_text())
    assert list(dict.fromkeys(row["id"] for row in claims)) == list(load_claims(HOME / "notebooks" / "claims.yaml"))
    assert len({(row["id"], row["dataset"], row["task"]) for row in claims}) == len(claims)
    for row in claims:
        assert {key: type(value) for key, value in row.items()} == {
            "id": str, "paper": str, "claim": str, "dataset": str, "task": str, "effect": float, "low": float,
            "high": float, "p": type(row["p"]), "rule": str, "verdict": str, "chapter": str,
            "cell": int,
        }
        assert (row["p"] is None) == ("corrected" not in row["rule"])
        assert row["verdict"] in ("holds", "fails", "undecided")
        assert (HOME / "notebooks" / f"{row['chapter']}.ipynb").is_file()
        page = json.loads((HOME / "reports" / "chapters" / f"{row['chapter']}.ipynb").read_text())
        (cell,) = (cell for cell in page["cells"] if cell.get("execution_count") == row["cell"])
        shown = {output.get("metadata", {}).get("claim") for output in cell["outputs"]}
        assert row["id"] in shown or "chapter.ledger(" in "".join(cell["source"])


def test_settings_are_the_best_of_the_committed_trials():
    """params.yaml holds what `make tune` found: nothing was picked by hand."""
    settings = load_settings(HOME / "params.yaml")
    for task, models in SPACES.items():
        trials = pd.read_csv(HOME / "reports" / "tuning" / f"{task}.csv")
        assert trials.groupby("model").size().to_dict() == dict.fromkeys(models, getattr(settings.tune, task).trials)
        finalists = getattr(settings.tune, task).finalists
        (score,) = (name for name in trials if name.startswith("final_" if finalists else "validation_"))
        assert not finalists or (trials.groupby("model")[score].count() == finalists).all()
        sign = -1 if score.endswith(("rmse", "logloss")) else 1
        for model, own in trials.groupby("model"):
            chosen = getattr(getattr(settings, task), model).model_dump()
            tuned = [key for key in chosen if key in own and own[key].notna().all()]
            best = own.loc[(sign * own[score]).idxmax()]
            assert {key: chosen[key] for key in tuned} == {key: best[key] for key in tuned}
            for point in getattr(settings.curve, model, []) if task == "rating" else []:
                at_k = own[own["dim"] == point.dim]
                best = at_k.loc[(sign * at_k[score]).idxmax()]
                assert {key: getattr(point, key) for key in tuned} == {key: best[key] for key in tuned}


def test_input_search_is_set_by_the_best_of_its_trials():
    """So are the curves and methods of input search, by `latent_factors.tune_search`."""
    settings = load_settings(HOME / "params.yaml")
    studies = load_settings(HOME / "replications" / "params.yaml").studies
    trials = pd.read_csv(HOME / "reports" / "tuning" / "search.csv")
    assert set(MODELS) <= set(trials["name"]) <= {*MODELS, *studies}
    measured = {path.stem for path in (HOME / "reports" / "replications").glob("*.json")}
    assert measured & set(studies) <= set(trials["name"])
    for (name, tuned), own in trials.groupby(["name", "tuned"]):
        if name in MODELS:
            task, search, budget = MODELS[name], getattr(settings.search, name), settings.tune.search
            curve = getattr(settings.curve, name)
        else:
            task, search, budget = studies[name].task, studies[name].search, studies[name].tune
            curve = points(task, studies[name].model, studies[name].points)
        at = [point for point in curve if tuned == f"K = {point.dim}"]
        assert len(own) == (budget.curve if at else budget.methods)
        best = own.loc[own["validation"].idxmax() if task == "topk" else own["validation"].idxmin()]
        chosen = at[0] if at else getattr(search, tuned)
        values = json.loads(best["settings"])
        assert {key: getattr(chosen, key) for key in values} == values


def test_autoencoders_are_trained_by_the_best_of_their_trials():
    """So is the training of sparse autoencoders, one setting for all models, by `latent_factors.tune_interpret`."""
    settings = load_settings(HOME / "params.yaml")
    trials = pd.read_csv(HOME / "reports" / "tuning" / "interpret.csv")
    assert set(trials["dataset"]) == {settings.dataset}
    every = len(list(itertools.product(*tune_interpret.GRID.values())))
    assert trials.groupby("model").size().to_dict() == dict.fromkeys(tune_interpret.LOOKED_INTO, every)
    own, named = settings.interpret.autoencoder, tune_interpret.best(trials, tune_interpret.DEAD)
    assert {key: getattr(own, key) for key in named} == named
    assert own.reconstructing.model_dump() == tune_interpret.best(trials, 1.0)


def test_no_data_in_git():
    ignored = (HOME / ".gitignore").read_text().splitlines()
    assert "/data/" in ignored
    assert (HOME / "data.dvc").is_file()


def test_the_readme_names_the_two_commands():
    readme = (HOME / "README.md").read_text()
    for command in ("make repro", "make test", "dvc exp run -S", "dvc exp show", "dvc push"):
        assert command in readme


def test_make_repro_runs_trainings_side_by_side_then_chapters():
    makefile, stages = (HOME / "Makefile").read_text(), yaml("dvc.yaml")["stages"]
    kinds_of = {
        "TRAIN": ("train-", "ablation-", "curve-", "search-"), "LOOK": ("interpret-",), "CHAPTERS": ("chapter-",),
    }
    for variable, kinds in kinds_of.items():
        listed = re.search(rf"^{variable} := (.+)$", makefile, re.MULTILINE)[1].split()
        assert sorted(listed) == sorted(name for name in stages if name.startswith(kinds))


def test_figures_and_pages_carry_their_provenance():
    for path in sorted((HOME / "reports" / "figures").glob("*.png")):
        record = json.loads(Image.open(path).text["Provenance"])
        assert list(record) == ["notebook", "notebook_sha256", "data", "data_sha256", "parameters", "versions"]
        assert (HOME / record["notebook"]).is_file()
        assert record["data_sha256"] in path.with_suffix(".svg").read_text()
    for path in sorted((HOME / "reports" / "chapters").glob("*.ipynb")):
        text = path.read_text()
        assert "What made this page" in text
        outputs = [output for cell in json.loads(text)["cells"] for output in cell.get("outputs", [])]
        marks = [output.get("metadata", {}) for output in outputs]
        names = [mark[kind] for mark in marks for kind in ("figure", "table") if kind in mark]
        assert len(set(names)) == len(names), path.name  # they become anchors
