"""Run one notebook so that the same inputs give the same bytes, and keep stored notebooks free of outputs.

    python -m latent_factors.notebook NOTEBOOK OUT [-p NAME TEXT] [-s NAME SECTION] [--metrics PATH]
    python -m latent_factors.notebook --strip NOTEBOOK ...

A notebook declares its parameters in the cell tagged "parameters". Names that are sections of params.yaml are
injected from there, the rest by -p (a text) and -s (a section by dotted key). The executed notebook and
whatever it wrote to LATENT_FACTORS_OUT appear in OUT together at the end, or not at all.
"""

import argparse
import ast
import copy
import os
import re
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from latent_factors import nursery
from latent_factors.errors import UserError, tell, unwritable
from latent_factors.lifetime import end_with_parent
from latent_factors.paths import root
from latent_factors.sections import Settings
from latent_factors.settings import load_settings, section
from latent_factors.times import write_times

sys.modules["rfc3987_syntax"] = None  # an optional format check of jsonschema that takes 1.6 s to import

KERNEL = "python3"
INJECTED = "injected-parameters"
GPU = "gpu"
START_SECONDS = 300  # a busy machine with a cold disk takes its time to import torch
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": KERNEL},
    "language_info": {"name": "python"},
}
# What differs between two runs of the same code: object addresses, and the kernel's own file names for cells.
UNSTABLE = ((re.compile(r"\bat 0x[0-9a-f]{6,}"), "at 0x…"), (re.compile(r"\S*ipykernel_\d+[/\\]\d+\.py"), "<cell>"))


def run(notebook: Path, out: Path, texts: dict[str, str], sections: dict[str, str], metrics: Path | None) -> None:
    """Execute a notebook into the folder `out`, and move its metrics.json to `metrics` where one is named.

    Raises UserError for unknown parameters, a wrong kernel, a failing cell or a folder that cannot be written;
    `out` is then as it was. A notebook that failed is kept in failed/.
    """
    import nbformat

    load_settings()
    source = nbformat.read(_readable(notebook), as_version=4)
    parameters = _parameters(source, notebook, texts, sections)
    _check_kernel()
    part = root() / "build" / "running" / f"{os.getpid()}-{notebook.stem}"
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        _sweep(part.parent)
        part.mkdir(parents=True)
        executed, gpu = _execute(source, notebook, parameters, part)
        nbformat.write(stable(executed), part / notebook.name)
        if metrics is not None:
            metrics.parent.mkdir(parents=True, exist_ok=True)
            (part / "metrics.json").replace(metrics)
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        part.rename(out)
        write_times(out, time.monotonic() - clock, started, parameters.get("compute"), gpu)
    except OSError as error:
        raise UserError(unwritable(error, out)) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def stable(notebook):
    """Take out of an executed notebook, in place, what differs from run to run, and return it.

    What goes to stderr is for the terminal and is dropped.
    """
    notebook = strip(notebook, outputs=False)
    for cell in notebook.cells:
        if INJECTED in cell.metadata.get("tags", []):
            cell["id"] = INJECTED
        if cell.cell_type != "code":
            continue
        cell["outputs"] = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "text" in output:
                output["text"] = _steady(output["text"])
            for kind, value in output.get("data", {}).items():
                if kind.startswith("text/"):
                    output["data"][kind] = _steady(value)
    return notebook


def strip(notebook, outputs: bool = True):
    """Give a notebook fixed metadata, in place, leave only tags on its cells and (`outputs`) no outputs; return it."""
    notebook["metadata"] = copy.deepcopy(METADATA)
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        if outputs and cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def strip_on_save(model: dict, **_) -> None:
    """Jupyter's pre-save hook: a notebook is stored without outputs, so opening and saving changes nothing."""
    if model["type"] == "notebook" and model["content"]["nbformat"] == 4:
        strip(model["content"])


def declared(notebook) -> list[str]:
    """Return the names assigned in the cell tagged "parameters"; without such a cell, none."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            statements = ast.parse(cell.source).body
            return [target.id for node in statements if isinstance(node, ast.Assign) for target in node.targets]
    return []


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a notebook, such as notebooks/train.ipynb")
    return path


def _parameters(source, notebook: Path, texts: dict[str, str], sections: dict[str, str]) -> dict:
    names = declared(source)
    unknown = [name for name in (*texts, *sections) if name not in names]
    if unknown:
        raise UserError(f"{notebook} has no parameter {unknown[0]}; it declares {', '.join(names) or 'none'}")
    shared = {name: section(name) for name in names if name in Settings.model_fields}
    return shared | texts | {name: section(key) for name, key in sections.items()}


def _check_kernel() -> None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        raise UserError(f"Jupyter knows no kernel {KERNEL}; `make` installs ipykernel from requirements.lock") from None
    command = Path(spec.argv[0])
    if command.is_absolute() and command.parent != Path(sys.executable).parent:
        raise UserError(
            f"{spec.resource_dir}/kernel.json starts {command}, not this environment's {sys.executable}; remove it"
            f" with `jupyter kernelspec remove {KERNEL}`"
        )


def _execute(source, notebook: Path, parameters: dict, part: Path):
    os.environ |= nursery.ENVIRONMENT | {"LATENT_FACTORS_OUT": str(part)}
    print(f"{notebook}", *(f"{name}={value}" for name, value in parameters.items() if isinstance(value, str)),
          file=sys.stderr, flush=True)
    sockets = tempfile.TemporaryDirectory(prefix="latent-factors-")
    kernel = _start_kernel(Path(sockets.name))

    import papermill  # while the kernel starts
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    half = part / "half.ipynb"
    try:
        executed = papermill.execute_notebook(
            source, half, parameters, kernel_name=KERNEL, language="python", cwd=root(), progress_bar=False,
            request_save_on_cell_execute=False, stderr_file=sys.stderr, record_timing=False, coalesce_streams=True,
            km=kernel, start_timeout=START_SECONDS,
        )
    except PapermillExecutionError as error:
        kept = _keep(half, notebook)
        if error.ename == "UserError":
            raise UserError(error.evalue) from None
        why = f"{error.ename}: {' '.join(error.evalue.split())}"
        if "No space left" in why or "Read-only file system" in why or "Permission denied" in why:
            why += ", so free space there or make it writable"
        raise UserError(
            f"{notebook} stopped in cell {error.cell_index} ({why}); the notebook as far as it ran is {kept}"
        ) from None
    except DeadKernelError:
        raise UserError(f"{notebook}: the kernel died, mostly for want of memory; lower batch_size or dim") from None
    finally:
        kernel.shutdown_kernel(now=True)
        gpu = (Path(sockets.name) / GPU).is_file()
        sockets.cleanup()
    half.unlink()
    return executed, gpu


def _start_kernel(folder: Path):
    """Start a kernel that imports what takes long while this process does the same, and binds no name by it.

    Its sockets lie in a folder of its own: Jupyter would number them in the working folder, where two kernels that
    start at once take the same numbers, and one never answers. There it leaves a file `GPU` where torch sees one.
    """
    from jupyter_client import KernelManager

    kernel = KernelManager(
        kernel_name=KERNEL, transport="ipc", ip=str(folder / "socket"), connection_file=str(folder / "kernel.json"),
        client_class="jupyter_client.asynchronous.AsyncKernelClient",
    )
    kernel.kernel_spec.argv = [*nursery.launcher(), "-f", "{connection_file}"]
    early = "; ".join(f"__import__('{name}')" for name in ("torch", "pandas"))
    early += f"; __import__('torch').cuda.is_available() and __import__('pathlib').Path('{folder / GPU}').touch()"
    kernel.start_kernel(cwd=str(root()), extra_arguments=[f"--InteractiveShellApp.exec_lines={early};"])
    return kernel


def _keep(half: Path, notebook: Path) -> str:
    kept = root() / "failed" / notebook.name
    try:
        kept.parent.mkdir(exist_ok=True)
        shutil.move(half, kept)
    except OSError as error:
        return f"lost ({error.strerror})"
    return str(kept.relative_to(root()))


def _sweep(running: Path) -> None:
    """Remove what killed runs left behind."""
    for folder in running.glob("*-*"):
        pid = int(folder.name.split("-")[0])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            continue


def _steady(text):
    if isinstance(text, list):
        return [_steady(line) for line in text]
    for pattern, replacement in UNSTABLE:
        text = pattern.sub(replacement, text)
    return text


def _main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m latent_factors.notebook", description=__doc__.split("\n")[0])
    parser.add_argument("--strip", action="store_true", help="remove outputs from the stored notebooks named")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "TEXT"))
    parser.add_argument("-s", nargs=2, action="append", default=[], metavar=("NAME", "SECTION"))
    parser.add_argument("--metrics", type=Path)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    options = parser.parse_args(arguments)
    if options.strip:
        import nbformat

        for path in options.paths:
            nbformat.write(strip(nbformat.read(_readable(path), as_version=4)), path)
    elif len(options.paths) == 2:
        end_with_parent()
        run(*options.paths, dict(options.p), dict(options.s), options.metrics)
    else:
        parser.error("name a notebook and the folder it goes to")


if __name__ == "__main__":
    sys.exit(tell(lambda: _main(sys.argv[1:])))
