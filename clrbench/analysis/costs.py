"""What each arm costs: its training, and the range test, the search or the earlier work that found its rates."""

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from clrbench.analysis.curves import metric_bands
from clrbench.analysis.metrics import of_arm
from clrbench.analysis.results import Results, own_metrics
from clrbench.analysis.search import tries_by_arm
from clrbench.analysis.summary import summary_table
from clrbench.planning.runs import range_test_group
from clrbench.planning.tuning import labelled_arm
from clrbench.spec import Spec
from clrbench.store import StoredRun

ArmKey: TypeAlias = tuple[str, str]
"""A backend, and an arm or what a tuned one is called at the rate given."""


def costs_table(results: Results) -> pd.DataFrame:
    """Return the updates of each arm on each backend: of one run, of all that found its rates, and together.

    `given_steps` are those that the spec states with the rates; nan, as is the total, where it gives rates without them.
    """
    train_steps = {run.key[:2]: run.spec.num_steps for run in results.runs}
    search_steps = results.search.chosen.set_index(["backend", "arm"])["search_steps"].to_dict()
    summary = results.once(summary_table)
    keys = list(summary[["backend", "arm"]].itertuples(index=False, name=None))
    table = summary[["backend", "arm", "runs", f"{results.spec.verdict.metric}_mean"]].assign(
        train_steps=[train_steps[key] for key in keys],
        range_test_steps=[sum(run.updates_made for run in _sweeps(results, *key)) for key in keys],
        search_steps=[search_steps.get(key, 0) for key in keys],
        given_steps=[given_steps(results.spec, arm) for _, arm in keys],
    )
    columns = ["train_steps", "range_test_steps", "search_steps", "given_steps"]
    return table.assign(total_steps=table[columns].sum(axis=1, skipna=False)).astype(
        {"given_steps": "float64", "total_steps": "float64"}
    )


def cost_seconds_table(results: Results) -> pd.DataFrame:
    """Return the same in seconds: of the training of one run, in the mean, and of all that found its rates.

    Those of range test and search are of training and evaluation, without which there is no choice. The total is nan
    where the rates are given, as nobody knows what finding them took in seconds, and where not all of the runs were made
    on the same device with equal threads and executor.
    """
    runs: dict[ArmKey, list[StoredRun]] = {}
    for run in results.runs:
        runs.setdefault((run.key.backend, run.key.arm), []).append(run)
    before = results.once(seconds_before_training)
    rows = []
    for key, own in runs.items():
        trained = float(np.mean([run.timing.train_seconds for run in own]))
        seconds = (trained, _seconds(_sweeps(results, *key)), _seconds(_tries(results, *key)), trained + before[key])
        rows.append((*key, len(own), *(round(value, 4) for value in seconds)))
    times = ["train_seconds", "range_test_seconds", "search_seconds", "total_seconds"]
    return pd.DataFrame(rows, columns=["backend", "arm", "runs", *times])


def given_steps(spec: Spec, label: str) -> float:
    """Return how many updates found the rates that the spec gives for an arm; nan where it does not say.

    They are 0 where a range test or a search finds them, which are charged by themselves.
    """
    arm = labelled_arm(spec, label)
    schedule = spec.arms[arm].schedule
    if schedule.found_steps is not None:
        return schedule.found_steps
    return 0 if schedule.needs_range_test or label in spec.tuned_arms else math.nan


def steps_before_training(results: Results) -> dict[ArmKey, float]:
    """Return how many updates found the rates of each backend and arm, tuned ones also at the rate given; nan: not known."""
    rows = results.once(costs_table).to_dict("records")
    found = {(row["backend"], row["arm"]): float(row["total_steps"] - row["train_steps"]) for row in rows}
    for backend, label in dict.fromkeys(run.key[:2] for run in results.search.given_runs):
        swept = sum(run.updates_made for run in _sweeps(results, backend, label))
        found[backend, label] = swept + given_steps(results.spec, label)
    return found


def seconds_before_training(results: Results) -> dict[ArmKey, float]:
    """Return how many seconds of training and evaluation found the rates of the same; nan where this is not known.

    See `cost_seconds_table` for when it is not.
    """
    machines: dict[ArmKey, set[tuple[str, int, str]]] = {}
    for run in results.compared_runs:
        machines.setdefault((run.key.backend, run.key.arm), set()).add(_machine(run))
    found: dict[ArmKey, float] = {}
    for key, own in machines.items():
        runs = [*_sweeps(results, *key), *_tries(results, *key)]
        alike = len(own.union(map(_machine, runs))) == 1 or not runs
        found[key] = _seconds(runs) if alike and given_steps(results.spec, key[1]) == 0 else math.nan
    return found


def cost_curve(results: Results) -> pd.DataFrame | None:
    """Return the mean of the metric of the verdict over the updates, those that found the rates counted first.

    One row per evaluation; without the arms for which they are not known. None where no arm had to find its rates.
    """
    before = {key: steps for key, steps in results.once(steps_before_training).items() if math.isfinite(steps)}
    if not any(before.values()):
        return None
    metrics = results.once(own_metrics)
    bands = metric_bands(metrics, results.spec.verdict.metric, list(results.spec.arms))
    tables = []
    for (backend, arm), band in bands.groupby(["backend", "arm"], sort=False):
        if (backend, arm) in before:
            evaluations = of_arm(metrics, str(backend), str(arm)).groupby("epoch")["step"].first()
            steps = evaluations.to_numpy() + int(before[str(backend), str(arm)])
            columns = {"backend": backend, "arm": arm, "total_step": steps, "mean": band["mean"].to_numpy()}
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True) if tables else None


def _sweeps(results: Results, backend: str, label: str) -> list[StoredRun]:
    """Return the runs of the range test that the rates of an arm were taken from."""
    arm = labelled_arm(results.spec, label)
    source = results.spec.arms[arm] if label == arm else results.spec.arms[arm].schedule
    group = range_test_group(results.spec, arm).arm
    if not source.needs_range_test or group not in results.range_tests:
        return []
    return [run for run in results.range_tests[group].runs if run.key.backend == backend]


def _tries(results: Results, backend: str, label: str) -> list[StoredRun]:
    """Return the runs that tried rates for an arm; none for a tuned one at the rate given."""
    return results.once(_all_tries).get((backend, label), [])


def _all_tries(results: Results) -> Mapping[ArmKey, list[StoredRun]]:
    return tries_by_arm(results.spec, results.search)


def _seconds(runs: list[StoredRun]) -> float:
    return sum(run.timing.train_seconds + run.timing.evaluation_seconds for run in runs)


def _machine(run: StoredRun) -> tuple[str, int, str]:
    return run.provenance.device, run.provenance.threads, run.provenance.executor
