"""What the runs of each arm come to at the end, where their time went, and which rates they used."""

from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pandas as pd

from clrbench.analysis.metrics import RUN_KEYS, last_rows, metrics_in
from clrbench.analysis.results import Results, given_metrics, own_metrics
from clrbench.spec import TRAIN_SECONDS
from clrbench.store import StoredRun

MAX_SCHEDULE_POINTS = 400
"""A plot of this many points shows every schedule; the whole table lies in each run's `steps.csv`."""

_STATISTICS = {"mean": "mean", "sd": "std", "min": "min", "max": "max"}


def summary_table(results: Results) -> pd.DataFrame:
    """Return summary.csv: every metric at the end, over the runs of each arm."""
    return _summarise(results.once(own_metrics))


def given_table(results: Results) -> pd.DataFrame:
    """Return given.csv: the same of the tuned arms at the rates that they were given."""
    return _summarise(results.once(given_metrics))


def has_answer(summary: pd.DataFrame) -> bool:
    """Return whether every arm in summary.csv has a run that did not diverge."""
    return bool((summary["diverged"] < summary["runs"]).all())


def timing_table(results: Results) -> pd.DataFrame:
    """Return timing.csv: where the time of every run went, those of searches and range tests among them."""
    by_purpose = {
        "run": results.runs,
        "search": results.search.runs,
        "range_test": [run for test in results.range_tests.values() for run in test.runs],
    }
    rows = [
        run.key._asdict()
        | {name: round(seconds, 4) for name, seconds in asdict(run.timing).items()}
        | {"images_per_second": round(run.timing.images_per_second)}
        | {name: getattr(run.provenance, name) for name in ("threads", "device", "executor")}
        | {"purpose": purpose}
        for purpose, runs in by_purpose.items()
        for run in runs
    ]
    return pd.DataFrame(rows)


def published_table(results: Results) -> pd.DataFrame:
    """Return where values published elsewhere lie among the runs of their arm that did not diverge."""
    ends = last_rows(results.once(own_metrics))
    seconds = [{**run.key._asdict(), TRAIN_SECONDS: run.timing.train_seconds} for run in results.runs]
    ends = ends.merge(pd.DataFrame(seconds, columns=[*RUN_KEYS, TRAIN_SECONDS]), on=RUN_KEYS)
    ends = ends.assign(**ends[[*results.metrics, TRAIN_SECONDS]].where(ends["status"] != "diverged"))
    rows = []
    for (backend, arm), runs in ends.groupby(["backend", "arm"], sort=False):
        for metric, value in results.spec.arms[str(arm)].published.items():
            counts = runs[metric].notna().sum(), (runs[metric] < value).sum()
            spread = runs[metric].min(), runs[metric].median(), runs[metric].max()
            rows.append((backend, arm, metric, value, *counts, *spread))
    columns = ["backend", "arm", "metric", "value", "runs", "runs_below", "min", "median", "max"]
    return pd.DataFrame(rows, columns=columns)


def schedule_table(results: Results) -> pd.DataFrame:
    """Return the rate of each arm over its steps, thinned, as its first run used it; one that did not diverge, if any."""
    first: dict[tuple[str, str], StoredRun] = {}
    for run in sorted(results.runs, key=lambda run: run.has_diverged):
        first.setdefault(run.key[:2], run)
    tables = []
    for run in first.values():
        steps = run.steps.iloc[thinned_steps(run.steps["lr"].to_numpy())].astype({"lr": np.float32})
        epochs = steps["step"] / run.spec.steps_per_epoch
        tables.append(steps.assign(backend=run.key.backend, arm=run.key.arm, epoch=epochs))
    return pd.concat(tables, ignore_index=True)[["backend", "arm", "epoch", "step", "lr"]]


def thinned_steps(lr: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return indices that show the shape of a table of rates: evenly spaced ones, and every turning point."""
    evenly = np.linspace(0, len(lr) - 1, min(MAX_SCHEDULE_POINTS, len(lr))).astype(np.int64)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(lr)))) + 1
    return np.union1d(evenly, turns) if len(turns) <= MAX_SCHEDULE_POINTS else evenly


def _summarise(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return mean, standard deviation and range of every metric at the end, over the runs that did not diverge."""
    rows, names = [], metrics_in(metrics)
    for (backend, arm), runs in last_rows(metrics).groupby(["backend", "arm"], sort=False):
        row: dict[str, object] = {"backend": backend, "arm": arm, "runs": len(runs)}
        row["diverged"] = int((runs["status"] == "diverged").sum())
        for metric in names:
            values = runs.loc[runs["status"] != "diverged", metric].dropna()
            row |= {f"{metric}_{name}": values.agg(how) for name, how in _STATISTICS.items()}
        rows.append(row)
    statistics = [f"{metric}_{name}" for metric in names for name in _STATISTICS]
    return pd.DataFrame(rows, columns=["backend", "arm", "runs", "diverged", *statistics])
