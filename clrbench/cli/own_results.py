"""The commands between clrbench and a trainer of one's own: `judge`, `bounds` and `export`."""

from pathlib import Path
from typing import Any

import click

from clrbench.answer import Answer
from clrbench.cli.options import FILE, FOLDER, data_dir_option, quiet_option
from clrbench.cli.printing import answering


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return () if value is None else tuple(name.strip() for name in value.split(","))


def _at(_context: click.Context, _parameter: click.Parameter, value: str) -> int | str:
    if value in {"end", "best"}:
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"got {value!r}; allowed: end, best or the number of a step.")
    return int(value)


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--arm", metavar="COLUMN", help="The arm of a row.  [default: guessed and shown; else each file]")
@click.option("--arms", metavar="A,B,...", callback=_names, help="Columns that are arms, where a row is a pair.")
@click.option(
    "--pair", metavar="COLUMN", help="What pairs runs, such as the seed.  [default: guessed; without one, unpaired]"
)
@click.option("--metric", metavar="COLUMN", help="The number to compare.  [default: guessed and shown]")
@click.option("--step", metavar="COLUMN", help="Which row of a run, where it has several.  [default: guessed]")
@click.option(
    "--at", metavar="end|best|STEP", callback=_at, default="end", show_default=True, help="Which of them counts."
)
@click.option("--by", metavar="COLUMN", help="Groups, such as data sets: a verdict each, Holm over all.")
@click.option("--baseline", metavar="NAME", help="The arm that others are compared with.  [default: the first]")
@click.option("--lower-is-better", is_flag=True, default=None, help="For a loss.  [default: from the metric's name]")
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
@click.option("--fail-if", type=click.Choice(["worse", "not-better"]), help="Exit with 4 if any candidate is.")
@click.option(
    "--out", type=FOLDER, default=Path("judge"), show_default=True, help="The folder for tables, plot and page."
)
@answering
def judge(files: tuple[Path, ...], out: Path, fail_if: Any, **options: Any) -> Answer:
    """Give a verdict on results from any trainer: is one arm better than another?

    FILES are CSV, TSV or JSON lines, one row per run (or several); several files are read as one, or as one arm each.
    """
    from clrbench.analysis.own_results import Asked
    from clrbench.analysis.own_verdicts import Rules
    from clrbench.commands.judge import judge

    rules = Rules(**{name: options.pop(name) for name in ("baseline", "margin", "alpha", "look", "diverged_as")})
    return judge(files, Asked(**options), rules, out=out, fail_if=fail_if)


@click.command()
@click.argument("curves", type=FILE, nargs=-1, required=True)
@click.option("--lr", metavar="COLUMN", help="The learning rate.  [default: guessed and shown]")
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
    """Find rates in range-test curves from any trainer.

    CURVES are CSV, TSV or JSON files with a rising learning rate and a loss; accuracy improves the rates.
    """
    from clrbench.analysis.own_curves import CurveColumns
    from clrbench.commands.bounds import bounds

    return bounds(curves, CurveColumns.of(columns), out)


@click.command()
@click.argument("path", metavar="DIR|SPEC", type=click.Path(path_type=Path, exists=True))
@click.option("--arm", metavar="NAME", help="Which arm.  [default: the one that won]")
@click.option("--to", type=click.Choice(["torch", "keras", "csv"]), required=True, help="Code, or a table of rates.")
@click.option(
    "--backend", type=click.Choice(["torch", "keras"]), help="Whose rates.  [default: torch; keras --to keras]"
)
@click.option("--out", type=FILE, metavar="FILE", help="Write this file.  [default: print it]")
@data_dir_option
@quiet_option
@answering
def export(path: Path, arm: str | None, to: Any, backend: Any, out: Path | None, **options: Any) -> Answer:
    """Print the schedule of an arm as code that needs no clrbench, for a script of your own.

    It defines NUM_STEPS and lr(step), where step 0 is the first update. DIR is the results folder of an experiment; a SPEC is
    not trained.
    """
    from clrbench.commands.export import Wanted, export

    return export(path, Wanted(arm, to, backend), out, **options)


COMMANDS = (judge, bounds, export)
