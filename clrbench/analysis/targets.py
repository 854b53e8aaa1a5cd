"""The targets of an experiment, and when each run reached them."""

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import TypeAlias

import numpy as np
import pandas as pd

from clrbench.analysis.metrics_table import RUN_KEYS, is_accuracy, last_rows
from clrbench.spec import Metric, Spec
from clrbench.store import StoredRun

TargetValues: TypeAlias = Mapping[str, Mapping[Metric, Sequence[float]]]
"""Targets by backend and metric; an automatic one may differ between backends."""
AUTO_DIGITS = 4
KINDS = ("first", "sustained")
TARGET_COLUMNS = (
    "backend",
    "arm",
    "metric",
    "target",
    "seed",
    "first_epoch",
    "first_step",
    "sustained_epoch",
    "sustained_step",
)


def target_values(spec: Spec, runs: Sequence[StoredRun], metrics: pd.DataFrame) -> TargetValues:
    """Return the targets of each backend, the automatic ones worked out.

    An automatic target is what the baseline reaches in the median over its runs at the end, rounded to `AUTO_DIGITS`
    digits to the side that is easier to reach. A diverged run counts as a blind guess in accuracy and as infinite in loss.
    Where this gives no finite number, there is no target.

    Args:
        spec: The experiment, resolved.
        runs: Its runs.
        metrics: The table metrics.csv.
    """
    baseline = spec.baseline or next(iter(spec.arms))
    ends = last_rows(metrics)
    ends = ends[ends["arm"] == baseline]
    values: dict[str, dict[Metric, Sequence[float]]] = {}
    for backend in metrics["backend"].unique():
        of_baseline = ends[ends["backend"] == backend]
        values[backend] = {
            metric: _auto_target(of_baseline, metric, runs[0].info["num_classes"]) if target == "auto" else target
            for metric, target in spec.targets_by_metric.items()
        }
    return values


def _auto_target(ends: pd.DataFrame, metric: Metric, num_classes: int) -> tuple[float, ...]:
    worst = 1 / num_classes if is_accuracy(metric) else math.inf
    values = ends[metric].mask(ends["status"] == "diverged", worst)
    middle = float(values.median())
    if not math.isfinite(middle):
        return ()
    easier = ROUND_FLOOR if is_accuracy(metric) else ROUND_CEILING
    return (float(Context(prec=AUTO_DIGITS, rounding=easier).create_decimal(repr(middle))),)


def targets_table(metrics: pd.DataFrame, targets: TargetValues) -> pd.DataFrame:
    """Return when each run first reached each target, and from when on it stayed there, in epochs and steps.

    A miss is `inf`: the run would have needed longer than it was given.

    Args:
        metrics: The table metrics.csv.
        targets: Of each backend.
    """
    rows = [
        {"backend": backend, "arm": arm, "metric": metric, "target": target, "seed": seed}
        | _crossings(run, metric, target)
        for (backend, arm, seed), run in metrics.groupby(RUN_KEYS, sort=False)
        for metric, values in targets[str(backend)].items()
        for target in values
    ]
    return pd.DataFrame(rows, columns=list(TARGET_COLUMNS))


def _crossings(run: pd.DataFrame, metric: str, target: float) -> dict[str, float]:
    values = run[metric].to_numpy()
    reached = values >= target if is_accuracy(metric) else values <= target
    stays = np.logical_and.accumulate(reached[::-1])[::-1] & (run["status"] != "diverged").to_numpy()
    found: dict[str, float] = {}
    for name, there in zip(KINDS, (reached, stays), strict=True):
        at = int(np.argmax(there)) if there.any() else None
        for unit in ("epoch", "step"):
            found[f"{name}_{unit}"] = np.inf if at is None else float(run[unit].iloc[at])
    return found
