"""How much sooner an arm gets to a target than its baseline, over their pairs of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import cast

import numpy as np
import pandas as pd

from clrbench.analysis.costs import steps_before_training
from clrbench.analysis.pairs import Contest, runs_by_key
from clrbench.analysis.results import Results
from clrbench.analysis.targets import KINDS, compared_targets
from clrbench.records import DoubleArray
from clrbench.stats import median_interval
from clrbench.store import StoredRun


@dataclass(frozen=True)
class Times:
    """What the runs of an arm took to a target.

    Attributes:
        taken: float64[pairs], inf for a miss.
        given: float64[pairs], for how long each run was to be trained.
    """

    taken: DoubleArray
    given: DoubleArray


@dataclass(frozen=True)
class SpeedUp:
    """The median of the paired ratios baseline / candidate, of which every miss makes a bound.

    Attributes:
        speed_up_low: The least that the median can be; equal to `speed_up_high` unless misses leave it open.
        speed_up_high: The most that it can be.
        ci_low: Lower end of its sign-test interval.
        ci_high: Upper end.
    """

    speed_up_low: float
    speed_up_high: float
    ci_low: float
    ci_high: float


ROLES = ("candidate", "baseline")
_PAIR_COLUMNS = ("backend", "candidate", "baseline", "metric", "target", "kind")
_SAME_MACHINE = ("device", "threads", "executor")
_SPEED_UP = tuple(field.name for field in fields(SpeedUp))
TIME_TO_TARGET_COLUMNS = (
    *_PAIR_COLUMNS,
    *(f"{role}_{name}" for role in ROLES for name in ("runs", "misses")),
    *(f"{role}_median_{unit}" for unit in ("steps", "epochs", "total_steps") for role in ROLES),
    "pairs",
    *(f"{way}{name}" for way in ("", "epochs_", "total_") for name in _SPEED_UP),
)
SECONDS_COLUMNS = (
    *_PAIR_COLUMNS,
    *_SAME_MACHINE,
    *(f"{role}_median_seconds" for role in ROLES),
    "pairs",
    *_SPEED_UP,
)


def speed_up(candidate: Times, baseline: Times, *, alpha: float) -> SpeedUp:
    """Return how much sooner the candidate gets to the target than the baseline, in the median over their pairs.

    A run that misses would take longer than it was given. So where the candidate misses, the ratio lies between 0 and the
    baseline's time over what the candidate was given; where the baseline misses, between what it was given over the
    candidate's time and inf; where both miss, anywhere. The lower end of the interval counts every pair at its lower bound
    and the upper end at its upper one, which keeps the coverage.

    Args:
        candidate: Times of the candidate.
        baseline: Times of the baseline, pair by pair.
        alpha: 1 - the coverage of the interval.
    """
    lowest = np.sort(np.minimum(baseline.taken, baseline.given) / candidate.taken)
    highest = np.sort(baseline.taken / np.minimum(candidate.taken, candidate.given))
    if not len(lowest):
        return SpeedUp(0.0, math.inf, 0.0, math.inf)
    ends = median_interval(lowest, alpha)[0], median_interval(highest, alpha)[1]
    return SpeedUp(_median_ratio(lowest), _median_ratio(highest), max(ends[0], 0.0), ends[1])


def time_to_target_table(results: Results) -> pd.DataFrame:
    """Return how much sooner each candidate gets to each target than its baseline, in steps.

    Pairs of runs of different versions are left out. The columns of the total count the steps that found the rates, too.
    """
    before_training = results.once(steps_before_training)
    rows = []
    for place, arms in _contests(results):
        seeds = _shared_seeds(arms, ("versions",))
        costs = [before_training.get((str(place["backend"]), str(place[role])), 0) for role in ROLES]
        for kind in KINDS:
            row = {**place, "kind": kind}
            for role, arm, cost in zip(ROLES, arms, costs, strict=True):
                row |= {f"{role}_{key}": value for key, value in arm.summary(kind, cost).items()}
            ways: dict[str, list[Times]] = {
                "": [arm.times(kind, seeds) for arm in arms],
                "epochs_": [
                    arm.times(kind, seeds, arm.numbers(seeds, lambda run: run.spec.steps_per_epoch)) for arm in arms
                ],
                "total_": [arm.times(kind, seeds, start=cost) for arm, cost in zip(arms, costs, strict=True)],
            }
            for way, (candidate, baseline) in ways.items():
                found = asdict(speed_up(candidate, baseline, alpha=results.spec.verdict.alpha))
                row |= {f"{way}{key}": value for key, value in found.items()}
            rows.append({**row, "pairs": len(seeds)})
    return pd.DataFrame(rows, columns=list(TIME_TO_TARGET_COLUMNS))


def seconds_table(results: Results) -> pd.DataFrame:
    """Return the same in seconds of training, over the pairs on the same device with equal threads and executor.

    A run's seconds are its steps times what one of its steps took on average; neither evaluation nor compiling counts.
    """
    rows = []
    for place, arms in _contests(results):
        shared = _shared_seeds(arms, ("versions", *_SAME_MACHINE))
        machines = {seed: _provenance(arms[0].runs[seed], _SAME_MACHINE) for seed in shared}
        for machine in dict.fromkeys(machines.values()):
            seeds = [seed for seed in shared if machines[seed] == machine]
            for kind in KINDS:
                candidate, baseline = (arm.times(kind, seeds, arm.numbers(seeds, _steps_per_second)) for arm in arms)
                medians = [float(np.median(times.taken)) for times in (candidate, baseline)]
                found = astuple(speed_up(candidate, baseline, alpha=results.spec.verdict.alpha))
                rows.append((*place.values(), kind, *machine, *medians, len(seeds), *found))
    return pd.DataFrame(rows, columns=list(SECONDS_COLUMNS))


@dataclass(frozen=True)
class _Arm:
    """An arm on its way to a target.

    Attributes:
        crossings: Its rows of targets.csv, by seed.
        runs: Its runs, by seed.
    """

    crossings: pd.DataFrame
    runs: Mapping[int, StoredRun]

    def numbers(self, seeds: Sequence[int], number: Callable[[StoredRun], float]) -> DoubleArray:
        """Return a number of each run, float64[seeds]."""
        return np.array([number(self.runs[seed]) for seed in seeds], np.float64)

    def times(self, kind: str, seeds: Sequence[int], per: DoubleArray | float = 1.0, start: float = 0.0) -> Times:
        """Return what the runs took.

        Args:
            kind: `first` or `sustained`, the kind of crossing.
            seeds: The runs.
            per: Steps in a unit of time, of each run or of all.
            start: Time that had passed before the first step.
        """
        taken = self.crossings.loc[list(seeds), f"{kind}_step"].to_numpy(np.float64)
        return Times(start + taken / per, start + self.numbers(seeds, lambda run: run.spec.num_steps) / per)

    def summary(self, kind: str, search_steps: float) -> dict[str, float]:
        """Return how many runs there are, how many of them miss, and their medians, in which a miss is inf."""
        steps = self.crossings[f"{kind}_step"]
        return {
            "runs": len(steps),
            "misses": int(np.isinf(steps).sum()),
            "median_steps": steps.median(),
            "median_epochs": self.crossings[f"{kind}_epoch"].median(),
            "median_total_steps": steps.median() + search_steps,
        }


def _median_ratio(ordered: DoubleArray) -> float:
    """Return the middle of ascending ratios, or the geometric mean of the middle two."""
    size = len(ordered)
    return math.sqrt(ordered[(size - 1) // 2] * ordered[size // 2])


def _contests(results: Results) -> Iterator[tuple[dict[str, str | float], list[_Arm]]]:
    """Yield backend, candidate, baseline, metric and target, and the candidate and the baseline."""
    runs: dict[tuple[str, str], dict[int, StoredRun]] = {}
    for key, run in results.once(runs_by_key).items():
        runs.setdefault(key[:2], {})[key.seed] = run
    targets = results.once(compared_targets)
    for goal, rows in targets.groupby(["backend", "metric", "target"], sort=False):
        backend, metric, target = cast(tuple[str, str, float], goal)
        for names in results.comparisons:
            arms = [_Arm(rows[rows["arm"] == arm].set_index("seed"), runs.get((backend, arm), {})) for arm in names]
            yield {**Contest(backend, *names)._asdict(), "metric": metric, "target": target}, arms


def _shared_seeds(arms: Sequence[_Arm], same: Sequence[str]) -> list[int]:
    """Return the seeds whose runs agree in all these parts of their provenance."""
    candidate, baseline = arms
    seeds = [seed for seed in candidate.crossings.index if seed in baseline.crossings.index]
    return [s for s in seeds if _provenance(candidate.runs[s], same) == _provenance(baseline.runs[s], same)]


def _provenance(run: StoredRun, keys: Sequence[str]) -> tuple[object, ...]:
    return tuple(getattr(run.provenance, key) for key in keys)


def _steps_per_second(run: StoredRun) -> float:
    return run.updates_made / run.timing.train_seconds
