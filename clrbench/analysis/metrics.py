"""Every evaluation of every run: the table that the others are made from."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

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
    """Return the value that a diverged run counts as: that of a blind guess in accuracy, infinite in loss."""
    return 1 / num_classes if is_accuracy(metric) else math.inf


def metrics_table(experiment: str, runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return all evaluations of all runs, with the means of the updates since the evaluation before."""
    tables = [_run_metrics(experiment, run) for run in runs]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(METRIC_COLUMNS))


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
        table[column] = np.add.reduceat(values, starts) / (ends - starts)
    return table[list(METRIC_COLUMNS)]
