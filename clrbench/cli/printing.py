"""How an answer is printed on stdout, and an error on stderr."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps

import click

from clrbench.answer import PLAIN_COLUMNS, Answer, ExitCode
from clrbench.errors import OutputError


def print_error(text: str) -> None:
    """Print an error, without anything that a terminal acts on: paths may hold any character."""
    shown = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
    print_note(f"Error: {shown}")


def print_note(text: str) -> None:
    """Print a line on stderr, if there is anybody left to read it."""
    with suppress(OSError):
        click.echo(text, err=True)


def printing(command: Callable[..., Answer]) -> Callable[..., None]:
    """Print what a command returns, as text or as JSON, and exit with its code."""

    @wraps(command)
    def printing(*, as_json: bool = False, **arguments: object) -> None:
        answer = command(**arguments)
        _print_answer(json.dumps(answer.data, indent=2, allow_nan=False) if as_json else answer.shown(_columns()))
        sys.exit(answer.exit_code)

    return printing


def _columns() -> int:
    """Return how many columns the answer may take: those of the terminal, or 100 where there is none."""
    if "COLUMNS" in os.environ or (sys.stdout is not None and sys.stdout.isatty()):
        return shutil.get_terminal_size((PLAIN_COLUMNS, 24)).columns
    return PLAIN_COLUMNS


def answering(command: Callable[..., Answer]) -> Callable[..., None]:
    """Return a command that prints what the given one returns, as text or with `--json` as JSON, and exits with its code."""
    option = click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON document.")
    return option(printing(command))


def _print_answer(text: str) -> None:
    """Print on stdout; raise OutputError where that cannot be written, unless its reader has merely gone."""
    if sys.stdout is None and text:
        raise _unwritten("it is closed")
    try:
        # Where there is no terminal, the codes that colour it are left out.
        click.echo(text, nl=bool(text), color=False if "NO_COLOR" in os.environ else None)
    except OSError as err:
        # What is left in the buffer must not be tried again when the interpreter ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if err.errno == errno.EPIPE:
            sys.exit(ExitCode.FAILED)
        raise _unwritten(str(err.strerror)) from err


def _unwritten(why: str) -> OutputError:
    return OutputError(
        f"stdout: the answer cannot be written ({why}); what was made is kept; free some space or print elsewhere, "
        "and run the same command again"
    )
