"""The targets of an experiment, and when each run reached them."""

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import by_run, diverged_value, last_rows
from clrbench.analysis.results import Results, compared_metrics
from clrbench.records import DoubleArray
from clrbench.spec import Metric

AUTO_DIGITS = 4
KINDS = ("first", "sustained")
UNITS = ("epoch", "step")
TARGET_COLUMNS = (
    *("backend", "arm", "metric", "target", "seed"),
    *(f"{kind}_{unit}" for kind in KINDS for unit in UNITS),
)


def target_values(results: Results) -> dict[str, dict[Metric, Sequence[float]]]:
    """Return the targets of each backend by metric, the automatic ones worked out.

    An automatic target is what the baseline reaches in the median over its runs at the end, rounded to `AUTO_DIGITS`
    digits to the side that is easier to reach. Where this gives no finite number, there is no target.
    """
    spec = results.spec
    baseline = spec.baseline or next(iter(spec.arms))
    ends = last_rows(results.once(compared_metrics))
    ends = ends[ends["arm"] == baseline]
    num_classes = results.runs[0].record.num_classes
    return {
        backend: {
            metric: _auto_target(
                ends[ends["backend"] == backend], metric, num_classes, higher=spec.higher_is_better(metric)
            )
            if target == "auto"
            else target
            for metric, target in spec.targets_by_metric.items()
        }
        for backend in results.backends
    }


def targets_table(results: Results) -> pd.DataFrame:
    """Return targets.csv: the rows of `compared_targets` of the arms themselves."""
    table = results.once(compared_targets)
    return table[table["arm"].isin(list(results.spec.arms))].reset_index(drop=True)


def compared_targets(results: Results) -> pd.DataFrame:
    """Return when each run first reached each target, and from when on it stayed there, in epochs and steps.

    A miss is `inf`: the run would have needed longer than it was given.
    """
    targets, metrics = results.once(target_values), results.once(compared_metrics)
    columns = {str(name): metrics[name].to_numpy() for name in metrics}
    rows = [
        {"backend": run.backend, "arm": run.arm, "metric": metric, "target": target, "seed": run.seed}
        | _crossings(
            {name: columns[name][own] for name in (metric, "status", *UNITS)},
            metric,
            target,
            higher=results.spec.higher_is_better(metric),
        )
        for run, own in by_run(metrics)
        for metric, values in targets[run.backend].items()
        for target in values
    ]
    return pd.DataFrame(rows, columns=list(TARGET_COLUMNS))


def _auto_target(ends: pd.DataFrame, metric: Metric, num_classes: int, *, higher: bool) -> tuple[float, ...]:
    values = ends[metric].mask(ends["status"] == "diverged", diverged_value(metric, num_classes))
    middle = float(values.median())
    if not math.isfinite(middle):
        return ()
    easier = ROUND_FLOOR if higher else ROUND_CEILING
    return (float(Context(prec=AUTO_DIGITS, rounding=easier).create_decimal(repr(middle))),)


def _crossings(run: Mapping[str, DoubleArray], metric: str, target: float, *, higher: bool) -> dict[str, float]:
    values = run[metric]
    reached = values >= target if higher else values <= target
    stays = np.logical_and.accumulate(reached[::-1])[::-1] & (run["status"] != "diverged")
    found: dict[str, float] = {}
    for name, there in zip(KINDS, (reached, stays), strict=True):
        at = int(np.argmax(there)) if there.any() else None
        for unit in UNITS:
            found[f"{name}_{unit}"] = np.inf if at is None else float(run[unit][at])
    return found
