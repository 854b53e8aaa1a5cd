"""Runs made in this process, where no worker can be started; and what is said where one cannot, or dies before it begins."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from clrbench import backends
from clrbench.errors import BackendError
from clrbench.execution import executor, local, this_process
from clrbench.execution.executor import Resources, open_executor
from clrbench.execution.this_process import ThisProcess

RESOURCES = Resources("torch", 1, 1)


class FakeBackend:
    def set_threads(self, num_threads: int) -> None:
        self.threads = num_threads

    def find_device(self, wanted: str) -> str:
        return "cpu" if wanted == "auto" else wanted


class Heard:
    def __init__(self) -> None:
        self.finished: list[str] = []
        self.warnings: list[str] = []
        self.steps = 0

    def advance(self, run_id: str, steps: int) -> None:
        self.steps += steps

    def finish(self, run_id: str) -> None:
        self.finished.append(run_id)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Which runs are made, and whether others are waited for; `busy` is being made by somebody else at first."""
    asked: list[tuple[str, bool]] = []

    def execute(task: Any, watcher: Any, *, wait: bool) -> str:
        asked.append((task.run_id, wait))
        watcher.advance(3)
        assert not watcher.stopping()
        return "busy" if task.run_id == "busy" and not wait else "made"

    monkeypatch.setattr(this_process, "execute", execute)
    monkeypatch.setattr(backends, "load", lambda _: FakeBackend())
    for variable in executor.THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")
    return asked


def tasks(*run_ids: str) -> list[Any]:
    return [types.SimpleNamespace(run_id=run_id) for run_id in run_ids]


def test_runs_are_made_here_where_workers_cannot_be_had(
    made: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_resources: Resources) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(local, "LocalWorkers", refused)
    heard = Heard()
    with open_executor("local", RESOURCES) as opened:
        assert isinstance(opened, ThisProcess)
        assert (opened.name, opened.find_device("auto")) == ("local", "cpu")
        opened.run([], heard)
        opened.run(tasks("a", "busy", "b"), heard)
        opened.run(tasks("c"), heard)
    assert made == [("a", False), ("busy", False), ("b", False), ("busy", True), ("c", False)]
    assert heard.finished == ["a", "b", "busy", "c"]
    assert heard.steps == 15
    (warned,) = heard.warnings
    assert warned.startswith("no worker processes can be started (Read-only file system; is /dev/shm read-only or full")


@pytest.mark.usefixtures("made")
def test_a_function_is_called_here() -> None:
    assert ThisProcess(RESOURCES, "why").call(max, 3, 5) == 5


def test_a_process_that_cannot_be_started_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = local.LocalWorkers(RESOURCES)

    def refused(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(workers._pool, "submit", refused)
    for use in (lambda: workers.find_device("cpu"), lambda: workers.run(tasks("a"), Heard())):
        with pytest.raises(BackendError, match=r"no worker process can be started \(Too many open files\); finished"):
            use()
    workers.close()


SCRIPT = """
from clrbench.execution.executor import Resources
from clrbench.execution.local import LocalWorkers
LocalWorkers(Resources("torch", 1, 1)).find_device("cpu")
"""


@pytest.mark.acceptance
def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "put what it does under if __name__ == '__main__':" in done.stderr.splitlines()[-1]
    assert "bootstrapping" not in done.stderr
