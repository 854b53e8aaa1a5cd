"""The command line: each command parses its options, makes one call and prints the answer; `--help` imports nothing heavy."""

from itertools import chain

import click

from clrbench import __version__
from clrbench.cli import checks, data, experiments, own_results
from clrbench.cli.group import ReportingGroup
from clrbench.cli.printing import answering

__all__ = ["answering", "main"]


@click.group(cls=ReportingGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="clrbench")
def main() -> None:
    """What learning rate should I use, and does a cyclical one beat my constant one?"""


for _command in chain(experiments.COMMANDS, own_results.COMMANDS, checks.COMMANDS, data.COMMANDS):
    main.add_command(_command)
