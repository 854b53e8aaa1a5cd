"""The one table that all others are made from: every evaluation of every run."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from clrbench.records import RunStatus
from clrbench.store import StoredRun

TRAIN_COLUMNS = ("train_loss", "train_accuracy")
VALIDATION_COLUMNS = ("validation_loss", "validation_accuracy")
_MEASURED = (*TRAIN_COLUMNS, *VALIDATION_COLUMNS, "test_loss", "test_accuracy")
METRIC_COLUMNS = ("experiment", "backend", "arm", "seed", "epoch", "step", "lr", *_MEASURED, "status")
RunKey: TypeAlias = tuple[str, str, int]
RUN_KEYS = ["backend", "arm", "seed"]


def is_accuracy(metric: str) -> bool:
    """Return whether more of a metric is better."""
    return metric.endswith("accuracy")


def run_key(run: StoredRun) -> RunKey:
    """Return backend, arm and seed of a run."""
    spec = run.info["spec"]
    return spec["backend"], spec["arm"], spec["seed"]


def run_status(run: StoredRun) -> RunStatus:
    """Return how a run ended; one with an evaluation that is not finite has diverged, even if all its mini-batches went well."""
    columns = [f"{split}_{what}" for split in run.info["spec"]["evaluated_splits"] for what in ("loss", "accuracy")]
    finite = np.isfinite(run.evaluations[columns].to_numpy(np.float64)).all()
    return "finished" if finite and run.info["status"] == "finished" else "diverged"


def metrics_table(experiment: str, runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return all evaluations of all runs, with the means of the updates since the evaluation before."""
    tables = [_run_metrics(experiment, run) for run in runs]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(METRIC_COLUMNS))


def _run_metrics(experiment: str, run: StoredRun) -> pd.DataFrame:
    backend, arm, seed = run_key(run)
    evaluations = run.evaluations
    ends = evaluations["step"].to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    table = evaluations.assign(
        experiment=experiment,
        backend=backend,
        arm=arm,
        seed=seed,
        lr=run.steps["lr"].to_numpy(np.float32)[ends - 1],
        status=run_status(run),
    )
    for column in TRAIN_COLUMNS:
        values = run.steps[column].to_numpy(np.float64)
        table[column] = np.add.reduceat(values, starts) / (ends - starts)
    return table[list(METRIC_COLUMNS)]


def last_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the last evaluation of every run."""
    return metrics.groupby(RUN_KEYS, sort=False).tail(1)
