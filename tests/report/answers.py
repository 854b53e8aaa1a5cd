"""What an answer looks like on a terminal, without its colours, and runs that it may be of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from runs_in_memory import results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.glance import glance
from clrbench.analysis.tables import Findings, analyse
from clrbench.report.terminal import answer_text
from clrbench.report.text import foldable_warnings
from clrbench.store import StoredRun


def shown(findings: Findings, width: int = 100, *, details: bool = False) -> str:
    """Return the answer of an experiment as lines of at most so many columns."""
    warnings = list(foldable_warnings(findings))
    return click.unstyle(
        answer_text(glance(findings), findings, warnings, Path("results/demo"), width, details=details)
    )


def flowing(findings: Findings, *, details: bool = False) -> str:
    """Return the same with the words of all lines in one."""
    return " ".join(shown(findings, 109, details=details).split())


def with_baselines(**baselines: str) -> Findings:
    """Return the findings of arms with these baselines, each better than the one before by 1 to 1.3 points."""
    arms = {name: CONSTANT | {"baseline": baseline} for name, baseline in baselines.items()}
    runs = [
        stored_run(arm, seed, {10: 0.7 + 0.01 * place + 0.001 * ((seed + place) % 4)})
        for place, arm in enumerate(arms)
        for seed in range(6)
    ]
    return analyse(results_of(runs, arms=arms, seeds=6))


def ending(arm: str, ends: Sequence[float], **changes: Any) -> list[StoredRun]:
    """Return runs that are evaluated after 2, 4 and 5 steps, with these accuracies at the end."""
    return [
        stored_run(arm, seed, {2: 0.4, 4: 0.6, 5: end}, steps_per_epoch=2, **changes) for seed, end in enumerate(ends)
    ]
