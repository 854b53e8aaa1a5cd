"""Every metric over the epochs, by backend and arm: the mean over the seeds, its interval, and the single runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import TRAIN_COLUMNS, metrics_in, of_arm
from clrbench.analysis.results import Results, own_metrics
from clrbench.analysis.train_curve import train_curve
from clrbench.records import DoubleArray
from clrbench.stats import mean_band


@dataclass(frozen=True, eq=False)
class ArmCurve:
    """One metric of all runs of an arm on a backend.

    Attributes:
        seeds: Seed of each run, ascending.
        epochs: float64[rows], when the metric was taken, ascending; may be fractional.
        values: float64[rows, seeds], nan after a divergence.
        diverged: bool[seeds], which of the runs diverged.
        mean: float64[rows], over the seeds that have a value.
        low: float64[rows], lower end of its 95 % interval, as `high` is its upper end; nan below two values.
    """

    backend: str
    arm: str
    seeds: tuple[int, ...]
    epochs: DoubleArray
    values: DoubleArray
    diverged: np.typing.NDArray[np.bool_]
    mean: DoubleArray
    low: DoubleArray
    high: DoubleArray


ArmCurves: TypeAlias = Mapping[str, Sequence[ArmCurve]]
"""By metric: the curves by backend in the order of metrics.csv and by arm in the order of the spec."""


def bands_table(results: Results) -> pd.DataFrame:
    """Return mean and 95 % interval over the seeds of every metric: what the figures draw.

    One row per evaluation, and in the metrics of training one row per stretch of mini-batches.
    """
    metrics, training = results.once(own_metrics), results.once(train_curve)
    arms = list(results.spec.arms)
    return pd.concat(
        [metric_bands(_source(metric, metrics, training), metric, arms) for metric in metrics_in(metrics)],
        ignore_index=True,
    )


def metric_bands(values: pd.DataFrame, metric: str, arms: Sequence[str]) -> pd.DataFrame:
    """Return mean and 95 % interval over the seeds of one metric, one row per epoch that a table of runs has."""
    tables = []
    for (backend, arm), rows in _by_arm(values, arms):
        grid = _grid(rows, metric)
        mean, low, high = mean_band(grid.values, axis=1)
        columns = {"epoch": grid.epochs, "runs": np.isfinite(grid.values).sum(axis=1)}
        columns |= {"mean": mean, "ci_low": low, "ci_high": high}
        tables.append(pd.DataFrame({"backend": backend, "arm": arm, "metric": metric, **columns}))
    return pd.concat(tables, ignore_index=True)


def read_curves(metrics: pd.DataFrame, training: pd.DataFrame, bands: pd.DataFrame, arms: Sequence[str]) -> ArmCurves:
    """Return the curves of every metric, read off metrics.csv, train_curve.csv and bands.csv, arms in the order of the spec."""
    by_curve = dict(iter(bands.groupby(["metric", "backend", "arm"], sort=False)))
    curves: dict[str, list[ArmCurve]] = {}
    for metric in metrics_in(metrics):
        for (backend, arm), rows in _by_arm(_source(metric, metrics, training), arms):
            diverged = rows.loc[rows["status"] == "diverged", "seed"]
            grid, band = _grid(rows, metric), by_curve[metric, backend, arm]
            curve = ArmCurve(
                backend=backend,
                arm=arm,
                seeds=grid.seeds,
                epochs=grid.epochs,
                values=grid.values,
                diverged=np.isin(grid.seeds, diverged),
                mean=band["mean"].to_numpy(np.float64),
                low=band["ci_low"].to_numpy(np.float64),
                high=band["ci_high"].to_numpy(np.float64),
            )
            curves.setdefault(metric, []).append(curve)
    return curves


def _source(metric: str, metrics: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Return the table of runs that a metric is drawn from."""
    return training if metric in TRAIN_COLUMNS else metrics


def _by_arm(metrics: pd.DataFrame, arms: Sequence[str]) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Yield the evaluations of each backend and arm that has any."""
    for backend in metrics["backend"].unique():
        for arm in arms:
            rows = of_arm(metrics, backend, arm)
            if not rows.empty:
                yield (str(backend), arm), rows


@dataclass(frozen=True, eq=False)
class _Grid:
    """A metric of an arm, float64[epochs, seeds], nan where it is not finite."""

    epochs: DoubleArray
    seeds: tuple[int, ...]
    values: DoubleArray


def _grid(rows: pd.DataFrame, metric: str) -> _Grid:
    """Return a metric of an arm by epoch and seed, both ascending."""
    epochs, epoch = np.unique(rows["epoch"].to_numpy(np.float64), return_inverse=True)
    seeds, seed = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    values: DoubleArray = np.full((len(epochs), len(seeds)), np.nan)
    found = rows[metric].to_numpy(np.float64)
    values[epoch, seed] = np.where(np.isfinite(found), found, np.nan)
    return _Grid(epochs, tuple(seeds.tolist()), values)
