"""The runs that are set against each other: their values at one time point, and the differences of these."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import RUN_KEYS, diverged_value, is_accuracy, of_arm
from clrbench.analysis.results import Results, compared_metrics
from clrbench.planning.runs import cycle_end_epochs
from clrbench.records import DoubleArray
from clrbench.spec import Clock
from clrbench.store import RunKey, StoredRun

DIFFERENCE_COLUMNS = ("backend", "metric", "candidate", "baseline", "seed", "difference")


class Contest(NamedTuple):
    """Two arms that are compared on a backend."""

    backend: str
    candidate: str
    baseline: str


class MixedPair(NamedTuple):
    """A pair that is left out, as its two runs were made with different versions, or from different initial weights."""

    contest: Contest
    seed: int


def runs_by_key(results: Results) -> dict[RunKey, StoredRun]:
    """Return all runs that are compared, by their keys."""
    return {run.key: run for run in results.compared_runs}


def contests(results: Results) -> list[Contest]:
    """Return every candidate and baseline on every backend, the backends one after the other."""
    return [Contest(backend, *pair) for backend in results.backends for pair in results.comparisons]


def paired_seeds(results: Results) -> dict[Contest, list[int]]:
    """Return the seeds of the pairs of two arms: runs with the same versions of the framework."""
    runs = results.once(runs_by_key)
    return {
        contest: [seed for seed in _shared_seeds(results, contest) if not _is_mixed(runs, contest, seed)]
        for contest in contests(results)
    }


def mixed_pairs(results: Results) -> list[MixedPair]:
    """Return the pairs that are left out, as their two runs were made with different versions."""
    runs = results.once(runs_by_key)
    return [
        MixedPair(contest, seed)
        for contest in (Contest(backend, *pair) for pair in results.comparisons for backend in results.backends)
        for seed in _shared_seeds(results, contest)
        if _is_mixed(runs, contest, seed)
    ]


def moved_epochs(results: Results) -> dict[Contest, float]:
    """Return the epoch at which two arms are compared where that is not their end, but the end of a cycle.

    Within a cycle the rate is high and the accuracy low, so arms whose training ends there are compared at the end of the
    last whole cycle, if both were evaluated at it.
    """
    ends, metrics = _mid_cycle_ends(results), results.once(compared_metrics)
    moved = {}
    for contest in contests(results):
        arms = contest[1:]
        epochs = [ends[contest.backend, arm] for arm in arms if (contest.backend, arm) in ends]
        if epochs and all(_is_evaluated(metrics, contest.backend, arm, min(epochs)) for arm in arms):
            moved[contest] = min(epochs)
    return moved


def differences_table(results: Results) -> pd.DataFrame:
    """Return candidate - baseline, a row per backend, metric, candidate, baseline and seed.

    A diverged run counts as a blind guess in accuracy; in loss its pair is left out, and in all metrics of a script, of which
    nobody knows what a blind guess reaches. So is, in every metric, a pair whose
    two runs were made with different versions of the framework.
    """
    moved, seeds = results.once(moved_epochs), results.once(paired_seeds)
    rows = []
    for metric in results.metrics:
        values = {epoch: _values(results, metric, epoch) for epoch in {None, *moved.values()}}
        for contest in (Contest(backend, *pair) for pair in results.comparisons for backend in results.backends):
            found = values[moved.get(contest)]
            for seed in seeds[contest]:
                candidate, baseline = (found[RunKey(contest.backend, arm, seed)] for arm in contest[1:])
                rows.append((contest.backend, metric, *contest[1:], seed, candidate - baseline))
    table = pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))
    return table.replace([np.inf, -np.inf], np.nan).dropna()


def arm_values(results: Results, metric: str, contest: Contest) -> tuple[DoubleArray, DoubleArray]:
    """Return the values of all runs of candidate and baseline where they are compared, without those that have none."""
    values = _values(results, metric, results.once(moved_epochs).get(contest))
    candidate, baseline = (
        np.array([value for key, value in values.items() if key[:2] == (contest.backend, arm)], np.float64)
        for arm in contest[1:]
    )
    return candidate[np.isfinite(candidate)], baseline[np.isfinite(baseline)]


def _values(results: Results, metric: str, epoch: float | None) -> Mapping[RunKey, float]:
    """Return the value of every run at an epoch, or at its end where that is None; nan where it has none."""
    runs, metrics = results.once(runs_by_key), results.once(compared_metrics)
    rows = metrics if epoch is None else metrics[_is_at(metrics, epoch)]
    at = rows.groupby(RUN_KEYS, sort=False)[metric].last(skipna=False).to_dict()
    values = {key: np.nan if run.has_diverged else float(at.get(key, np.nan)) for key, run in runs.items()}
    # What no run was evaluated on, such as validation rows that there are none of, a diverged run has no value in either.
    if is_accuracy(metric) and not np.isfinite(list(values.values())).any():
        return values
    guesses = {key: diverged_value(metric, run.record.num_classes) for key, run in runs.items() if run.has_diverged}
    return values | guesses


def _mid_cycle_ends(results: Results) -> dict[tuple[str, str], float]:
    """Return the epoch of the last cycle end of each backend and arm whose training ends amid a cycle."""
    found: dict[tuple[str, str], float] = {}
    schedules = results.schedules
    for run in results.compared_runs:
        clock = Clock(run.spec.steps_per_epoch, run.spec.num_steps)
        ends = list(cycle_end_epochs(schedules[run.key.arm], clock))
        if ends and clock.num_steps - ends[-1] * clock.steps_per_epoch >= 1:
            found.setdefault((run.key.backend, run.key.arm), ends[-1])
    return found


def _is_evaluated(metrics: pd.DataFrame, backend: str, arm: str, epoch: float) -> bool:
    rows = of_arm(metrics, backend, arm)
    at = rows[_is_at(rows, epoch)]
    return not rows.empty and rows["seed"].nunique() == at["seed"].nunique()


def _is_at(metrics: pd.DataFrame, epoch: float) -> "pd.Series[bool]":
    """Return which rows are the evaluation at an epoch: its step is the whole one next to it."""
    steps_per_epoch = metrics["step"] / metrics["epoch"]
    return (metrics["step"] - epoch * steps_per_epoch).abs() <= 0.51


def seeds_by_arm(results: Results) -> dict[tuple[str, str], list[int]]:
    """Return the seeds of the runs of each backend and arm that is compared."""
    found: dict[tuple[str, str], list[int]] = {}
    for key in results.once(runs_by_key):
        found.setdefault(key[:2], []).append(key.seed)
    return found


def _shared_seeds(results: Results, contest: Contest) -> list[int]:
    runs, seeds = results.once(runs_by_key), results.once(seeds_by_arm).get(contest[:2], [])
    return [seed for seed in seeds if RunKey(contest.backend, contest.baseline, seed) in runs]


def _is_mixed(runs: Mapping[RunKey, StoredRun], contest: Contest, seed: int) -> bool:
    first, second = (runs[RunKey(contest.backend, arm, seed)].provenance.shared_by_pairs for arm in contest[1:])
    return first != second
