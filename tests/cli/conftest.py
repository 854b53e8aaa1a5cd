"""The command line, in a folder of each test's own."""

from pathlib import Path

import pytest
from command_line import Clrbench, run_clrbench


@pytest.fixture
def clrbench(tmp_path: Path) -> Clrbench:
    """Run the command line in a folder of the test's own."""
    return lambda *arguments, **options: run_clrbench(*arguments, folder=tmp_path, **options)
