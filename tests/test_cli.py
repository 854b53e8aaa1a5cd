"""The command line itself: help, versions, usage errors."""

import errno
import io
import json
import os
import signal
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


def test_a_number_that_json_lacks_is_never_printed(dummy: CliRunner) -> None:
    done = dummy.invoke(cli.main, ["dummy", "inf", "--json"])
    assert "Infinity" not in done.output
    assert done.exit_code == 1


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
        (["compare", "--executor", "dask"], 2),
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


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            errno.ENOSPC,
            1,
            "Error: stdout: the answer cannot be written (No space left on device); what was made is kept; ",
        ),
        (errno.EIO, 1, "Error: stdout: the answer cannot be written (Input/output error); what was made is kept; "),
        (errno.EPIPE, 1, ""),
    ],
)
def test_an_answer_that_cannot_be_written(
    error: int, code: int, said: str, dummy: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = click.echo

    def refused(message: str | None = None, *, nl: bool = True, err: bool = False, color: bool | None = None) -> None:
        if not err:
            raise OSError(error, os.strerror(error))
        echo(message, nl=nl, err=err, color=color)

    monkeypatch.setattr(click, "echo", refused)
    done = dummy.invoke(cli.main, ["dummy", "0.5"])
    assert done.exit_code == code
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == bool(said)


@pytest.mark.usefixtures("dummy")
def test_an_answer_without_a_stdout_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as after `>&-`
    with pytest.raises(SystemExit) as end:
        cli.main(["dummy", "0.5"])
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: stdout: the answer cannot be written (it is closed); what was made is kept; ")


def test_what_the_system_refuses_is_one_line(dummy: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "some/file")

    monkeypatch.setattr(json, "dumps", refused)
    done = dummy.invoke(cli.main, ["dummy", "0.5", "--json"])
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: some/file: the operating system refused it (Too many open files); raise the limit of open files (ulimit -n); "
        "what was finished is kept\n"
    )


def test_a_name_beyond_the_characters_of_a_terminal_is_shown_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="latin-1") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "žluťoučký.yaml"
        write_spec(tmp_path).rename(path)
        with pytest.raises(SystemExit) as end:
            cli.main(["validate", path.name])
        assert end.value.code == 0
        stdout.flush()
        assert raw.getvalue().startswith(b"\\u017elu\\u0165ou\\u010dk\xfd.yaml: good\n")


def test_hanging_up_is_like_being_terminated_unless_it_is_ignored(
    dummy: CliRunner,
) -> None:
    @cli.main.command("hang")
    @cli.answering
    def hang() -> Answer:
        """Hang up."""
        signal.raise_signal(signal.SIGHUP)
        return Answer("still here", {})

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
        done = dummy.invoke(cli.main, ["hang"])
        assert done.exit_code == ExitCode.TERMINATED
        assert done.stderr == "Terminated. To start it again: clrbench hang\n"
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert dummy.invoke(cli.main, ["hang"]).output == "still here\n"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
