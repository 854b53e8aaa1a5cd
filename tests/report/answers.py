"""What an answer looks like on a terminal, without its colours."""

from pathlib import Path

import click

from clrbench.analysis.glance import glance
from clrbench.analysis.tables import Findings
from clrbench.report.terminal import answer_text
from clrbench.report.text import foldable_warnings


def shown(findings: Findings, width: int = 100, *, details: bool = False) -> str:
    """Return the answer of an experiment as lines of at most so many columns."""
    warnings = list(foldable_warnings(findings))
    return click.unstyle(
        answer_text(glance(findings), findings, warnings, Path("results/demo"), width, details=details)
    )


def flowing(findings: Findings, *, details: bool = False) -> str:
    """Return the same with the words of all lines in one."""
    return " ".join(shown(findings, 109, details=details).split())
