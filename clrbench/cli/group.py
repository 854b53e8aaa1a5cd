"""What becomes of errors and signals: one message on stderr and an exit code."""

import errno
import shlex
import sys
import warnings
from io import TextIOWrapper
from typing import Any

import click

from clrbench.answer import ExitCode
from clrbench.cli.printing import print_error, print_note
from clrbench.cli.stopping import Stop, Terminated
from clrbench.errors import ClrbenchError, SpecError
from clrbench.silence import silence_libraries


class ReportingGroup(click.Group):
    """A group that turns errors into one message on stderr and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the command line as it was typed, for what is said where it was stopped."""
        ctx.meta["clrbench.command_line"] = shlex.join(["clrbench", *args])
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run, whatever characters the terminal can show, and without what libraries say of themselves."""
        if sys.platform == "win32":
            sys.exit(
                "Error: clrbench runs on Linux and macOS; on Windows, run it in WSL (the Windows Subsystem for Linux)"
            )
        for stream in (sys.stdout, sys.stderr):
            # A name may hold what a terminal of few characters cannot show, or half a character.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        with warnings.catch_warnings():
            silence_libraries()
            return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error, an interrupt or a termination ends in one message and its exit code."""
        Stop().handle_signals()
        try:
            return super().invoke(ctx)
        except ClrbenchError as err:
            print_error("\n".join([str(err), *_notes(err)]))
            ctx.exit(ExitCode.USAGE if isinstance(err, SpecError) else ExitCode.FAILED)
        except MemoryError as err:
            print_error(f"not enough memory ({err}); clrbench compare --dry-run says how much is needed")
            ctx.exit(ExitCode.FAILED)
        except OSError as err:
            what = f"{err.filename}: " if err.filename else ""
            more = "; raise the limit of open files (ulimit -n)" if err.errno in {errno.EMFILE, errno.ENFILE} else ""
            print_error(
                f"{what}the operating system refused it ({err.strerror or err}){more}; what was finished is kept"
            )
            ctx.exit(ExitCode.FAILED)
        except (KeyboardInterrupt, Terminated) as stop:
            interrupted, notes = isinstance(stop, KeyboardInterrupt), _notes(stop)
            again = "This continues from there" if notes else "To start it again"
            said = "Stopped." if interrupted else "Terminated."
            print_note(" ".join([said, *notes, f"{again}: {ctx.meta['clrbench.command_line']}"]))
            ctx.exit(ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED)


def _notes(error: BaseException) -> list[str]:
    return [f"{note}." for note in getattr(error, "__notes__", [])]
