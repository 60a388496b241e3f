"""Run the commands of a guide in a clone of this project, and put what they print beneath them.

    python -m latent_factors.guide GUIDE.md

A guide is Markdown. In its blocks of the kind `console`, a line that begins with "$ " is a command; what stands below
it is replaced. The clone is of what is committed, with a copy of DVC's cache, so nothing here changes but the guide and
the pictures that it shows from reports/experiments, which come from the folder of that name in the clone's build/.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from latent_factors.errors import UserError, tell
from latent_factors.paths import root

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"\]\([./]*reports/experiments/([\w-]+\.png)\)")
SHOWN = (6, 7)  # of a longer output, the first and last lines
STRANGER = {
    f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "reader"), ("EMAIL", "reader@example.org"))
}


def refresh(text: str, folder: Path) -> str:
    """Return a guide with the outputs that its commands print in `folder`, one after another.

    Raises UserError for a command that fails.
    """
    return BLOCK.sub(lambda block: f"```console\n{_block(block[1], folder)}```", text)


def _block(text: str, folder: Path) -> str:
    lines = []
    for command in re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE):
        print(f"$ {command}", file=sys.stderr, flush=True)
        lines += [f"$ {command}", *shortened(printed(command, folder))]
    return "".join(f"{line}\n" for line in lines)


def printed(command: str, folder: Path) -> list[str]:
    """Return the lines that a shell command prints in a folder.

    Raises UserError when it fails.
    """
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = {"PATH": tools, "PYTHONPATH": "src", "COLUMNS": "100"}  # the package of the clone that a command is run in
    done = subprocess.run(
        command, shell=True, cwd=folder, env=os.environ | STRANGER | here,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    if done.returncode:
        raise UserError(f"`{command}` ended with status {done.returncode}, so mend it or the guide:\n{done.stdout}")
    text = done.stdout.replace(str(folder.parent), "..")
    return [line.rpartition("\r")[2].rstrip() for line in text.strip("\n").splitlines()]


def shortened(lines: list[str]) -> list[str]:
    """Return lines, in the place of the middle of many a line that counts them."""
    first, last = SHOWN
    left_out = len(lines) - first - last
    return lines if left_out < 2 else [*lines[:first], f"[… {left_out} lines …]", *lines[-last:]]


def clone(project: Path, folder: Path) -> Path:
    """Clone what is committed into `folder`/latent-factors, with its results, from a bare `folder`/origin.git.

    Raises UserError where its results are not there.
    """
    for words in ("clone --quiet --bare . {0}/origin.git", "clone --quiet {0}/origin.git {0}/latent-factors"):
        printed(f"git {words.format(folder)}", project)
    made = folder / "latent-factors"
    shutil.copytree(project / ".dvc" / "cache", made / ".dvc" / "cache")
    printed("dvc checkout --quiet || true", made)
    if printed("dvc status --quiet || echo changed", made):
        raise UserError("what is committed lacks results; `make repro`, commit, then refresh the guide")
    return made


def main(guide: Path) -> None:
    """Refresh a guide and its pictures.

    Raises UserError for a guide that is not there or a command that fails; both are then as they were.
    """
    if not guide.is_file():
        raise UserError(f"{guide} does not exist; name a guide, such as notebooks/experiments.md")
    text = guide.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="latent-factors-") as folder:
        made = clone(root(), Path(folder))
        text = refresh(text, made)
        for name in PICTURE.findall(text):
            target = root() / "reports" / "experiments" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made / "build" / "experiments" / name, target)
    guide.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(tell(lambda: main(Path(sys.argv[1] if len(sys.argv) > 1 else "notebooks/experiments.md"))))
