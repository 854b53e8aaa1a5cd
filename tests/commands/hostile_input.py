"""Calls of the command line that must be refused, and what a refusal must be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from clrbench.cli import main

SPEC: dict[str, Any] = {
    "name": "quick",
    "data": {"dataset": "mnist", "validation": "10 %"},
    "model": {"name": "mlp", "hidden": [8]},
    "batch_size": 5,
    "duration": "2 steps",
    "seeds": 2,
    "backends": ["torch"],
    "arms": {"constant": {"schedule": {"name": "constant", "lr": 0.1}}},
}
GOOD = yaml.safe_dump(SPEC, sort_keys=False)
LONGEST_MESSAGE = 5_000
MOST_SECONDS = 5.0


def clrbench(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)


def everything(folder: Path) -> dict[str, int]:
    """Return the size of every file below a folder and every hidden folder there, without the locks, which stay."""
    found = [path for path in folder.rglob("*") if path.name[0] == "." or not path.is_dir()]
    return {str(path.relative_to(folder)): path.lstat().st_size for path in found if path.name != ".lock"}


def refusal(folder: Path, code: int, *arguments: object, **environment: str) -> str:
    """Return the message of a command, which must be one, and leave nothing behind."""
    before, start = everything(folder), time.process_time()
    done = clrbench(*arguments, **environment)
    seconds = time.process_time() - start
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert len([line for line in done.stderr.split("\n") if line.startswith("Error: ")]) == 1
    assert "Traceback" not in done.stderr
    assert all(char.isprintable() or char == "\n" for char in done.stderr)
    assert len(done.stderr) < LONGEST_MESSAGE
    assert everything(folder) == before
    assert seconds < MOST_SECONDS
    return done.stderr


def with_line(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def with_arm(name: str, text: str = "{schedule: {name: constant, lr: 0.1}}") -> str:
    return f"{GOOD}  {name}: {text}\n"


NPZ = "cannot be read as an .npz of plain arrays ("
NPY = "cannot be read as an .npy of plain numbers ("
LIES = "which the file cannot hold"
