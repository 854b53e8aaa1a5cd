"""The command line itself: help, versions, usage errors."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Clrbench, write_spec

import clrbench as package


def test_help_is_fast_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom clrbench.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'torch', 'tensorflow', 'keras', 'pydantic', 'yaml', 'rich'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_validate_imports_neither_pandas_nor_scipy_nor_a_framework(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    code = (
        "import sys\nfrom clrbench.cli import main\n"
        f"try:\n    main(['validate', {str(spec)!r}])\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'pandas', 'scipy', 'matplotlib', 'torch', 'tensorflow', 'keras', 'rich'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version(clrbench: Clrbench) -> None:
    assert package.__version__ in clrbench("--version").stdout


@pytest.mark.parametrize("command", ["compare", "range-test", "schedule", "validate", "parity"])
def test_a_broken_spec_is_a_usage_error_with_file_line_and_key(
    clrbench: Clrbench, tmp_path: Path, command: str
) -> None:
    spec = write_spec(tmp_path, model={"name": "mpl"})
    done = clrbench(command, spec)
    assert done.returncode == 2
    assert "model.name: got 'mpl'" in done.stderr
    assert "did you mean 'mlp'?" in done.stderr
    assert f"{spec}:" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["compare", "missing.yaml"], 2),
        (["compare", "--threads", "0"], 2),
        (["compare", "--device", "tpu"], 2),
        (["compare", "--executor", "ray"], 2),
        (["compar"], 2),
        (["report", "missing"], 1),
        (["validate"], 2),
    ],
)
def test_usage_errors(clrbench: Clrbench, arguments: list[str], code: int) -> None:
    done = clrbench(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_unreadable_data_is_a_failure_not_a_usage_error(clrbench: Clrbench, tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(b"no zip at all")
    done = clrbench("compare", write_spec(tmp_path, data={"dataset": "own.npz"}))
    assert done.returncode == 1
    assert "own.npz: cannot be read" in done.stderr
