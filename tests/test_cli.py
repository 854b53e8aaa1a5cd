"""The command line itself: help, versions, usage errors."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import Clrbench, write_spec

import clrbench as package
from clrbench import cli
from clrbench.answer import Answer, ExitCode
from clrbench.errors import SpecError


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


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Return what runs the command line, which has one more command for the time of a test."""
    monkeypatch.setattr(cli.main, "commands", dict(cli.main.commands))

    @cli.main.command("dummy")
    @click.argument("lr", type=float)
    @cli.answering
    def dummy(lr: float) -> Answer:
        """Answer a learning rate."""
        if lr < 0:
            raise SpecError(f"LR: got {lr:g}; allowed: 0 or more.")
        return Answer(f"lr {lr:g}", {"lr": lr}, ExitCode.NO_ANSWER if lr == 0 else ExitCode.DONE)

    return CliRunner()


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["0.1"], "lr 0.1\n", 0),
        (["0"], "lr 0\n", 3),
        (["0.1", "--json"], '{\n  "lr": 0.1\n}\n', 0),
        (["--", "-1"], "Error: LR: got -1; allowed: 0 or more.\n", 2),
    ],
)
def test_a_command_is_a_function_that_returns_an_answer(
    dummy: CliRunner, arguments: list[str], said: str, code: int
) -> None:
    done = dummy.invoke(cli.main, ["dummy", *arguments])
    assert (done.output, done.exit_code) == (said, code)
    assert "Answer a learning rate." in dummy.invoke(cli.main, ["--help"]).output


def test_version(clrbench: Clrbench) -> None:
    assert package.__version__ in clrbench("--version").stdout


@pytest.mark.parametrize("command", ["compare", "range-test", "schedule", "validate", "parity"])
def test_a_broken_spec_is_a_usage_error_with_file_line_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = write_spec(tmp_path, model={"name": "mpl"})
    done = CliRunner().invoke(cli.main, [command, str(spec)])
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert "model.name: got 'mpl'" in done.stderr
    assert "did you mean 'mlp'?" in done.stderr
    assert f"{spec}:" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["compare", "missing.yaml"], 2),
        (["compare", "--threads", "0"], 2),
        (["compare", "--device", "tpu"], 2),
        (["compare", "--executor", "ray"], 2),
        (["compare", "--allow-untuned"], 2),
        (["compar"], 2),
        (["report", "missing"], 1),
        (["validate"], 2),
    ],
)
def test_usage_errors(arguments: list[str], code: int) -> None:
    done = CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == code
    assert isinstance(done.exception, SystemExit)


def test_unreadable_data_is_a_failure_not_a_usage_error(clrbench: Clrbench, tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(b"no zip at all")
    done = clrbench("compare", write_spec(tmp_path, data={"dataset": "own.npz"}))
    assert done.returncode == 1
    assert "own.npz: cannot be read" in done.stderr
