"""Which modules of the package a notebook or module imports, directly or not, read from the sources."""

import ast
import json
from pathlib import Path

PACKAGE = "latent_factors"


def imported(source: str, package: Path) -> set[str]:
    """Return the files of the package, relative to it, that Python source imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {str(file.relative_to(package)) for name in names if (file := _file(name, package))}


def closure(sources: list[str], package: Path) -> set[str]:
    """Return every file of the package that the sources need."""
    found: set[str] = set()
    open_files = set().union(*(imported(source, package) for source in sources))
    while open_files:
        file = open_files.pop()
        found.add(file)
        open_files |= imported((package / file).read_text(encoding="utf-8"), package) - found
    return found


def cells(notebook: Path) -> str:
    """Return the code of a notebook."""
    stored = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in stored if cell["cell_type"] == "code")


def _file(name: str, package: Path) -> Path | None:
    parts = name.split(".")
    if parts[0] != PACKAGE or len(parts) == 1:  # the package itself holds nothing but the way to `load`
        return None
    path = package.joinpath(*parts[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file() and file.read_text(encoding="utf-8").count("\n") > 1:
            return file
    return None
