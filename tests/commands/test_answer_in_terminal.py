"""The answer of an experiment of the demo's shape, as the command prints it: into a pipe, and on terminals of any width."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest
from runs_in_memory import make_spec
from runs_on_disk import write_run
from specs import CONSTANT

from clrbench.spec import to_yaml
from clrbench.store import ResultsFolder

pytestmark = pytest.mark.acceptance

ARMS = ("constant", "clr", "triangular2", "linear_decay", "one_cycle", "cosine")
SEEDS = 8
COMMAND = (sys.executable, "-m", "clrbench", "report")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of six arms on two backends with two targets, reported once."""
    folder = ResultsFolder(tmp_path_factory.mktemp("demo"))
    arms = dict.fromkeys(ARMS, CONSTANT)
    targets = {"test_accuracy": (0.8, 0.9)}
    folder.begin(to_yaml(make_spec(arms=arms, seeds=SEEDS, backends=("torch", "keras"), targets=targets)), [])
    for backend in ("torch", "keras"):
        for place, arm in enumerate(ARMS):
            for seed in range(SEEDS):
                end = 0.85 + 0.01 * place + 0.0025 * (seed * (place + 1) % 5)
                write_run(folder, arm, seed, [0.6, 0.8, end], backend=backend)
    assert subprocess.run([*COMMAND, folder.root], capture_output=True, check=True).stderr == b""
    return folder.root


def in_terminal(folder: Path, columns: int) -> str:
    """Return what the command prints on a terminal of so many columns, called beside the folder by its name alone."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [*COMMAND, folder.name],
        cwd=folder.parent,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**environment, "TERM": "xterm"},
    )
    os.close(terminal)
    said = b""
    try:
        while part := os.read(main, 65536):
            said += part
    except OSError:
        pass  # nobody holds the other end any more
    assert process.wait() == 0
    os.close(main)
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_it_fits_a_terminal(folder: Path, columns: int) -> None:
    text = in_terminal(folder, columns)
    lines = click.unstyle(text).splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= min(columns, 100)
    assert "\x1b[" in text
    assert [sum(line.startswith(arm) for line in lines) for arm in ARMS] == [2] * len(ARMS)


def test_only_what_is_to_be_pasted_is_longer_than_the_terminal(folder: Path) -> None:
    deep = folder.rename(folder.parent / ("a-folder-of-a-long-name-" * 4))
    try:
        lines = click.unstyle(in_terminal(deep, 80)).splitlines()
    finally:
        deep.rename(folder)
    command, page = (line for line in lines if len(line) > 80)
    assert f" export {deep.name} " in command
    assert page.endswith(f" {deep.name}/report.html")


def test_it_is_plain_in_a_pipe(folder: Path) -> None:
    called = subprocess.run([*COMMAND, folder.name], cwd=folder.parent, capture_output=True, check=True, text=True)
    said = called.stdout
    lines = said.splitlines()
    assert "\x1b" not in said
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    # Which rate, does it beat, what is it called in a script: each is answered in one of the first lines or under its label.
    assert [line.split()[0] for line in lines if re.match(r"Rates|Verdict|Use it|Page", line)] == [
        "Rates",
        "Verdict",
        "Use",
        "Page",
    ]


def test_the_page_is_small_and_says_little_outside_what_is_folded(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    for folded in ("details", "svg", "style", "head"):
        page = re.sub(rf"<{folded}[ >].*?</{folded}>", " ", page, flags=re.DOTALL)
    assert len(re.sub(r"<[^>]*>", " ", page).split()) <= 900
