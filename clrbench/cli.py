"""The command line: parse, one call, print; the one place that turns errors into exit codes."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import click

from clrbench import __version__
from clrbench.errors import ClrbenchError, SpecError

if TYPE_CHECKING:
    from clrbench.data import Library
    from clrbench.experiment.fleet import Fleet

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_ANSWER = 3
EXIT_CONDITION_HOLDS = 4
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

SPEC = click.Path(path_type=Path, dir_okay=False)
F = TypeVar("F", bound=Callable[..., Any])


class Answer(Protocol):
    """What a command has to say."""

    @property
    def text(self) -> str:
        """In words, the answer first."""

    @property
    def data(self) -> dict[str, Any]:
        """As plain data for JSON."""

    @property
    def has_answer(self) -> bool:
        """Whether there is one."""


@runtime_checkable
class Conditional(Protocol):
    """An answer that a condition can be put to."""

    def fails_if(self, condition: Any) -> bool:
        """Return whether the condition holds."""


@runtime_checkable
class Refutable(Protocol):
    """An answer that may be that something is wrong."""

    @property
    def has_failed(self) -> bool:
        """Whether it is."""


class _Group(click.Group):
    """A group that turns errors into one message on stderr and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = shlex.join(["clrbench", *args])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        signal.signal(signal.SIGTERM, _terminate)
        try:
            return super().invoke(ctx)
        except ClrbenchError as err:
            click.echo(_printable("\n".join([f"Error: {err}", *_notes(err)])), err=True)
            ctx.exit(EXIT_USAGE if isinstance(err, SpecError) else EXIT_FAILED)
        except MemoryError as err:
            click.echo(
                f"Error: not enough memory ({err}); clrbench compare --dry-run says how much is needed", err=True
            )
            ctx.exit(EXIT_FAILED)
        except (KeyboardInterrupt, _Terminated) as stop:
            interrupted = isinstance(stop, KeyboardInterrupt)
            notes = _notes(stop)
            again = "This goes on from there" if notes else "To start it again"
            said = ["Stopped." if interrupted else "Terminated.", *notes, f"{again}: {ctx.obj}"]
            click.echo(" ".join(said), err=True)
            ctx.exit(EXIT_INTERRUPTED if interrupted else EXIT_TERMINATED)


def _printable(text: str) -> str:
    """Return a text with nothing in it that a terminal acts on; paths may hold anything."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def _notes(error: BaseException) -> list[str]:
    return [f"{note}." for note in getattr(error, "__notes__", [])]


class _Terminated(BaseException):
    """SIGTERM came; not an Exception, so that nothing on the way up takes it for an error."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clrbench")
def main() -> None:
    """What learning rate should I use, and does a cyclical one beat my constant one?"""


def _running_options(command: F) -> F:
    """Add the options that say how runs are made."""
    options = [
        click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: as the processors allow]"),
        click.option("--threads", type=click.IntRange(1), help="Threads of each run.  [default: 1]"),
        click.option(
            "--executor", type=click.Choice(["local"]), default="local", show_default=True, help="What makes the runs."
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            default="auto",
            show_default=True,
            help="What runs are made on; auto takes an accelerator where there is one.",
        ),
        click.option("--redo", is_flag=True, help="Make finished runs again, all of them, also after an interruption."),
        click.option("--dry-run", is_flag=True, help="Only say what would be done, and what it would cost."),
        click.option("--quiet", is_flag=True, help="Show no progress."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _out_option(command: F) -> F:
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("results"),
        show_default=True,
        help="The folder that holds a folder for each experiment.",
    )(command)


def _data_option(command: F) -> F:
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="CLRBENCH_DATA",
        show_envvar=True,
        help="The folder for data that is fetched or made.  [default: the user's cache]",
    )(command)


def _library(data_dir: Path | None) -> "Library":
    from clrbench.data import Library

    sources = os.environ.get("CLRBENCH_SOURCES")
    if not sources:
        return Library(data_dir and data_dir.resolve())
    from clrbench.spec import load_sources

    return Library(data_dir and data_dir.resolve(), load_sources(Path(sources)))


def _json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON document.")(command)


def _answering(command: Callable[..., Answer]) -> Callable[..., None]:
    """Print what a command returns, and exit with 3 where it has no answer."""

    @_json_option
    @wraps(command)
    def printing(*, as_json: bool, fail_if: str | None = None, **arguments: Any) -> None:
        if fail_if is not None and arguments.get("shard") is not None:
            raise click.UsageError(
                "--fail-if asks for a verdict, which --shard does not come to; leave one of them out."
            )
        answer = command(**arguments)
        click.echo(json.dumps(answer.data, indent=2) if as_json else answer.text)
        if not answer.has_answer:
            sys.exit(EXIT_NO_ANSWER)
        if isinstance(answer, Refutable) and answer.has_failed:
            sys.exit(EXIT_FAILED)
        if fail_if is not None and isinstance(answer, Conditional) and answer.fails_if(fail_if):
            sys.exit(EXIT_CONDITION_HOLDS)

    return printing


def _parse_shard(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    index, _, count = value.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"got {value!r}; allowed: K/N, K from 1 to N, such as 3/16.")
    return int(index), int(count)


@main.command()
@click.argument("spec", type=SPEC, required=False)
@_out_option
@_data_option
@_running_options
@click.option(
    "--shard",
    metavar="K/N",
    callback=_parse_shard,
    help="Make only the K-th of N parts of the runs, and no tables; clrbench report makes them when all are there.",
)
@click.option(
    "--fail-if",
    type=click.Choice(["worse", "not-better"]),
    help="Exit with 4 if any candidate is so, in the metric of the verdict.",
)
@_answering
def compare(spec: Path | None, dry_run: bool, **options: Any) -> Answer:
    """Train every arm of SPEC, in pairs, and say which is better.

    Runs that are finished are not made again. Without SPEC: the packaged demo on MNIST.
    """
    from clrbench.experiment import compare, preview

    fleet = _fleet(spec, **options)
    if dry_run:
        return preview.dry_run(fleet.experiment, fleet.options)
    if spec is None:
        fleet.display.note(preview.demo_line(preview.dry_run(fleet.experiment, fleet.options)))
    return compare.compare(fleet)


@main.command("range-test")
@click.argument("spec", type=SPEC, required=False)
@_out_option
@_data_option
@_running_options
@click.option("--check-length", is_flag=True, help="Sweep again at half the length, and say whether the bounds hold.")
@_answering
def range_test(spec: Path | None, dry_run: bool, check_length: bool, **options: Any) -> Answer:
    """Find base_lr and max_lr for SPEC with the LR range test, or refuse and say why.

    Also known as LR finder or lr_find. Without SPEC: that of the packaged demo on MNIST.
    """
    from clrbench.experiment import preview, range_test

    fleet = _fleet(spec, **options)
    if dry_run:
        return preview.dry_run(fleet.experiment, fleet.options, range_test_only=True, check_length=check_length)
    if spec is None:
        cost = preview.dry_run(fleet.experiment, fleet.options, range_test_only=True, check_length=check_length)
        fleet.display.note(preview.demo_line(cost))
    return range_test.run_range_tests(fleet, check_length=check_length)


def _fleet(spec: Path | None, *, out: Path, data_dir: Path | None, quiet: bool, **options: Any) -> "Fleet":
    from clrbench.experiment.fleet import Fleet, Options
    from clrbench.experiment.opening import open_experiment
    from clrbench.progress import Display

    options.pop("executor", None)
    fleet = Fleet(open_experiment(spec, out, _library(data_dir)), Options(**options), Display(quiet=quiet))
    for warning in fleet.experiment.warnings:
        fleet.display.note(f"Mind: {warning}")
    return fleet


@main.command()
@click.argument("folders", type=click.Path(path_type=Path, file_okay=False), nargs=-1, required=True)
@_answering
def report(folders: tuple[Path, ...]) -> Answer:
    """Rebuild tables, plots and page of the experiment in FOLDER from its runs, or set several FOLDERS side by side."""
    from clrbench.experiment.reporting import rebuild
    from clrbench.report.side_by_side import side_by_side

    return rebuild(folders[0]) if len(folders) == 1 else side_by_side(folders)


@main.command()
@click.argument("spec", type=SPEC)
@_out_option
@_data_option
@_answering
def schedule(spec: Path, out: Path, data_dir: Path | None) -> Answer:
    """Preview the learning rate of each arm of SPEC: as text, table and plot; trains nothing."""
    from clrbench.experiment.opening import open_experiment
    from clrbench.experiment.preview import preview_schedules

    return preview_schedules(open_experiment(spec, out, _library(data_dir)))


@main.command()
@click.argument("specs", type=SPEC, nargs=-1)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a spec, for editors.")
@_data_option
def validate(specs: tuple[Path, ...], schema: bool, data_dir: Path | None) -> None:
    """Check SPECS against what is allowed and against their data; trains nothing."""
    if schema:
        from clrbench.spec import json_schema

        click.echo(json.dumps(json_schema(), indent=2))
        return
    if not specs:
        raise click.UsageError("Missing argument 'SPECS...', or --schema.")
    from clrbench.experiment.opening import DEFAULT_RESULTS, open_experiment

    library = _library(data_dir)
    errors: list[ClrbenchError] = []
    for path in specs:
        try:
            experiment = open_experiment(path, DEFAULT_RESULTS, library)
        except ClrbenchError as err:
            errors.append(err)
            continue
        click.echo(f"{path}: good")
        for warning in experiment.warnings:
            click.echo(f"{path}: mind: {warning}")
    if errors:
        usage = any(isinstance(err, SpecError) for err in errors)
        raise (SpecError if usage else ClrbenchError)("\n".join(str(err) for err in errors))


@main.command()
@click.argument("name", default="experiment")
def init(name: str) -> None:
    """Write a commented spec to start from, as NAME.yaml."""
    from clrbench.experiment.starting import write_starter

    path = write_starter(name)
    click.echo(f"{path} written; run clrbench compare {path}")


@main.command()
@click.argument("spec", type=SPEC)
@_out_option
@_data_option
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Updates to set side by side.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@_answering
def parity(spec: Path, steps: int, **options: Any) -> Answer:
    """Train the first steps of SPEC on torch and on Keras from the same weights, and set the losses side by side.

    The controls are each backend against itself, every weight moved at random by a few float32 roundings.
    """
    from clrbench.experiment.parity import compare_backends

    return compare_backends(_fleet(spec, **options), steps)


@main.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--run", "run_id", metavar="RUN_ID", help="Which run.  [default: the one that takes the least training]")
@click.option("--all", "every", is_flag=True, help="All runs, those of searches and range tests too.")
@_data_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
@_answering
def verify_runs(folder: Path, run_id: str | None, every: bool, data_dir: Path | None, quiet: bool) -> Answer:
    """Make a finished run of FOLDER once more, elsewhere, and say whether it comes out the same, and if not, where it parts.

    Nothing in FOLDER changes. Exits with 1 where a run comes out different.
    """
    if run_id is not None and every:
        raise click.UsageError("--run and --all exclude each other; leave one of them out.")
    from clrbench.experiment.verification import verify
    from clrbench.progress import Display

    return verify(folder, run_id=run_id, every=every, library=_library(data_dir), display=Display(quiet=quiet))


@main.group()
def data() -> None:
    """Say what data is here, fetch it, check it, and measure how fast it reaches the network."""


@data.command("list")
@_data_option
@_answering
def list_data(data_dir: Path | None) -> Answer:
    """List the data sets that have names: rows, shape, size, licence, where they lie, verified or not."""
    from clrbench.experiment.datasets import list_datasets

    return list_datasets(_library(data_dir))


@data.command()
@click.argument("name")
@_data_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
@_answering
def fetch(name: str, data_dir: Path | None, quiet: bool) -> Answer:
    """Fetch the data set NAME, or make it, unless it is here; verify and convert it."""
    from clrbench.experiment.datasets import fetch_dataset
    from clrbench.progress import Display

    return fetch_dataset(_library(data_dir), name, Display(quiet=quiet).counting)


@data.command()
@click.argument("name")
@_data_option
@_answering
def verify(name: str, data_dir: Path | None) -> Answer:
    """Check every byte of the data set NAME against its checksums."""
    from clrbench.experiment.datasets import verify_dataset

    return verify_dataset(_library(data_dir), name)


@data.command()
@click.argument("spec", type=SPEC)
@_out_option
@_data_option
@click.option("--threads", type=click.IntRange(1), help="Threads of each backend.  [default: 1]")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@_answering
def bench(spec: Path, **options: Any) -> Answer:
    """Measure how many images a second each input pipeline brings to the network of SPEC, alone and in training."""
    from clrbench.experiment.data_bench import bench_pipelines

    return bench_pipelines(_fleet(spec, **options))
