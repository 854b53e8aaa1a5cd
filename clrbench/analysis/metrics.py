"""Every evaluation of every run: the table that the others are made from."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from clrbench.records import DoubleArray
from clrbench.store import RunKey, StoredRun
from clrbench.store.run import TEST_COLUMNS

T = TypeVar("T")

TRAIN_COLUMNS = ("train_loss", "train_accuracy")
VALIDATION_COLUMNS = ("validation_loss", "validation_accuracy")
_MEASURED_COLUMNS = (*TRAIN_COLUMNS, *VALIDATION_COLUMNS, *TEST_COLUMNS)
RUN_KEYS = ["backend", "arm", "seed"]
METRIC_COLUMNS = ("experiment", *RUN_KEYS, "epoch", "step", "lr", *_MEASURED_COLUMNS, "status")


def is_accuracy(metric: str) -> bool:
    """Return whether a higher value of a metric is better."""
    return metric.endswith("accuracy")


def diverged_value(metric: str, num_classes: int) -> float:
    """Return the value that a diverged run counts as: that of a blind guess in accuracy, infinite in loss."""
    return 1 / num_classes if is_accuracy(metric) else math.inf


def metrics_table(experiment: str, runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return all evaluations of all runs, with the means of the updates since the evaluation before.

    The evaluations of a run are next to each other, in their order.
    """
    if not runs:
        return pd.DataFrame(columns=list(METRIC_COLUMNS))
    parts = [_run_metrics(run) for run in runs]
    sizes = [len(run.evaluations) for run in runs]

    def repeated(values: Iterable[T]) -> list[T]:
        return [value for value, size in zip(values, sizes, strict=True) for _ in range(size)]

    columns: dict[str, object] = {
        "experiment": [experiment] * sum(sizes),
        **{name: repeated(getattr(run.key, name) for run in runs) for name in RUN_KEYS},
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        "status": repeated(run.status for run in runs),
    }
    return pd.DataFrame({name: columns[name] for name in METRIC_COLUMNS})


def by_run(metrics: pd.DataFrame) -> Iterator[tuple[RunKey, slice]]:
    """Yield the key of every run in a table that `metrics_table` made, and which rows are its own."""
    run = metrics.groupby(RUN_KEYS, sort=False).ngroup().to_numpy()
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    keys = metrics[RUN_KEYS].iloc[starts].itertuples(index=False, name=None)
    for key, start, stop in zip(keys, starts, [*starts[1:], len(run)], strict=True):
        yield RunKey(*key), slice(int(start), int(stop))


def last_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the last evaluation of every run."""
    return metrics.groupby(RUN_KEYS, sort=False).tail(1)


def of_arm(table: pd.DataFrame, backend: str, arm: str) -> pd.DataFrame:
    """Return the rows of a backend and an arm."""
    return table[(table["backend"] == backend) & (table["arm"] == arm)]


def _run_metrics(run: StoredRun) -> dict[str, DoubleArray]:
    """Return the columns of one run that hold numbers, float64[evaluations]; `step` is int64, and `lr` float32."""
    ends = run.evaluations["step"].to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    means = {
        column: np.add.reduceat(run.steps[column].to_numpy(np.float64), starts) / (ends - starts)
        for column in TRAIN_COLUMNS
    }
    lr = run.steps["lr"].to_numpy(np.float32)[ends - 1]
    measured = (*("epoch", "step"), *VALIDATION_COLUMNS, *TEST_COLUMNS)
    return {**{name: run.evaluations[name].to_numpy() for name in measured}, "lr": lr, **means}
