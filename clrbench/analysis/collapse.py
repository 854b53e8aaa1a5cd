"""Runs that collapsed: they know no more in the end than a blind guess does."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from math import sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd

from clrbench.analysis.pairs import Contest, paired_seeds
from clrbench.analysis.results import Results
from clrbench.stats import highest_unseen_rate
from clrbench.store import RunKey, StoredRun

_STANDARD_ERRORS = 3


@dataclass(frozen=True)
class ArmCollapse:
    """A row of collapse.csv: how many runs of an arm collapsed.

    Attributes:
        diverged: How many of the collapsed runs diverged.
        blind_accuracy: Accuracy on test rows up to which a run has collapsed; see the function of this name.
        possible_rate: Highest rate of collapse that so many runs without one leave possible, at 95 %; nan where any collapsed.
    """

    backend: str
    arm: str
    runs: int
    collapsed: int
    diverged: int
    blind_accuracy: float
    possible_rate: float


COLLAPSE_COLUMNS = tuple(field.name for field in fields(ArmCollapse))


class Collapsed(NamedTuple):
    """In how many pairs of a comparison each arm collapsed."""

    candidate: int
    baseline: int


def blind_accuracy(rows_by_class: Sequence[int]) -> float:
    """Return the accuracy that a blind guess may reach: the share of the largest class and 3 standard errors.

    That share is at least chance. Where rows are so few, or so nearly of one class, that the standard errors reach past 1,
    they are left out: then not even the best run could tell itself from a guess.

    Args:
        rows_by_class: How many rows each class has; at least one class.

    Returns:
        The accuracy, a fraction; nan without rows.

    >>> blind_accuracy([50, 25, 25])
    0.65
    """
    rows = sum(rows_by_class)
    if not rows:
        return np.nan
    share = max(rows_by_class) / rows
    limit = share + _STANDARD_ERRORS * sqrt(share * (1 - share) / rows)
    return limit if limit < 1 else share


def collapsed_runs(results: Results) -> frozenset[RunKey]:
    """Return the compared runs that diverged, or end no better than a blind guess."""
    return frozenset(run.key for run in results.compared_runs if run.has_diverged or _is_blind(run))


def collapsed_pairs(results: Results, contest: Contest) -> Collapsed:
    """Return in how many pairs each arm of a comparison collapsed."""
    found, seeds = results.once(collapsed_runs), results.once(paired_seeds)[contest]
    counts = (sum(RunKey(contest.backend, arm, seed) in found for seed in seeds) for arm in contest[1:])
    return Collapsed(*counts)


def collapse_table(results: Results) -> pd.DataFrame:
    """Return collapse.csv: a row per backend and arm that is compared."""
    return pd.DataFrame([asdict(row) for row in _arms(results)], columns=list(COLLAPSE_COLUMNS))


def _arms(results: Results) -> Iterator[ArmCollapse]:
    found = results.once(collapsed_runs)
    by_arm: dict[tuple[str, str], list[StoredRun]] = {}
    for run in results.compared_runs:
        by_arm.setdefault((run.key.backend, run.key.arm), []).append(run)
    for (backend, arm), runs in by_arm.items():
        collapsed = sum(run.key in found for run in runs)
        yield ArmCollapse(
            backend,
            arm,
            runs=len(runs),
            collapsed=collapsed,
            diverged=sum(run.has_diverged for run in runs),
            blind_accuracy=blind_accuracy(runs[0].record.test_rows_by_class),
            possible_rate=np.nan if collapsed else highest_unseen_rate(len(runs)),
        )


def _is_blind(run: StoredRun) -> bool:
    if not run.record.num_classes:  # nobody knows what a blind guess reaches
        return False
    return float(run.evaluations["test_accuracy"].iloc[-1]) <= blind_accuracy(run.record.test_rows_by_class)
