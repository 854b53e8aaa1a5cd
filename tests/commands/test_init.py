"""`clrbench init`: a spec to start from."""

from pathlib import Path

from command_line import Clrbench


def test_init_writes_a_spec_that_is_good_and_overwrites_nothing(clrbench: Clrbench, tmp_path: Path) -> None:
    assert clrbench("init", "mine").returncode == 0
    assert clrbench("validate", "mine.yaml").returncode == 0
    before = (tmp_path / "mine.yaml").read_text()
    assert before.count("name: mine") == 1
    done = clrbench("init", "mine")
    assert done.returncode == 2
    assert (tmp_path / "mine.yaml").read_text() == before
    assert clrbench("init", "../mine").returncode == 2
