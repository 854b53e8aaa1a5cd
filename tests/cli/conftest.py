"""The command line, in a folder of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Clrbench, run_clrbench
from warm_start import server


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
