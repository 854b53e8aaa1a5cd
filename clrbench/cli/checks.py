"""The commands that check: `validate`, `init` (a spec to start from), `parity` and `verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clrbench.answer import Answer
from clrbench.cli.options import FOLDER, SPEC, data_dir_option, job_of, out_option, quiet_option, setup
from clrbench.cli.printing import answering, print_error, printing
from clrbench.counted import counted
from clrbench.errors import SpecError

if TYPE_CHECKING:
    from clrbench.data import Library
    from clrbench.progress import Display


@click.command()
@click.argument("specs", type=SPEC, nargs=-1)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a spec, for editors.")
@data_dir_option
@printing
def validate(specs: tuple[Path, ...], schema: bool, library: "Library") -> Answer:
    """Check SPECS against what is allowed and against their data; trains nothing."""
    from clrbench.commands import validate

    if not schema:
        return validate.validate(specs, library, print_error)
    if specs:
        raise SpecError(
            f"--schema: got {counted(len(specs), 'spec')} as well, but it prints the schema and checks no spec; leave one of the "
            "two out"
        )
    return validate.schema()


@click.command()
@click.argument("name", default="experiment")
@printing
def init(name: str) -> Answer:
    """Write a commented spec to start from, as NAME.yaml."""
    from clrbench.commands.init import init

    return init(name)


@click.command()
@click.argument("spec", type=SPEC)
@out_option
@data_dir_option
@click.option("--steps", type=click.IntRange(1), default=100, show_default=True, help="Updates to compare.")
@quiet_option
@answering
def parity(steps: int, **options: Any) -> Answer:
    """Train the first steps of SPEC on torch and on Keras from the same weights, and set the losses side by side.

    The controls are each backend against itself, each weight randomly nudged by a few float32 roundings.
    """
    from clrbench.commands.parity import parity

    return parity(job_of(**options), steps)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--run", "run_id", metavar="RUN_ID", help="Which run.  [default: the one that takes the least training]")
@click.option("--all", "every", is_flag=True, help="All runs, including searches and range tests.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Where its data lies now.  [default: where the spec says]"
)
@data_dir_option
@quiet_option
@answering
def verify(
    folder: Path, run_id: str | None, every: bool, data: Path | None, library: "Library", display: "Display"
) -> Answer:
    """Retrain a finished run of FOLDER elsewhere, and say whether it matches or from which update it differs.

    Nothing in FOLDER changes. Exits with 1 where a run comes out different.
    """
    from clrbench.commands.verify import Wanted, verify

    return verify(folder, Wanted(run_id, every, data), library=library, display=display, setup=setup())


COMMANDS = (validate, init, parity, verify)
