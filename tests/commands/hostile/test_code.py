"""Code runs only where a sound spec names it, and names stay where they belong."""

from __future__ import annotations

from pathlib import Path

import bad_data as bad
import pytest
import yaml
from hostile_input import (
    GOOD,
    SPEC,
    clrbench,
    with_line,
)

from clrbench.data import Library

MARK = "from pathlib import Path\nPath({!r}).touch()\n{}"


def test_code_runs_only_where_a_sound_spec_names_it(folder: Path) -> None:
    """`validate` calls the function that a spec names, for the sizes of its arrays; nothing else imports a file."""
    mark = folder / "mark"
    function = "import numpy as np\ndef f(): raise ValueError('seen')\n"
    (folder / "own.py").write_text(MARK.format(str(mark), function))
    (folder / "mnist.py").write_text(MARK.format(str(mark), function))
    (folder / "other.yaml").write_text(GOOD)
    (folder / "broken.yaml").write_text(with_line("mnist", "./own.py:f").replace("batch_size: 5", "batch_size: x"))
    (folder / "own.yaml").write_text(with_line("mnist", "./own.py:f"))
    assert clrbench("validate", "other.yaml").exit_code == 0
    assert clrbench("compare", "other.yaml", "--dry-run").exit_code == 0
    assert clrbench("data", "list", "--data-dir", ".").exit_code == 0
    assert clrbench("validate", "broken.yaml").exit_code == 2
    assert clrbench("data", "fetch", "./own.py:f").exit_code == 2
    assert clrbench("report", ".").exit_code == 1
    assert not mark.exists()
    assert clrbench("validate", "own.yaml").exit_code == 1
    assert mark.exists()


@pytest.mark.parametrize("name", ["evil.py", "x_extra.npy", "train/cat/evil.py"])
def test_code_that_lies_beside_data_never_runs(name: str, folder: Path) -> None:
    own = (bad.images(lambda _: None) if "/" in name else bad.npy_folder())(folder)
    (own / name).write_text(MARK.format(str(folder / "mark"), ""))
    (folder / "s.yaml").write_text(with_line("mnist", str(own)))
    assert clrbench("validate", "s.yaml", "--data-dir", folder / "data").exit_code == 0
    Library(folder / "data").load(str(own))
    assert not (folder / "mark").exists()


def test_the_longest_names_make_folders_that_a_file_system_takes(folder: Path) -> None:
    longest = {**SPEC, "name": "a" * 100, "arms": {"b" * 100: SPEC["arms"]["constant"]}, "seeds": [2**63 - 1]}
    (folder / "s.yaml").write_text(yaml.safe_dump(longest))
    assert clrbench("validate", "s.yaml").exit_code == 0
    # As it is written, under a name of its own, and set aside.
    (folder / f".keras-{'b' * 100}-s{2**63 - 1}-01234567-abcdefgh-replaced").mkdir()
