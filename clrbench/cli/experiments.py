"""The commands on an experiment: `compare`, `range-test`, `report` and `schedule`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clrbench.answer import Answer
from clrbench.cli.options import FOLDER, SPEC, data_dir_option, details_option, job_of, out_option, running_options
from clrbench.cli.printing import answering

if TYPE_CHECKING:
    from clrbench.data import Library


def _shard(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    index, _, count = value.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"got {value!r}; allowed: K/N, K from 1 to N, such as 3/16.")
    return int(index), int(count)


@click.command()
@click.argument("spec", type=SPEC, required=False)
@out_option
@data_dir_option
@running_options
@click.option(
    "--shard",
    metavar="K/N",
    callback=_shard,
    help="Run only the K-th of N parts, without tables; clrbench report writes them when all parts are done.",
)
@click.option(
    "--fail-if",
    type=click.Choice(["worse", "not-better"]),
    help="Exit with 4 if any candidate is, in the metric of the verdict; beating an untuned baseline does not count.",
)
@click.option("--allow-untuned", is_flag=True, help="Let --fail-if not-better accept a win over an untuned baseline.")
@details_option
@answering
def compare(dry_run: bool, fail_if: Any, allow_untuned: bool, details: bool, **options: Any) -> Answer:
    """Train every arm of SPEC on the same seeds, and say which is better.

    Finished runs are not repeated. Without SPEC: the packaged demo on MNIST.
    """
    from clrbench.commands.compare import compare
    from clrbench.commands.report import Asked

    asked = Asked(fail_if, allow_untuned=allow_untuned, details=details)
    return compare(job_of(**options), asked, dry_run=dry_run)


@click.command("range-test")
@click.argument("spec", type=SPEC, required=False)
@out_option
@data_dir_option
@running_options
@details_option
@answering
def range_test(dry_run: bool, details: bool, **options: Any) -> Answer:
    """Find rates to train SPEC at with the LR range test, confirmed by training, or refuse and say why.

    Also known as LR finder or lr_find. Without SPEC: that of the packaged demo on MNIST.
    """
    from clrbench.commands.range_test import range_test

    return range_test(job_of(**options), dry_run=dry_run, details=details)


@click.command()
@click.argument("folders", type=FOLDER, nargs=-1, required=True)
@details_option
@answering
def report(folders: tuple[Path, ...], details: bool) -> Answer:
    """Rebuild tables, plots and page of the experiment in FOLDER from its runs, or set several FOLDERS side by side."""
    from clrbench.commands.report import report

    return report(folders, details=details)


@click.command()
@click.argument("spec", type=SPEC)
@out_option
@data_dir_option
@answering
def schedule(spec: Path, out: Path, library: "Library") -> Answer:
    """Preview the learning rate of each arm of SPEC: as text, table and plot; trains nothing."""
    from clrbench.commands.schedule import schedule

    return schedule(spec, out, library)


COMMANDS = (compare, range_test, report, schedule)
