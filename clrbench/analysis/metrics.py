"""Every evaluation of every run: the table that the others are made from."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clrbench.records import DoubleArray
from clrbench.spec import METRICS
from clrbench.store import StoredRun
from clrbench.store.run import TEST_COLUMNS

TRAIN_COLUMNS = ("train_loss", "train_accuracy")
VALIDATION_COLUMNS = ("validation_loss", "validation_accuracy")
_MEASURED_COLUMNS = (*TRAIN_COLUMNS, *VALIDATION_COLUMNS, *TEST_COLUMNS)
RUN_KEYS = ["backend", "arm", "seed"]
METRIC_COLUMNS = ("experiment", *RUN_KEYS, "epoch", "step", "lr", *_MEASURED_COLUMNS, "status")


def is_accuracy(metric: str) -> bool:
    """Return whether a higher value of a metric is better."""
    return metric.endswith("accuracy")


def diverged_value(metric: str, num_classes: int) -> float:
    """Return the value that a diverged run counts as: that of a blind guess in accuracy, infinite in all else.

    Where nobody knows how many classes there are (0), an accuracy is -inf.
    """
    if is_accuracy(metric):
        return 1 / num_classes if num_classes else -math.inf
    return math.inf


def metrics_table(experiment: str, runs: Sequence[StoredRun], own: Sequence[str] = ()) -> pd.DataFrame:
    """Return all evaluations of all runs, with the means of the updates since the evaluation before.

    Args:
        experiment: Its name.
        runs: The runs.
        own: Metrics that only scripts know, which follow `METRIC_COLUMNS`; nan in runs that have none.
    """
    columns = [*METRIC_COLUMNS, *own]
    tables = [_run_metrics(experiment, run).reindex(columns=columns) for run in runs]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def metrics_in(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the metrics that a table like metrics.csv holds, those that only scripts know last."""
    return (*METRICS, *(str(name) for name in table if name not in METRIC_COLUMNS))


def last_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the last evaluation of every run."""
    return metrics.groupby(RUN_KEYS, sort=False).tail(1)


def of_arm(table: pd.DataFrame, backend: str, arm: str) -> pd.DataFrame:
    """Return the rows of a backend and an arm."""
    return table[(table["backend"] == backend) & (table["arm"] == arm)]


def _run_metrics(experiment: str, run: StoredRun) -> pd.DataFrame:
    ends = run.evaluations["step"].to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    table = run.evaluations.assign(
        experiment=experiment,
        **run.key._asdict(),
        lr=run.steps["lr"].to_numpy(np.float32)[ends - 1],
        status=run.status,
    )
    for column in TRAIN_COLUMNS:
        values = run.steps[column].to_numpy(np.float64)
        if run.spec.train is None:
            table[column] = np.add.reduceat(values, starts) / (ends - starts)
        else:
            table[column] = _means_of_known(values, starts)
    return table


def _means_of_known(values: DoubleArray, starts: npt.NDArray[np.int_]) -> DoubleArray:
    """Return the mean of each stretch, over the updates that a script has written a value for; nan where it has none."""
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    means: DoubleArray = np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
    return means
