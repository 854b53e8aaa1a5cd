"""The runs that are set against each other: their values at one time point, and the differences of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.metrics_table import RUN_KEYS, RunKey, is_accuracy, run_key, run_status
from clrbench.planning.runs import cycle_end_epochs
from clrbench.planning.tuning import AT_RATE
from clrbench.spec import METRICS, Clock, Spec
from clrbench.store import StoredRun

DIFFERENCE_COLUMNS = ("backend", "metric", "candidate", "baseline", "seed", "difference")


@dataclass(frozen=True)
class Pairs:
    """The runs that are set against each other.

    Attributes:
        spec: The experiment.
        runs: All of them.
        metrics: Their evaluations.
        comparisons: Each candidate and its baseline.
        looks: How often each backend's verdict has been looked at with other seeds, this time included.
    """

    spec: Spec
    runs: Sequence[StoredRun]
    metrics: pd.DataFrame
    comparisons: Sequence[tuple[str, str]]
    looks: Mapping[str, int] = field(default_factory=dict)

    @property
    def backends(self) -> list[str]:
        """In order."""
        return list(dict.fromkeys(run_key(run)[0] for run in self.runs))

    @cached_property
    def diverged(self) -> frozenset[RunKey]:
        """Which of the runs diverged."""
        return frozenset(run_key(run) for run in self.runs if run_status(run) == "diverged")

    @cached_property
    def moved(self) -> Mapping[tuple[str, str, str], float]:
        """Where backend, candidate and baseline are compared if not at their ends."""
        return compared_epochs(self)

    def seeds(self, backend: str, candidate: str, baseline: str) -> list[int]:
        """Return the seeds of the pairs of two arms: runs with the same versions of the framework."""
        runs = self._infos
        both = [(first, (backend, baseline, first[2])) for first in runs if first[:2] == (backend, candidate)]
        return [first[2] for first, second in both if second in runs and not _differ(runs, first, second)]

    @cached_property
    def _infos(self) -> Mapping[RunKey, Mapping[str, Any]]:
        return {run_key(run): run.info for run in self.runs}

    def values(self, metric: str, epoch: float | None) -> Mapping[RunKey, float]:
        """Return the value of every run at an epoch, or at its end where that is None.

        A diverged run counts as a blind guess in accuracy, if any run has one; as nan in loss.
        """
        rows = self.metrics if epoch is None else self.metrics[_is_at(self.metrics, epoch)]
        at = rows.groupby(RUN_KEYS, sort=False)[metric].last(skipna=False)
        values = {key: np.nan if key in self.diverged else float(at.get(key, np.nan)) for key in self._infos}
        if is_accuracy(metric) and np.isfinite(list(values.values())).any():
            values |= {key: 1 / self._infos[key]["num_classes"] for key in self.diverged}
        return values


def mid_cycle_ends(spec: Spec, runs: Sequence[StoredRun]) -> dict[tuple[str, str], float]:
    """Return the epoch of the last cycle end of each backend and arm whose training ends amid a cycle."""
    found: dict[tuple[str, str], float] = {}
    for run in runs:
        backend, label, _ = run_key(run)
        arm, _, _ = label.partition(AT_RATE)
        if arm in spec.arms and (backend, label) not in found:
            clock = Clock(run.info["spec"]["steps_per_epoch"], run.info["spec"]["num_steps"])
            ends = list(cycle_end_epochs(spec.arms[arm].schedule, clock))
            if ends and clock.num_steps - ends[-1] * clock.steps_per_epoch >= 1:
                found[backend, label] = ends[-1]
    return found


def compared_epochs(pairs: Pairs) -> dict[tuple[str, str, str], float]:
    """Return where backend, candidate and baseline are compared if not at their ends: at a cycle's end, in both arms.

    A rate amid a cycle is high, and its accuracy low; where no evaluation stands at the cycle's end, nothing is moved.
    """
    ends = mid_cycle_ends(pairs.spec, pairs.runs)
    moved = {}
    for backend in pairs.backends:
        for candidate, baseline in pairs.comparisons:
            epochs = [ends[backend, arm] for arm in (candidate, baseline) if (backend, arm) in ends]
            if epochs and all(_evaluated(pairs.metrics, backend, arm, min(epochs)) for arm in (candidate, baseline)):
                moved[backend, candidate, baseline] = min(epochs)
    return moved


def _evaluated(metrics: pd.DataFrame, backend: str, arm: str, epoch: float) -> bool:
    rows = metrics[(metrics["backend"] == backend) & (metrics["arm"] == arm)]
    at = rows[_is_at(rows, epoch)]
    return not rows.empty and rows["seed"].nunique() == at["seed"].nunique()


def _is_at(metrics: pd.DataFrame, epoch: float) -> "pd.Series[bool]":
    """Return which rows are the evaluation at an epoch: its step is the whole one next to it."""
    steps_per_epoch = metrics["step"] / metrics["epoch"]
    return (metrics["step"] - epoch * steps_per_epoch).abs() <= 0.51


def differences_table(pairs: Pairs) -> pd.DataFrame:
    """Return candidate - baseline, a row per backend, metric, candidate, baseline and seed.

    A diverged run counts as a blind guess in accuracy; in loss its pair is left out. So is, in every metric, a pair whose
    two runs were made with different versions of the framework.
    """
    rows = []
    for metric in METRICS:
        for candidate, baseline in pairs.comparisons:
            for backend in pairs.backends:
                values = pairs.values(metric, pairs.moved.get((backend, candidate, baseline)))
                for seed in pairs.seeds(backend, candidate, baseline):
                    difference = values[backend, candidate, seed] - values[backend, baseline, seed]
                    rows.append((backend, metric, candidate, baseline, seed, difference))
    return pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS)).dropna()


def mixed_provenance(runs: Sequence[StoredRun], comparisons: Sequence[tuple[str, str]]) -> list[str]:
    """Return a sentence for each pair that is left out because its runs were made with different versions."""
    infos = {run_key(run): run.info for run in runs}
    return [
        f"mixed provenance: {backend}, seed {seed}: {candidate} and {baseline} were trained with different versions, so "
        "this pair is left out; run `clrbench compare --redo` to train both anew"
        for candidate, baseline in comparisons
        for backend, arm, seed in infos
        if arm == candidate and _differ(infos, (backend, candidate, seed), (backend, baseline, seed))
    ]


def _differ(runs: Mapping[RunKey, Mapping[str, Any]], first: RunKey, second: RunKey) -> bool:
    versions = [runs[key]["provenance"]["versions"] for key in (first, second) if key in runs]
    return len(versions) == 2 and versions[0] != versions[1]
