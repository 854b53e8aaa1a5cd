"""How the tests are spread over processes, which share the processors, and what one leaves to the next."""

import os
import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """Have denormal numbers again after a test that trained with torch; hypothesis draws no numbers without them."""
    yield
    if sys.float_info.min / 2 == 0:
        sys.modules["torch"].set_flush_denormal(False)
