import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings as hypothesis_settings

from latent_factors import turns
from latent_factors.data.atomic import write_atomic
from latent_factors.settings import load_settings

torch.set_num_threads(1)  # the tests' tensors are small
hypothesis_settings.register_profile("here", max_examples=60, deadline=None)
hypothesis_settings.load_profile("here")

HOME = Path(__file__).parent.parent
MIRROR = os.environ.get("LATENT_FACTORS_MIRROR")  # a folder of larger data sets
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
INTER = {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float"}


def pytest_collection_modifyitems(config, items):
    """Without a mirror folder or a browser, set the tests aside that need it."""
    lacking = [name for name, there in (("mirror", MIRROR), ("browser", CHROMIUM)) if not there]
    aside = [item for item in items if any(item.get_closest_marker(name) for name in lacking)]
    items[:] = [item for item in items if item not in aside]
    if aside:
        config.hook.pytest_deselected(items=aside)


def pytest_terminal_summary(terminalreporter):
    if not MIRROR:
        terminalreporter.write_line("Tests of tests/test_mirror.py need LATENT_FACTORS_MIRROR, which is not set")
    if not CHROMIUM:
        terminalreporter.write_line("Tests of the book in a browser need Chromium, which is not installed")


@pytest.fixture(scope="session", autouse=True)
def own_turns(tmp_path_factory):
    """Let tests wait for no pipeline that runs beside them."""
    folder = tmp_path_factory.mktemp("turns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "root", lambda: folder)
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory, worker_id):
    """A tiny project whose pipeline ran once, results committed; processes of pytest-xdist make one together."""
    from tiny import pipeline  # it imports from here

    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "tiny"
    pipeline(folder)
    return folder


@pytest.fixture
def clone(built, tmp_path):
    """A copy of it, to change at will."""
    return shutil.copytree(built, tmp_path / "tiny", symlinks=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project with this one's params.yaml, as the working folder."""
    (tmp_path / "dvc.yaml").touch()
    shutil.copy(HOME / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


@pytest.fixture
def settings(project):
    return load_settings()


def write_inter(root: Path, name: str, table: pd.DataFrame, types: dict[str, str] = INTER) -> Path:
    """Write data/<name>/<name>.inter."""
    folder = root / "data" / name
    folder.mkdir(parents=True, exist_ok=True)
    types = {key: kind for key, kind in types.items() if key in table}
    write_atomic(table, types, folder / f"{name}.inter")
    return folder / f"{name}.inter"


def write_films(root: Path) -> None:
    """Write data/made: planted ratings of 30 users of three ages for 20 films of two genres and three years."""
    path = write_inter(root, "made", planted(users=30, items=20, rank=2, noise=0.3, filled=0.4))
    number = np.arange(20)
    films = pd.DataFrame({
        "item_id": [f"i{n}" for n in number], "movie_title": np.where(number % 3, "The Film", "A Film"),
        "release_year": (1990 + number % 3).astype(str), "class": np.where(number % 2, "Drama War", "Drama"),
    })
    types = {"item_id": "token", "movie_title": "token_seq", "release_year": "token", "class": "token_seq"}
    write_atomic(films, types, path.with_suffix(".item"))
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(30)], "age": [str(20 + 10 * (n % 3)) for n in range(30)]})
    write_atomic(users, dict.fromkeys(users, "token"), path.with_suffix(".user"))


def planted(users: int, items: int, rank: int, noise: float, filled: float, seed: int = 0) -> pd.DataFrame:
    """Ratings r = 3 + b_u + b_i + p·q + noise of a share of the cells, with times; p and q have `rank` columns."""
    generator = np.random.default_rng(seed)
    u, i = np.nonzero(generator.random((users, items)) < filled)
    p, q = generator.normal(size=(users, rank)), generator.normal(size=(items, rank)) / rank**0.5
    bias_u, bias_i = generator.normal(size=users) * 0.3, generator.normal(size=items) * 0.3
    rating = 3 + bias_u[u] + bias_i[i] + (p[u] * q[i]).sum(1) + noise * generator.normal(size=len(u))
    return pd.DataFrame({
        "user_id": [f"u{n}" for n in u], "item_id": [f"i{n}" for n in i], "rating": rating.round(4),
        "timestamp": generator.integers(1_000_000_000, 1_000_600_000, len(u)).astype(float),
    })


def alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def wait(condition, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return condition()


def examples() -> list[str]:
    """The models that README.md shows."""
    blocks = re.findall(r"```python\n(.*?)```", (HOME / "README.md").read_text(), re.DOTALL)
    return [block for block in blocks if "class Model" in block]
