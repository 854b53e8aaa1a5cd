"""What the ends of the cycles are worth: the evaluations there, at the best epoch and at the end, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import RUN_KEYS, by_run, of_arm
from clrbench.analysis.results import Results, own_metrics
from clrbench.planning.runs import cycle_end_epochs, has_long_cycles
from clrbench.records import DoubleArray, IntArray
from clrbench.spec import Clock, Schedule
from clrbench.store import StoredRun

CYCLE_COLUMNS = (*RUN_KEYS, "cycle", "epoch", "step", "lr", "validation_accuracy", "test_loss", "test_accuracy")
BEST_COLUMNS = (
    *RUN_KEYS,
    "best_validation_epoch",
    *(f"{metric}_at_best" for metric in ("validation_accuracy", "test_accuracy", "test_loss")),
    *("end_epoch", "test_accuracy_at_end", "test_loss_at_end"),
    *("cycle_end_epoch", "test_accuracy_at_cycle_end", "test_loss_at_cycle_end"),
)
_TEST_VALUES = ("epoch", "test_accuracy", "test_loss")
PEAK_COLUMNS = (
    *("backend", "arm", "runs"),
    *(f"{share}_{place}_end" for place in ("at", "near") for share in ("peaks", "evaluations")),
    "accuracy_at_ends",
    "accuracy_elsewhere",
    "above_neighbours",
    "peak_lr_rank",
)


def cycles_table(results: Results) -> pd.DataFrame:
    """Return the evaluations of every cyclic arm at the ends of its own cycles, where these last an epoch or more."""
    metrics = results.once(own_metrics)
    schedules, runs = results.schedules, {run.key[:2]: run for run in results.runs}
    ends = {key: _cycles_by_step(schedules[run.key.arm], run) for key, run in runs.items()}
    keys = zip(metrics["backend"], metrics["arm"], metrics["step"], strict=True)
    cycle = np.array([ends[backend, arm].get(step, 0) for backend, arm, step in keys], np.int64)
    return metrics.assign(cycle=cycle)[cycle > 0].reset_index(drop=True)[list(CYCLE_COLUMNS)]


def _cycles_by_step(schedule: Schedule, run: StoredRun) -> dict[int, int]:
    """Return the number of each cycle of a run, from 1, by the step at which it ends."""
    clock = Clock(run.spec.steps_per_epoch, run.spec.num_steps)
    ends = cycle_end_epochs(schedule, clock) if has_long_cycles(schedule, clock) else ()
    return {round(epoch * clock.steps_per_epoch): number for number, epoch in enumerate(ends, 1)}


def best_table(results: Results) -> pd.DataFrame:
    """Return what each run reaches where its validation accuracy is best, beside its end and its last cycle's end.

    The first evaluation counts among equals. Without a validation split there are no rows.
    """
    metrics, cycles = results.once(own_metrics), results.once(cycles_table)
    last_cycle_ends = cycles.groupby(RUN_KEYS, sort=False)["step"].max().to_dict()
    columns = {name: metrics[name].to_numpy() for name in ("validation_accuracy", "step", *_TEST_VALUES)}
    rows = []
    for key, own in by_run(metrics) if metrics["validation_accuracy"].notna().any() else ():
        run = {name: values[own] for name, values in columns.items()}
        validated = run["validation_accuracy"]
        measured, cycle_end = np.isfinite(validated), np.flatnonzero(run["step"] == last_cycle_ends.get(key))
        best = int(np.nanargmax(validated)) if measured.any() else None
        epoch, *at_best = _test_values(run, best)
        others = [*_test_values(run, -1), *_test_values(run, int(cycle_end[0]) if len(cycle_end) else None)]
        rows.append((*key, epoch, math.nan if best is None else validated[best], *at_best, *others))
    return pd.DataFrame(rows, columns=list(BEST_COLUMNS))


def _test_values(run: Mapping[str, DoubleArray], row: int | None) -> list[float]:
    """Return epoch, test accuracy and test loss of one evaluation; nan where there is none."""
    return [math.nan if row is None else float(run[name][row]) for name in _TEST_VALUES]


def cycle_peaks_table(results: Results) -> pd.DataFrame:
    """Return whether test accuracy peaks where the cycles of an arm end, that is, where its rate is lowest.

    A row per backend and cyclic arm, over the runs with at least one finite test accuracy:
    `peaks_at_end`, `peaks_near_end`: share of the runs whose (first) best evaluation is a cycle's end, or at most one
    evaluation away from one; `evaluations_at_end`, `evaluations_near_end`: share of all evaluations that lie there, that
    is, what chance gives; `accuracy_at_ends`, `accuracy_elsewhere`: mean test accuracy; `above_neighbours`: how far a
    cycle's end lies above the line from the evaluation before it to the one after it, which a rising curve alone does not
    explain; `peak_lr_rank`: rank of the rate at the best evaluation among those at all of them, 0 the lowest, 1 the
    highest.
    """
    metrics, cycles = results.once(own_metrics), results.once(cycles_table)
    rows = []
    for (backend, arm), ends in cycles.groupby(["backend", "arm"], sort=False):
        measured = of_arm(metrics, str(backend), str(arm)).dropna(subset="test_accuracy")
        if not measured.empty:
            end_steps = ends["step"].unique()
            runs = pd.DataFrame([_peak(run, end_steps) for _, run in measured.groupby("seed")])
            rows.append({"backend": backend, "arm": arm, "runs": len(runs)} | runs.mean().to_dict())
    return pd.DataFrame(rows, columns=list(PEAK_COLUMNS))


def _peak(run: pd.DataFrame, end_steps: IntArray) -> dict[str, float]:
    """Return the columns of one run, each share of the runs as 0 or 1."""
    accuracy, step = run["test_accuracy"].to_numpy(np.float64), run["step"].to_numpy(np.float64)
    at_end = np.isin(step, end_steps)
    near = at_end | np.append(at_end[1:], False) | np.append(False, at_end[:-1])
    peak = int(accuracy.argmax())
    inner = [i for i in range(1, len(run) - 1) if at_end[i] and not (at_end[i - 1] or at_end[i + 1])]
    around = [np.interp(step[i], step[[i - 1, i + 1]], accuracy[[i - 1, i + 1]]) for i in inner]
    rank = run["lr"].rank().to_numpy(np.float64)
    return {
        "peaks_at_end": float(at_end[peak]),
        "evaluations_at_end": float(at_end.mean()),
        "peaks_near_end": float(near[peak]),
        "evaluations_near_end": float(near.mean()),
        "accuracy_at_ends": _mean(accuracy[at_end]),
        "accuracy_elsewhere": _mean(accuracy[~at_end]),
        "above_neighbours": _mean(accuracy[inner] - around),
        "peak_lr_rank": (rank[peak] - 1) / (len(run) - 1) if len(run) > 1 else math.nan,
    }


def _mean(values: DoubleArray) -> float:
    return float(values.mean()) if len(values) else math.nan
