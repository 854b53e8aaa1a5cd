"""Options that several commands share, and what their values become."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from clrbench.commands.setup import Job, Setup
    from clrbench.data import Library
    from clrbench.execution.placement import Devices
    from clrbench.progress import Display

SPEC = click.Path(path_type=Path, dir_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
DEVICE = click.Choice(["auto", "cpu", "cuda", "mps"])
EXECUTOR = click.Choice(["local", "ray"])

F = TypeVar("F", bound=Callable[..., object])


def _library(_context: click.Context, _parameter: click.Parameter, data_dir: Path | None) -> "Library":
    from clrbench.spec import library_from_environment

    return library_from_environment(data_dir)


def _devices(_context: click.Context, _parameter: click.Parameter, value: str | None) -> "Devices | None":
    from clrbench.execution.placement import parse_devices

    return None if value is None else parse_devices(value)


def _address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from clrbench.execution.placement import parse_address

    return None if value is None else parse_address(value)


def _display(_context: click.Context, _parameter: click.Parameter, quiet: bool) -> "Display":
    from clrbench.progress import Display

    return Display(quiet=quiet)


out_option = click.option(
    "--out", type=FOLDER, default=Path("results"), show_default=True, help="Parent folder of the experiments."
)
data_dir_option = click.option(
    "--data-dir",
    "library",
    type=FOLDER,
    callback=_library,
    help="The folder for downloaded or generated data.  [default: the user's cache]  [env var: CLRBENCH_DATA]",
)
details_option = click.option(
    "--details", is_flag=True, help="Print every table and note behind the answer, and all warnings."
)
quiet_option = click.option("--quiet", "display", is_flag=True, callback=_display, help="Show no progress.")


def running_options(command: F) -> F:
    """Add the options that say how runs are made."""
    options = (
        click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: as the processors allow]"),
        click.option("--threads", type=click.IntRange(1), help="Threads of each run.  [default: 1]"),
        click.option(
            "--device", type=DEVICE, default="auto", show_default=True, help="auto: an accelerator if available."
        ),
        click.option(
            "--devices",
            metavar="all|0,1,2",
            callback=_devices,
            help="One worker for each of these accelerators of this machine, pinned to it.",
        ),
        click.option(
            "--executor",
            type=EXECUTOR,
            default="local",
            show_default=True,
            help="ray: many machines, as a Ray cluster.",
        ),
        click.option(
            "--ray-address",
            metavar="HOST:PORT",
            callback=_address,
            help="The Ray cluster to use, or auto.  [default: a Ray of this machine alone]",
        ),
        click.option("--redo", is_flag=True, help="Redo all finished runs, even after an interruption."),
        click.option("--dry-run", is_flag=True, help="Only say what would be done, and what it would cost."),
        quiet_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def setup() -> "Setup":
    """Return what a program handed to `main` as `obj`, or the default."""
    from clrbench.commands.setup import Setup

    return click.get_current_context().find_object(Setup) or Setup()


def job_of(spec: Path | None, out: Path, library: "Library", display: "Display", **options: Any) -> "Job":
    """Return what a command is asked to do, by its options."""
    from clrbench.commands.setup import Job
    from clrbench.execution.runner import Options

    return Job(spec, out, library, Options(**options), display, setup())
