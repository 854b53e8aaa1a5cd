"""What each arm costs in updates: its training, and the range test and the search that found its rates."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from clrbench.analysis.metrics_table import run_key
from clrbench.analysis.tables import timing_table
from clrbench.planning.runs import needed_range_tests, range_test_group
from clrbench.report.arm_curves import arm_curves
from clrbench.spec import Spec
from clrbench.store import ResultsFolder, StoredRun

CURVE_COLUMNS = ("backend", "arm", "total_step", "mean")

Sweeps: TypeAlias = Mapping[str | None, Sequence[StoredRun]]
"""The runs of the range tests that arms take their rates from, by `RangeTestGroup.arm`."""


def read_sweeps(folder: ResultsFolder, spec: Spec) -> Sweeps:
    """Return the runs of the range tests that the arms of an experiment take their rates from."""
    tests = {group.arm: folder.range_test(group.arm) for group in needed_range_tests(spec)}
    return {arm: test.indexed_runs() for arm, test in tests.items() if test.has_runs()}


def costs_table(
    spec: Spec, runs: Sequence[StoredRun], summary: pd.DataFrame, chosen: pd.DataFrame, sweeps: Sweeps
) -> pd.DataFrame:
    """Return the updates of each arm on each backend: of one run, of its range test, of its search, and together.

    Args:
        spec: The experiment, resolved.
        runs: Its finished runs.
        summary: The table summary.csv.
        chosen: The table chosen.csv; empty where no arm is tuned.
        sweeps: Of the experiment.
    """
    train_steps = {run_key(run)[:2]: run.info["spec"]["num_steps"] for run in runs}
    search_steps = chosen.set_index(["backend", "arm"])["search_steps"].to_dict()
    mean = f"{spec.verdict.metric}_mean"
    rows = [
        {
            "backend": row["backend"],
            "arm": row["arm"],
            "runs": row["runs"],
            mean: row[mean],
            "train_steps": train_steps[row["backend"], row["arm"]],
            "range_test_steps": _range_test_steps(spec, row["backend"], row["arm"], sweeps),
            "search_steps": search_steps.get((row["backend"], row["arm"]), 0),
        }
        for row in summary.to_dict("records")
    ]
    table = pd.DataFrame(rows)
    return table.assign(total_steps=table["train_steps"] + table["range_test_steps"] + table["search_steps"])


def _range_test_steps(spec: Spec, backend: str, arm: str, sweeps: Sweeps) -> int:
    if not spec.arms[arm].needs_range_test:
        return 0
    return sum(
        updates_made(run) for run in sweeps.get(range_test_group(spec, arm).arm, ()) if run_key(run)[0] == backend
    )


def updates_made(run: StoredRun) -> int:
    """Return how many updates a run made: all of those planned, or up to the one that diverged."""
    return int(run.steps["lr"].notna().sum())


def whole_timing(runs: Sequence[StoredRun], search: Sequence[StoredRun], sweeps: Sweeps) -> pd.DataFrame:
    """Return where the time of every run went, those of searches and range tests among them.

    Args:
        runs: Those of the comparison.
        search: The tries, and the runs at the rates given.
        sweeps: Of the experiment.
    """
    by_purpose = {"run": runs, "search": search, "range_test": [run for runs in sweeps.values() for run in runs]}
    tables = [timing_table(of).assign(purpose=purpose) for purpose, of in by_purpose.items() if of]
    return pd.concat(tables, ignore_index=True)


def cost_curve(metrics: pd.DataFrame, costs: pd.DataFrame, metric: str, arms: Sequence[str]) -> pd.DataFrame:
    """Return the mean of a metric over the updates, those that found the rates counted first, a row an evaluation.

    Args:
        metrics: The table metrics.csv.
        costs: The table costs.csv.
        metric: A column of `metrics`.
        arms: Arms in the order of the spec.
    """
    before = (costs["total_steps"] - costs["train_steps"]).set_axis(pd.MultiIndex.from_frame(costs[["backend", "arm"]]))
    tables = []
    for curve in arm_curves(metrics, metric, arms):
        rows = metrics[(metrics["backend"] == curve.backend) & (metrics["arm"] == curve.arm)]
        steps = rows.groupby("epoch")["step"].first().to_numpy() + before[curve.backend, curve.arm]
        values = {"total_step": steps, "mean": curve.band[0]}
        tables.append(pd.DataFrame({"backend": curve.backend, "arm": curve.arm, **values}, columns=list(CURVE_COLUMNS)))
    return pd.concat(tables, ignore_index=True)
