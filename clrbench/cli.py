"""The command line: each command parses its options, makes one call and prints the answer; `--help` imports nothing heavy."""

import errno
import json
import os
import shlex
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clrbench import __version__
from clrbench.answer import PLAIN_COLUMNS, Answer, ExitCode
from clrbench.errors import ClrbenchError, OutputError, SpecError
from clrbench.silence import silence_libraries

if TYPE_CHECKING:
    from clrbench.commands.setup import Job, Setup
    from clrbench.data import Library
    from clrbench.progress import Display

SPEC = click.Path(path_type=Path, dir_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
DEVICE = click.Choice(["auto", "cpu", "cuda", "mps"])

F = TypeVar("F", bound=Callable[..., object])


class _Terminated(BaseException):
    """SIGTERM or SIGHUP came; not an Exception, so that nothing on the way up takes it for an error."""


def _terminate(_signal: int, _frame: object) -> None:
    raise _Terminated


class _Group(click.Group):
    """A group that turns errors into one message on stderr and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["clrbench.command_line"] = shlex.join(["clrbench", *args])
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            # A name may hold what a terminal of few characters cannot show, or half a character.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        with warnings.catch_warnings():
            silence_libraries()
            return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> object:
        signal.signal(signal.SIGTERM, _terminate)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is under nohup
            signal.signal(signal.SIGHUP, _terminate)
        try:
            return super().invoke(ctx)
        except ClrbenchError as err:
            _print_error("\n".join([str(err), *_notes(err)]))
            ctx.exit(ExitCode.USAGE if isinstance(err, SpecError) else ExitCode.FAILED)
        except MemoryError as err:
            _print_error(f"not enough memory ({err}); clrbench compare --dry-run says how much is needed")
            ctx.exit(ExitCode.FAILED)
        except OSError as err:
            what = f"{err.filename}: " if err.filename else ""
            more = "; raise the limit of open files (ulimit -n)" if err.errno in {errno.EMFILE, errno.ENFILE} else ""
            _print_error(f"{what}the system refuses it ({err.strerror or err}){more}; what was finished is kept")
            ctx.exit(ExitCode.FAILED)
        except (KeyboardInterrupt, _Terminated) as stop:
            interrupted, notes = isinstance(stop, KeyboardInterrupt), _notes(stop)
            again = "This continues from there" if notes else "To start it again"
            said = "Stopped." if interrupted else "Terminated."
            _say(" ".join([said, *notes, f"{again}: {ctx.meta['clrbench.command_line']}"]))
            ctx.exit(ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED)


def _print_error(text: str) -> None:
    """Print an error, without anything that a terminal acts on: paths may hold any character."""
    shown = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
    _say(f"Error: {shown}")


def _say(text: str) -> None:
    """Print a line on stderr, if there is anybody left to read it."""
    with suppress(OSError):
        click.echo(text, err=True)


def _print_answer(text: str) -> None:
    """Print on stdout; raise OutputError where that cannot be written, unless its reader has merely gone."""
    try:
        # Where there is no terminal, the codes that colour it are left out.
        click.echo(text, nl=bool(text), color=False if "NO_COLOR" in os.environ else None)
    except OSError as err:
        # What is left in the buffer must not be tried again when the interpreter ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if err.errno == errno.EPIPE:
            sys.exit(ExitCode.FAILED)
        raise OutputError(
            f"stdout: the answer cannot be written ({err.strerror}); what was made is kept; free the place, or print elsewhere, "
            "and run the same command again"
        ) from err


def _notes(error: BaseException) -> list[str]:
    return [f"{note}." for note in getattr(error, "__notes__", [])]


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clrbench")
def main() -> None:
    """What learning rate should I use, and does a cyclical one beat my constant one?"""


def _library(_context: click.Context, _parameter: click.Parameter, data_dir: Path | None) -> "Library":
    from clrbench.data import Library
    from clrbench.spec import load_sources

    sources = os.environ.get("CLRBENCH_SOURCES")
    return Library(data_dir and data_dir.resolve(), load_sources(Path(sources)) if sources else ())


def _display(_context: click.Context, _parameter: click.Parameter, quiet: bool) -> "Display":
    from clrbench.progress import Display

    return Display(quiet=quiet)


def _shard(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    index, _, count = value.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"got {value!r}; allowed: K/N, K from 1 to N, such as 3/16.")
    return int(index), int(count)


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return () if value is None else tuple(name.strip() for name in value.split(","))


def _at(_context: click.Context, _parameter: click.Parameter, value: str) -> int | str:
    if value in {"end", "best"}:
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"got {value!r}; allowed: end, best or the number of a step.")
    return int(value)


_out = click.option(
    "--out", type=FOLDER, default=Path("results"), show_default=True, help="Where each experiment has its folder."
)
_data_dir = click.option(
    "--data-dir",
    "library",
    type=FOLDER,
    envvar="CLRBENCH_DATA",
    show_envvar=True,
    callback=_library,
    help="The folder for data that is fetched or made.  [default: the user's cache]",
)
_details = click.option(
    "--details", is_flag=True, help="Print every table and note behind the answer, and all warnings."
)
_quiet = click.option("--quiet", "display", is_flag=True, callback=_display, help="Show no progress.")


def _running_options(command: F) -> F:
    """Add the options that say how runs are made."""
    options = (
        click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: as the processors allow]"),
        click.option("--threads", type=click.IntRange(1), help="Threads of each run.  [default: 1]"),
        click.option(
            "--device", type=DEVICE, default="auto", show_default=True, help="auto: an accelerator where there is one."
        ),
        click.option("--redo", is_flag=True, help="Make finished runs again, all of them, also after an interruption."),
        click.option("--dry-run", is_flag=True, help="Only say what would be done, and what it would cost."),
        _quiet,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _printing(command: Callable[..., Answer]) -> Callable[..., None]:
    """Print what a command returns, as text or as JSON, and exit with its code."""

    @wraps(command)
    def printing(*, as_json: bool = False, **arguments: object) -> None:
        answer = command(**arguments)
        _print_answer(json.dumps(answer.data, indent=2) if as_json else answer.shown(_columns()))
        sys.exit(answer.exit_code)

    return printing


def _columns() -> int:
    """Return how many columns the answer may take: those of the terminal, or 100 where there is none."""
    if "COLUMNS" in os.environ or sys.stdout.isatty():
        return shutil.get_terminal_size((PLAIN_COLUMNS, 24)).columns
    return PLAIN_COLUMNS


def answering(command: Callable[..., Answer]) -> Callable[..., None]:
    """Return a command that prints what the given one returns, as text or with `--json` as JSON, and exits with its code."""
    option = click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON document.")
    return option(_printing(command))


def _setup() -> "Setup":
    """Return what a program handed to `main` as `obj`, or the default."""
    from clrbench.commands.setup import Setup

    return click.get_current_context().find_object(Setup) or Setup()


def _job(spec: Path | None, out: Path, library: "Library", display: "Display", **options: Any) -> "Job":
    from clrbench.commands.setup import Job
    from clrbench.execution.runner import Options

    return Job(spec, out, library, Options(**options), display, _setup())


@main.command()
@click.argument("spec", type=SPEC, required=False)
@_out
@_data_dir
@_running_options
@click.option(
    "--shard",
    metavar="K/N",
    callback=_shard,
    help="Make only the K-th of N parts of the runs, and no tables; clrbench report makes them when all are there.",
)
@click.option(
    "--fail-if",
    type=click.Choice(["worse", "not-better"]),
    help="Exit with 4 if any candidate is so, in the metric of the verdict; better than an untuned baseline is not better.",
)
@click.option(
    "--allow-untuned", is_flag=True, help="Let --fail-if not-better pass what is better than an untuned baseline."
)
@_details
@answering
def compare(dry_run: bool, fail_if: Any, allow_untuned: bool, details: bool, **options: Any) -> Answer:
    """Train every arm of SPEC, in pairs, and say which is better.

    Runs that are finished are not made again. Without SPEC: the packaged demo on MNIST.
    """
    from clrbench.commands.compare import compare
    from clrbench.commands.report import Asked

    asked = Asked(fail_if, allow_untuned=allow_untuned, details=details)
    return compare(_job(**options), asked, dry_run=dry_run)


@main.command("range-test")
@click.argument("spec", type=SPEC, required=False)
@_out
@_data_dir
@_running_options
@_details
@answering
def range_test(dry_run: bool, details: bool, **options: Any) -> Answer:
    """Find rates to train SPEC at with the LR range test, confirmed by training, or refuse and say why.

    Also known as LR finder or lr_find. Without SPEC: that of the packaged demo on MNIST.
    """
    from clrbench.commands.range_test import range_test

    return range_test(_job(**options), dry_run=dry_run, details=details)


@main.command()
@click.argument("folders", type=FOLDER, nargs=-1, required=True)
@_details
@answering
def report(folders: tuple[Path, ...], details: bool) -> Answer:
    """Rebuild tables, plots and page of the experiment in FOLDER from its runs, or set several FOLDERS side by side."""
    from clrbench.commands.report import report

    return report(folders, details=details)


@main.command()
@click.argument("spec", type=SPEC)
@_out
@_data_dir
@answering
def schedule(spec: Path, out: Path, library: "Library") -> Answer:
    """Preview the learning rate of each arm of SPEC: as text, table and plot; trains nothing."""
    from clrbench.commands.schedule import schedule

    return schedule(spec, out, library)


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--arm", metavar="COLUMN", help="The arm of a row.  [default: guessed, and said; else each file]")
@click.option("--arms", metavar="A,B,...", callback=_names, help="Columns that are arms, where a row is a pair.")
@click.option(
    "--pair", metavar="COLUMN", help="What pairs runs, such as the seed.  [default: guessed; without one, unpaired]"
)
@click.option("--metric", metavar="COLUMN", help="The number to compare.  [default: guessed, and said]")
@click.option("--step", metavar="COLUMN", help="Which row of a run, where it has several.  [default: guessed]")
@click.option(
    "--at", metavar="end|best|STEP", callback=_at, default="end", show_default=True, help="Which of them counts."
)
@click.option("--by", metavar="COLUMN", help="Groups, such as data sets: a verdict each, Holm over all.")
@click.option("--baseline", metavar="NAME", help="The arm that others are compared with.  [default: the first]")
@click.option(
    "--lower-is-better", is_flag=True, default=None, help="As of a loss.  [default: by the metric's name, said]"
)
@click.option(
    "--margin", type=click.FloatRange(min=0), help="Differences up to this size do not matter.  [default: none]"
)
@click.option(
    "--alpha", type=click.FloatRange(0, 1, True, True), default=0.05, show_default=True, help="Risk of a false verdict."
)
@click.option(
    "--look", type=click.IntRange(1), default=1, show_default=True, help="Index of this look; alpha is divided by it."
)
@click.option("--diverged-as", type=float, help="What nan counts as.  [default: left out, never in its arm's favour]")
@click.option("--fail-if", type=click.Choice(["worse", "not-better"]), help="Exit with 4 if any candidate is so.")
@click.option(
    "--out", type=FOLDER, default=Path("judge"), show_default=True, help="The folder for tables, plot and page."
)
@answering
def judge(files: tuple[Path, ...], out: Path, fail_if: Any, **options: Any) -> Answer:
    """Give a verdict on results that any trainer wrote: is one arm better than another?

    FILES are CSV, TSV or JSON lines, a row a run (or several a run); several files are read as one, or as an arm each.
    """
    from clrbench.analysis.own_results import Asked
    from clrbench.analysis.own_verdicts import Rules
    from clrbench.commands.judge import judge

    rules = Rules(**{name: options.pop(name) for name in ("baseline", "margin", "alpha", "look", "diverged_as")})
    return judge(files, Asked(**options), rules, out=out, fail_if=fail_if)


@main.command()
@click.argument("curves", type=FILE, nargs=-1, required=True)
@click.option("--lr", metavar="COLUMN", help="The learning rate.  [default: guessed, and said]")
@click.option("--loss", metavar="COLUMN", help="The loss.  [default: that of validation rows, else of mini-batches]")
@click.option("--accuracy", metavar="COLUMN", help="The accuracy.  [default: likewise; the loss alone is enough]")
@click.option(
    "--seed", metavar="COLUMN", help="Which sweep a row belongs to.  [default: a column seed or run, or each file]"
)
@click.option(
    "--out", type=FOLDER, default=Path("bounds"), show_default=True, help="The folder for rates, curve and plot."
)
@answering
def bounds(curves: tuple[Path, ...], out: Path, **columns: str | None) -> Answer:
    """Find rates in the curves of a range test that any trainer wrote.

    CURVES are CSV, TSV or JSON files with a learning rate that rises, and a loss; accuracy makes them better.
    """
    from clrbench.analysis.own_curves import CurveColumns
    from clrbench.commands.bounds import bounds

    return bounds(curves, CurveColumns.of(columns), out)


@main.command()
@click.argument("path", metavar="DIR|SPEC", type=click.Path(path_type=Path, exists=True))
@click.option("--arm", metavar="NAME", help="Which arm.  [default: the one that won]")
@click.option("--to", type=click.Choice(["torch", "keras", "csv"]), required=True, help="Code, or a table of rates.")
@click.option(
    "--backend", type=click.Choice(["torch", "keras"]), help="Whose rates.  [default: torch; keras --to keras]"
)
@click.option("--out", type=FILE, metavar="FILE", help="Write this file.  [default: print it]")
@_data_dir
@_quiet
@answering
def export(path: Path, arm: str | None, to: Any, backend: Any, out: Path | None, **options: Any) -> Answer:
    """Print the schedule of an arm as code that needs no clrbench, for a script of your own.

    It defines NUM_STEPS and lr(step), from step 0, the first update, on. DIR is the results folder of an experiment; of a SPEC
    nothing is trained.
    """
    from clrbench.commands.export import Wanted, export

    return export(path, Wanted(arm, to, backend), out, **options)


@main.command()
@click.argument("specs", type=SPEC, nargs=-1)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a spec, for editors.")
@_data_dir
@_printing
def validate(specs: tuple[Path, ...], schema: bool, library: "Library") -> Answer:
    """Check SPECS against what is allowed and against their data; trains nothing."""
    from clrbench.commands import validate

    return validate.schema() if schema else validate.validate(specs, library, _print_error)


@main.command()
@click.argument("name", default="experiment")
@_printing
def init(name: str) -> Answer:
    """Write a commented spec to start from, as NAME.yaml."""
    from clrbench.commands.init import init

    return init(name)


@main.command()
@click.argument("spec", type=SPEC)
@_out
@_data_dir
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Updates to set side by side.")
@_quiet
@answering
def parity(steps: int, **options: Any) -> Answer:
    """Train the first steps of SPEC on torch and on Keras from the same weights, and set the losses side by side.

    The controls are each backend against itself, every weight moved at random by a few float32 roundings.
    """
    from clrbench.commands.parity import parity

    return parity(_job(**options), steps)


@main.command()
@click.argument("folder", type=FOLDER)
@click.option("--run", "run_id", metavar="RUN_ID", help="Which run.  [default: the one that takes the least training]")
@click.option("--all", "every", is_flag=True, help="All runs, those of searches and range tests too.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Where its data lies now.  [default: where the spec says]"
)
@_data_dir
@_quiet
@answering
def verify(
    folder: Path, run_id: str | None, every: bool, data: Path | None, library: "Library", display: "Display"
) -> Answer:
    """Make a finished run of FOLDER once more, elsewhere, and say whether it comes out the same, and if not, where it parts.

    Nothing in FOLDER changes. Exits with 1 where a run comes out different.
    """
    from clrbench.commands.verify import Wanted, verify

    return verify(folder, Wanted(run_id, every, data), library=library, display=display, setup=_setup())


@main.group()
def data() -> None:
    """Say what data is here, fetch it, check it, and measure how fast it reaches the network."""


@data.command("list")
@_data_dir
@answering
def list_data(library: "Library") -> Answer:
    """List the data sets that have names: rows, shape, size, licence, where they lie, verified or not."""
    from clrbench.commands.data import list_datasets

    return list_datasets(library)


@data.command("fetch")
@click.argument("name")
@_data_dir
@_quiet
@answering
def fetch_data(name: str, library: "Library", display: "Display") -> Answer:
    """Fetch the data set NAME, or make it, unless it is here; verify and convert it."""
    from clrbench.commands.data import fetch_dataset

    return fetch_dataset(library, name, display.counting)


@data.command("verify")
@click.argument("name")
@_data_dir
@answering
def verify_data(name: str, library: "Library") -> Answer:
    """Check every byte of the data set NAME against its checksums."""
    from clrbench.commands.data import verify_dataset

    return verify_dataset(library, name)


@data.command("bench")
@click.argument("spec", type=SPEC)
@_out
@_data_dir
@click.option("--threads", type=click.IntRange(1), help="Threads of each backend.  [default: 1]")
@_quiet
@answering
def bench_data(**options: Any) -> Answer:
    """Measure how many images a second each input pipeline brings to the network of SPEC, alone and in training."""
    from clrbench.commands.data_bench import bench_pipelines

    return bench_pipelines(_job(**options))
