"""Run files -> the tidy tables of an experiment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.comparison import comparison_tables
from clrbench.analysis.metrics_table import last_rows, metrics_table, run_key, run_status
from clrbench.analysis.pairs import Pairs, differences_table
from clrbench.analysis.targets import target_values, targets_table
from clrbench.spec import METRICS, Spec
from clrbench.store import StoredRun

SCHEDULE_POINTS = 400
"""A plot of this many points shows every schedule; the whole table lies in each run's `steps.csv`."""


def summary_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return mean, standard deviation and range of every metric at the end, over the runs that did not diverge."""
    rows = []
    for (backend, arm), runs in last_rows(metrics).groupby(["backend", "arm"], sort=False):
        row: dict[str, Any] = {"backend": backend, "arm": arm, "runs": len(runs)}
        row["diverged"] = int((runs["status"] == "diverged").sum())
        for metric in METRICS:
            values = runs.loc[runs["status"] != "diverged", metric].dropna()
            row |= {f"{metric}_{name}": values.agg(how) for name, how in _STATISTICS.items()}
        rows.append(row)
    statistics = [f"{metric}_{name}" for metric in METRICS for name in _STATISTICS]
    return pd.DataFrame(rows, columns=["backend", "arm", "runs", "diverged", *statistics])


_STATISTICS = {"mean": "mean", "sd": "std", "min": "min", "max": "max"}


def timing_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return where the time of every run went."""
    rows = []
    for run in runs:
        timing, provenance = run.info["timing"], run.info["provenance"]
        backend, arm, seed = run_key(run)
        rows.append(
            {"backend": backend, "arm": arm, "seed": seed}
            | {key: round(timing[key], 4) for key in TIMING_KEYS}
            | {"images_per_second": round(timing["images_per_second"])}
            | {key: provenance[key] for key in ("threads", "device", "executor")}
        )
    return pd.DataFrame(rows)


TIMING_KEYS = ("train_seconds", "evaluation_seconds", "compile_seconds", "load_seconds")


def published_table(metrics: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Return where values published elsewhere lie among the runs of their arm that did not diverge."""
    ends = last_rows(metrics)
    ends = ends.assign(**ends[list(METRICS)].where(ends["status"] != "diverged"))
    rows = [
        {
            "backend": backend,
            "arm": name,
            "metric": metric,
            "value": value,
            "runs": int(runs[metric].notna().sum()),
            "runs_below": int((runs[metric] < value).sum()),
            "min": runs[metric].min(),
            "median": runs[metric].median(),
            "max": runs[metric].max(),
        }
        for (backend, name), runs in ends.groupby(["backend", "arm"], sort=False)
        for metric, value in spec.arms[str(name)].published.items()
    ]
    columns = ["backend", "arm", "metric", "value", "runs", "runs_below", "min", "median", "max"]
    return pd.DataFrame(rows, columns=columns)


def schedule_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return the rate of each arm over its steps, thinned, as its first run used it; one that did not diverge, if any."""
    first: dict[tuple[str, str], StoredRun] = {}
    for run in sorted(runs, key=lambda run: run_status(run) == "diverged"):
        first.setdefault(run_key(run)[:2], run)
    return pd.concat([_thinned(*key, run) for key, run in first.items()], ignore_index=True)


def _thinned(backend: str, arm: str, run: StoredRun) -> pd.DataFrame:
    steps = run.steps
    kept = thinned_steps(steps["lr"].to_numpy())
    epoch = steps["step"].to_numpy()[kept] / run.info["spec"]["steps_per_epoch"]
    return pd.DataFrame(
        {
            "backend": backend,
            "arm": arm,
            "epoch": epoch,
            "step": steps["step"].to_numpy()[kept],
            "lr": steps["lr"].to_numpy(np.float32)[kept],
        }
    )


def thinned_steps(lr: np.ndarray[tuple[int], np.dtype[Any]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return indices that show the shape of a table of rates: evenly spaced ones, and every turning point."""
    evenly = np.linspace(0, len(lr) - 1, min(SCHEDULE_POINTS, len(lr))).astype(np.int64)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(lr)))) + 1
    return np.union1d(evenly, turns) if len(turns) <= SCHEDULE_POINTS else evenly


@dataclass(frozen=True)
class Tables:
    """Every table of an experiment, by the name of its file."""

    metrics: pd.DataFrame
    summary: pd.DataFrame
    given: pd.DataFrame
    comparison: pd.DataFrame
    evidence: pd.DataFrame
    differences: pd.DataFrame
    targets: pd.DataFrame
    published: pd.DataFrame
    schedule: pd.DataFrame

    def files(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield the name of each file and its table."""
        for name, table in vars(self).items():
            yield f"{name}.csv", table

    @property
    def all_summaries(self) -> pd.DataFrame:
        """The summary of the arms, and of the tuned ones at the rates that they were given."""
        return pd.concat([self.summary, self.given], ignore_index=True)


def make_tables(
    spec: Spec,
    runs: Sequence[StoredRun],
    comparisons: Sequence[tuple[str, str]],
    *,
    given_runs: Sequence[StoredRun] = (),
    looks: Mapping[str, int] | None = None,
) -> Tables:
    """Return every table of an experiment.

    Args:
        spec: The experiment, resolved.
        runs: Its finished runs, in the order of the spec.
        comparisons: Each candidate and its baseline.
        given_runs: Runs that serve as baselines only.
        looks: How often each backend's verdict has been looked at, this time included; once where it is not named.
    """
    metrics = metrics_table(spec.name, runs)
    all_runs = [*runs, *given_runs]
    all_metrics = metrics_table(spec.name, all_runs) if given_runs else metrics
    pairs = Pairs(spec, all_runs, all_metrics, comparisons, looks or {})
    differences = differences_table(pairs)
    comparison, evidence = comparison_tables(differences, pairs)
    return Tables(
        metrics=metrics,
        summary=summary_table(metrics),
        given=summary_table(metrics_table(spec.name, given_runs)),
        comparison=comparison,
        evidence=evidence,
        differences=differences,
        targets=targets_table(metrics, target_values(spec, all_runs, all_metrics)),
        published=published_table(metrics, spec),
        schedule=schedule_table(runs),
    )
