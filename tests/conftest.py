"""How the tests are spread over processes, what one leaves to the next, and the command line in a folder of its own."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Clrbench, run_clrbench
from warm_start import server
from xdist.scheduler import LoadFileScheduling

# Of arithmetic, in a test process and in all that it starts; before anything imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# `nohup` and shells in the background have Ctrl-C ignored, and so would every process that a test starts and stops.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOGETHER = {
    "tests/backends/": "backends",
    "tests/schedules/": "torch",
    "tests/data/test_unusual_numbers.py": "torch",
    "tests/api/test_torch_scheduler.py": "torch",
    "tests/test_company.py": "torch",
    "tests/test_known_faults.py": "torch",
}
"""The tests that share the processes that they start, and those that import torch themselves, by how their names begin."""


class Scheduling(LoadFileScheduling):
    """The tests of a file in one process, and some files in one, for the sake of what they start or import."""

    def _split_scope(self, nodeid: str) -> str:
        shared = (scope for start, scope in TOGETHER.items() if nodeid.startswith(start))
        return next(shared, super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Callable[..., Any]) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def end_of_server() -> Iterator[None]:
    """End the process that the command line was forked from."""
    yield
    if server.cache_info().currsize:
        server().close()


@pytest.fixture
def clrbench(tmp_path: Path) -> Clrbench:
    """Run the command line in a folder of the test's own."""
    return lambda *arguments, **options: run_clrbench(*arguments, folder=tmp_path, **options)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figure, where only what stands beside them is looked at; drawing takes ten times as long as all else."""
    monkeypatch.setattr("clrbench.commands.write_report.draw_figures", lambda *_: ())
    monkeypatch.setattr("clrbench.report.figures.rendering.available_cpus", lambda: 1)
    monkeypatch.setattr("clrbench.report.page.draw_forest", lambda *_: None)
    monkeypatch.setattr("clrbench.report.figures.style.to_png", lambda _: b"")


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """Have denormal numbers again after a test that trained with torch; hypothesis draws no numbers without them."""
    yield
    if sys.float_info.min / 2 == 0:
        sys.modules["torch"].set_flush_denormal(False)
