"""Folders for what other machines send: they go with their process, and what one that was killed has left goes with the next."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from clrbench.execution import scratch

PROGRAM = """
from clrbench.execution import scratch
print(scratch.new_folder("a"), flush=True)
input()
"""


def start(parent: Path) -> "tuple[subprocess.Popen[str], Path]":
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "TMPDIR": str(parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_has_left_goes_and_what_a_living_one_uses_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, of_killed = start(tmp_path)
    living, of_living = start(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert of_killed.is_dir()
    for folder in (of_killed, of_living):
        os.utime(folder.parent / "lock", (0, 0))
        assert folder.parent.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch._own.cache_clear()
    mine = scratch.new_folder("b")
    assert not of_killed.parent.exists()
    assert of_living.is_dir()
    assert mine.is_dir()
    living.communicate("\n")
    assert not of_living.parent.exists()
    scratch._own.cache_clear()


def test_a_folder_goes_once_it_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch._own.cache_clear()
    with scratch.folder("run") as place:
        (place / "file").touch()
    assert not place.exists()
    scratch._own.cache_clear()
