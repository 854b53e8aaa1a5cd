"""Every evaluation of every run: the table that the others are made from."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from clrbench.planning.runs import rows_of, split_of
from clrbench.records import DoubleArray, Split, SplitSizes
from clrbench.spec import METRICS
from clrbench.store import RunKey, StoredRun
from clrbench.store.run import TEST_COLUMNS

T = TypeVar("T")

TRAIN_COLUMNS = ("train_loss", "train_accuracy")
VALIDATION_COLUMNS = ("validation_loss", "validation_accuracy")
_MEASURED_COLUMNS = (*TRAIN_COLUMNS, *VALIDATION_COLUMNS, *TEST_COLUMNS)
RUN_KEYS = ["backend", "arm", "seed"]
METRIC_COLUMNS = ("experiment", *RUN_KEYS, "epoch", "step", "lr", *_MEASURED_COLUMNS, "status")


def is_accuracy(metric: str) -> bool:
    """Return whether a metric is an accuracy, by its name; which way others are better, `Spec.higher_is_better` says."""
    return metric.endswith("accuracy")


def same_rows(metric: str, sizes: SplitSizes) -> int:
    """Return how many rows a metric is measured on, the same for all runs; 0 in training, or where that is not known."""
    return 0 if split_of(metric) is Split.TRAIN else rows_of(metric, sizes)


def diverged_value(metric: str, num_classes: int) -> float:
    """Return the value that a diverged run counts as: that of a blind guess in accuracy, infinite in all else.

    Where nobody knows how many classes there are (0), an accuracy is -inf.
    """
    if is_accuracy(metric):
        return 1 / num_classes if num_classes else -math.inf
    return math.inf


def metrics_table(experiment: str, runs: Sequence[StoredRun], own: Sequence[str] = ()) -> pd.DataFrame:
    """Return all evaluations of all runs, with the means of the updates since the evaluation before.

    The evaluations of a run are next to each other, in their order.

    Args:
        experiment: Its name.
        runs: The runs.
        own: Metrics that only scripts know, which follow `METRIC_COLUMNS`; nan in runs that have none.
    """
    all_columns = [*METRIC_COLUMNS, *own]
    if not runs:
        return pd.DataFrame(columns=all_columns)
    parts = [_run_metrics(run, own) for run in runs]
    sizes = [len(run.evaluations) for run in runs]

    def repeated(values: Iterable[T]) -> list[T]:
        return [value for value, size in zip(values, sizes, strict=True) for _ in range(size)]

    columns: dict[str, object] = {
        "experiment": [experiment] * sum(sizes),
        **{name: repeated(getattr(run.key, name) for run in runs) for name in RUN_KEYS},
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        "status": repeated(run.status for run in runs),
    }
    return pd.DataFrame({name: columns[name] for name in all_columns})


def by_run(metrics: pd.DataFrame) -> Iterator[tuple[RunKey, slice]]:
    """Yield the key of every run in a table that `metrics_table` made, and which rows are its own."""
    run = metrics.groupby(RUN_KEYS, sort=False).ngroup().to_numpy()
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    keys = metrics[RUN_KEYS].iloc[starts].itertuples(index=False, name=None)
    for key, start, stop in zip(keys, starts, [*starts[1:], len(run)], strict=True):
        yield RunKey(*key), slice(int(start), int(stop))


def metrics_in(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the metrics that a table like metrics.csv holds, those that only scripts know last."""
    return (*METRICS, *(str(name) for name in table if name not in METRIC_COLUMNS))


def last_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the last evaluation of every run."""
    return metrics.groupby(RUN_KEYS, sort=False).tail(1)


def of_arm(table: pd.DataFrame, backend: str, arm: str) -> pd.DataFrame:
    """Return the rows of a backend and an arm."""
    return table[(table["backend"] == backend) & (table["arm"] == arm)]


def _run_metrics(run: StoredRun, own: Sequence[str]) -> dict[str, DoubleArray]:
    """Return the columns of one run that hold numbers, float64[evaluations]; `step` is int64, and `lr` float32."""
    ends = run.evaluations["step"].to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    means = {column: _means(run, column, starts, ends) for column in TRAIN_COLUMNS}
    lr = run.steps["lr"].to_numpy(np.float32)[ends - 1]
    measured = (*("epoch", "step"), *VALIDATION_COLUMNS, *TEST_COLUMNS)
    unknown = {name: np.full(len(ends), np.nan) for name in own if name not in run.evaluations}
    known = (name for name in (*measured, *own) if name not in unknown)
    return {**{name: run.evaluations[name].to_numpy() for name in known}, **unknown, "lr": lr, **means}


def _means(run: StoredRun, column: str, starts: npt.NDArray[np.int_], ends: npt.NDArray[np.int_]) -> DoubleArray:
    """Return the mean of each stretch, over the updates that a script has written a value for; nan where it has none."""
    values = run.steps[column].to_numpy(np.float64)
    if run.spec.train is None:
        means: DoubleArray = np.add.reduceat(values, starts) / (ends - starts)
        return means
    return means_of_known(values, starts)


def means_of_known(values: DoubleArray, starts: npt.NDArray[np.int_]) -> DoubleArray:
    """Return the mean of the finite values of each stretch, float64[stretches]; nan where it has none.

    Args:
        values: float64[updates].
        starts: Where each stretch begins, ascending, int64[stretches]; the last one goes to the end.
    """
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    means: DoubleArray = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    return means
