"""How the tests are spread over processes, which share the processors."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

# Of arithmetic, in a test process and in all that it starts; before anything imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

BACKENDS = "tests/backends/"


class Scheduling(LoadFileScheduling):
    """The tests of a file in one process, and all of the backends in one, for the sake of those that they start."""

    def _split_scope(self, nodeid: str) -> str:
        return BACKENDS if nodeid.startswith(BACKENDS) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Callable[..., Any]) -> Scheduling | None:
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
