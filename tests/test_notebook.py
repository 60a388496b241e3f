"""The runner: same bytes, nothing half-written, every fault one sentence; and the save hook."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from conftest import HOME
from latent_factors.notebook import declared, stable, strip, strip_on_save
from latent_factors.times import read_times

PARAMETERS = 'word = "stored"\nsplit = {}\nmany = []'


def write(project: Path, *cells: str, name: str = "made") -> Path:
    """Write a notebook whose first cell declares the parameters above."""
    first = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    notebook = strip(new_notebook(cells=[first, *map(new_code_cell, cells)]))
    path = project / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "latent_factors.notebook", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def outputs(path: Path) -> list:
    return [cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_the_same_bytes_from_every_run_and_place(project, tmp_path_factory):
    source = write(
        project,
        "import sys, warnings\nprint(object())\nprint('epoch', file=sys.stderr)\nwarnings.warn('careful')",
        "class Thing: pass\nThing()",
        "print({str(n) for n in range(20)})",
        "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])",
    )
    done = run(source, "out/first")
    assert done.returncode == 0, done.stderr
    assert "epoch" in done.stderr  # progress is on the terminal
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(project, elsewhere, dirs_exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "latent_factors.notebook", "made.ipynb", "out/second"], cwd=elsewhere, check=True
    )
    first, second = project / "out/first/made.ipynb", elsewhere / "out/second/made.ipynb"
    assert first.read_bytes() == second.read_bytes()
    text = first.read_text()
    for unstable in ("epoch\\n", "UserWarning", str(project), "papermill\"", "0x7"):
        assert unstable not in text
    assert "<object object at 0x…>" in text
    assert "image/png" in text


def test_parameters_come_from_params_yaml_and_the_command(project):
    source = write(project, "print(word, split['kind'], many[0]['dim'])")
    done = run(source, "build/out", "-p", "word", "given", "-s", "many", "curve.mf")
    assert done.returncode == 0, done.stderr
    assert outputs(project / "build/out/made.ipynb")[-1][0]["text"] == "given random 1\n"
    cells = nbformat.read(project / "build/out/made.ipynb", as_version=4).cells
    assert cells[1].id == "injected-parameters"
    assert cells[1].metadata.tags == ["injected-parameters"]
    took = read_times(project / "build/out")
    assert 0 < took["seconds"] < 600
    assert (took["threads"], took["device"]) == (None, "cpu")  # it takes no `compute`


def test_what_the_notebook_wrote_appears_with_it(project):
    source = write(
        project, "import os, pathlib\nout = pathlib.Path(os.environ['LATENT_FACTORS_OUT'])",
        "_ = (out / 'metrics.json').write_text('{}')\n_ = (out / 'x.txt').write_text('x')",
    )
    (project / "out").mkdir()
    (project / "out" / "old.txt").touch()
    done = run(source, "out", "--metrics", "reports/metrics/m.json")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (project / "out").iterdir()) == ["made.ipynb", "x.txt"]
    assert (project / "reports/metrics/m.json").read_text() == "{}"
    assert not list((project / "build/running").iterdir())


def test_kernels_of_one_folder_share_no_socket(project):
    tell = "import os\nfrom ipykernel.connect import get_connection_info\n"
    tell += "print(get_connection_info(unpack=True)['ip'], [name for name in os.listdir() if 'socket' in name])"
    sockets = []
    for name in ("one", "other"):
        source = write(project, tell, name=name)
        assert run(source, name).returncode == 0
        socket, beside = outputs(project / name / source.name)[-1][0]["text"].split(maxsplit=1)
        assert beside == "[]\n"
        assert not Path(socket).parent.exists()
        sockets.append(socket)
    assert sockets[0] != sockets[1]


def sentence(done: subprocess.CompletedProcess) -> str:
    """The one line a failed command ends with."""
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return errors[0]


def test_a_failing_cell(project):
    source = write(project, "print('so far')", "1 / 0")
    done = run(source, "out")
    assert sentence(done) == (
        f"error: {source} stopped in cell 3 (ZeroDivisionError: division by zero); the notebook as far as it ran is"
        " failed/made.ipynb"
    )
    assert not (project / "out").exists()
    assert outputs(project / "failed/made.ipynb")[-2:-1] != []


def test_a_users_mistake_is_told_in_its_own_words(project):
    source = write(project, "from latent_factors.errors import UserError\nraise UserError('params.yaml: mend it')")
    assert sentence(run(source, "out")) == "error: params.yaml: mend it"


def test_unknown_parameters_are_refused(project):
    source = write(project)
    assert sentence(run(source, "out", "-p", "wort", "x")) == (
        f"error: {source} has no parameter wort; it declares word, split, many"
    )
    assert sentence(run(source, "out", "-s", "many", "rating.svd")).endswith(
        "params.yaml has no section rating.svd: name one that it has"
    )
    assert sentence(run("none.ipynb", "out")).startswith("error: none.ipynb does not exist")


def test_a_faulty_params_yaml_stops_before_anything_runs(project):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  count: 5", "  cuont: 5"))
    done = run(write(project), "out")
    assert done.returncode == 1
    assert done.stderr == "error: params.yaml: unknown key seeds.cuont; did you mean count?\n"
    assert not (project / "build").exists()


def test_another_interpreters_kernel_is_refused(project, tmp_path):
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({
        "argv": ["/opt/other/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3", "language": "python",
    }))
    told = sentence(run(write(project), "out", JUPYTER_PATH=str(tmp_path / "jupyter")))
    assert told.startswith(f"error: {folder}/kernel.json starts /opt/other/bin/python, not this environment's ")
    assert told.endswith("remove it with `jupyter kernelspec remove python3`")


def test_a_disk_that_is_full(project):
    source = write(project, "raise OSError(28, 'No space left on device', 'weights.safetensors')")
    told = sentence(run(source, "out"))
    assert "No space left on device: 'weights.safetensors', so free space there or make it writable" in told
    assert not (project / "out").exists()


def test_a_folder_that_cannot_be_written(project):
    source = write(project)
    (project / "build").touch()
    assert sentence(run(source, "out")).endswith(
        "could not be written (Not a directory); free space there or make it writable"
    )


def test_a_kernel_that_dies(project):
    source = write(project, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "the kernel died, mostly for want of memory" in sentence(run(source, "out"))
    assert not (project / "out").exists()


def test_declared():
    notebook = new_notebook(cells=[new_markdown_cell("x"), new_code_cell("a = 1", metadata={"tags": ["parameters"]})])
    assert declared(notebook) == ["a"]
    assert declared(new_notebook(cells=[new_code_cell("a = 1")])) == []


def test_stable_keeps_what_belongs():
    cell = new_code_cell("x", outputs=[
        nbformat.v4.new_output("stream", name="stderr", text="epoch 1"),
        nbformat.v4.new_output("execute_result", data={"text/plain": ["<A at 0x7f3a12345678>"]}),
    ])
    kept = stable(new_notebook(cells=[cell])).cells[0].outputs
    assert [output.data["text/plain"] for output in kept] == [["<A at 0x…>"]]


@pytest.mark.parametrize("path", sorted((HOME / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_saving_a_stored_notebook_changes_nothing(path, tmp_path):
    """As JupyterLab does it: open, run, save with outputs, counts and its own metadata."""
    shutil.copy(path, tmp_path)
    manager = FileContentsManager(root_dir=str(tmp_path))
    manager.pre_save_hook = strip_on_save
    model = manager.get(path.name)
    content = model["content"]
    content["metadata"]["language_info"] = {"name": "python", "version": "3.11.99", "mimetype": "text/x-python"}
    content["metadata"]["kernelspec"]["display_name"] = "Python 3"
    for cell in content["cells"]:
        cell["metadata"]["trusted"] = True
        if cell["cell_type"] == "code":
            cell["execution_count"] = 7
            cell["outputs"] = [nbformat.v4.new_output("stream", text="seen")]
            cell["metadata"]["scrolled"] = False
    manager.save(model, path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_stripping_by_command(project):
    source = write(project)
    stored = source.read_bytes()
    run(source, "out")
    assert (project / "out/made.ipynb").read_bytes() != stored
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[0].execution_count = 3
    nbformat.write(notebook, source)
    assert run("--strip", source).returncode == 0
    assert source.read_bytes() == stored
