"""How much sooner an arm gets to a target than its baseline, over their pairs of runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from clrbench.analysis.costs import seconds_before_training, steps_before_training
from clrbench.analysis.metrics import RUN_KEYS
from clrbench.analysis.pairs import Contest
from clrbench.analysis.results import Results
from clrbench.analysis.targets import KINDS, compared_targets
from clrbench.records import DoubleArray
from clrbench.stats import median_interval


@dataclass(frozen=True)
class Times:
    """What the runs of an arm took to a target.

    Attributes:
        taken: float64[pairs], inf for a miss.
        given: float64[pairs], for how long each run was to be trained.
    """

    taken: DoubleArray
    given: DoubleArray


class SpeedUp(NamedTuple):
    """The median of the paired ratios baseline / candidate, of which every miss makes a bound.

    Attributes:
        speed_up_low: The least that the median can be; equal to `speed_up_high` unless misses leave it open. All are nan
            where the cost of an arm is not known.
        ci_low: Lower end of its sign-test interval.
    """

    speed_up_low: float
    speed_up_high: float
    ci_low: float
    ci_high: float


ROLES = ("candidate", "baseline")
_KEYS = ("backend", "candidate", "baseline", "metric", "target", "kind")
_SAME_MACHINE = ("device", "threads", "executor")
TIME_TO_TARGET_COLUMNS = (
    *_KEYS,
    *(f"{role}_{count}" for role in ROLES for count in ("runs", "misses")),
    *(f"{role}_median_{unit}" for unit in ("steps", "epochs", "total_steps") for role in ROLES),
    "pairs",
    *(f"{unit}{name}" for unit in ("", "epochs_", "total_") for name in SpeedUp._fields),
)
SECONDS_COLUMNS = (
    *(*_KEYS, *_SAME_MACHINE),
    *(f"{role}_{time}" for time in ("median_seconds", "search_seconds", "median_total_seconds") for role in ROLES),
    "pairs",
    *(f"{unit}{name}" for unit in ("", "total_") for name in SpeedUp._fields),
)


def speed_up(candidate: Times, baseline: Times, *, alpha: float) -> SpeedUp:
    """Return how much sooner the candidate gets to the target than the baseline, in the median over their pairs.

    A run that misses would take longer than it was given. So where the candidate misses, the ratio lies between 0 and the
    baseline's time over what the candidate was given; where the baseline misses, between what it was given over the
    candidate's time and inf; where both miss, anywhere. The lower end of the interval, which covers with 1 - alpha, counts
    every pair at its lower bound and the upper end at its upper one, which keeps the coverage.
    """
    lowest = np.sort(np.minimum(baseline.taken, baseline.given) / candidate.taken)
    highest = np.sort(baseline.taken / np.minimum(candidate.taken, candidate.given))
    if not len(lowest):
        return SpeedUp(0.0, math.inf, 0.0, math.inf)
    if np.isnan(lowest).any():
        return SpeedUp(math.nan, math.nan, math.nan, math.nan)
    ends = median_interval(lowest, alpha)[0], median_interval(highest, alpha)[1]
    return SpeedUp(_median_ratio(lowest), _median_ratio(highest), max(ends[0], 0.0), ends[1])


def time_to_target_table(results: Results) -> pd.DataFrame:
    """Return how much sooner each candidate gets to each target than its baseline, in steps.

    Pairs of runs of different versions are left out. The columns of the total count the steps that found the rates, too, and
    are nan where these are not known.
    """
    before_training = results.once(steps_before_training)
    rows = []
    for place, arms in _contests(results):
        pairs = _pairs(arms, ["versions"])
        costs = [before_training.get((str(place["backend"]), str(place[role])), 0) for role in ROLES]
        for kind in KINDS:
            row = {**place, "kind": kind, "pairs": len(pairs[0])}
            for role, arm, cost in zip(ROLES, arms, costs, strict=True):
                steps = arm[f"{kind}_step"]
                row |= {f"{role}_runs": len(steps), f"{role}_misses": int(np.isinf(steps).sum())}
                row |= {f"{role}_median_steps": steps.median(), f"{role}_median_total_steps": steps.median() + cost}
                row[f"{role}_median_epochs"] = arm[f"{kind}_epoch"].median()
            times_by_unit = {
                "": [_times(arm, kind) for arm in pairs],
                "epochs_": [_times(arm, kind, arm["steps_per_epoch"]) for arm in pairs],
                "total_": [_times(arm, kind, start=cost) for arm, cost in zip(pairs, costs, strict=True)],
            }
            for unit, times in times_by_unit.items():
                found = speed_up(*times, alpha=results.spec.verdict.alpha)
                row |= {f"{unit}{name}": value for name, value in found._asdict().items()}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(TIME_TO_TARGET_COLUMNS))


def seconds_table(results: Results) -> pd.DataFrame:
    """Return the same in seconds of training, over the pairs on the same device with equal threads and executor.

    A run's seconds are its steps times what one of its steps took on average; neither evaluation nor compiling counts. The
    seconds of the search are those of `seconds_before_training`, which hold its evaluations; the total is with them.
    """
    before_training = results.once(seconds_before_training)
    rows = []
    for place, arms in _contests(results):
        candidate, baseline = _pairs(arms, ["versions", *_SAME_MACHINE])
        costs = [before_training.get((str(place["backend"]), str(place[role])), math.nan) for role in ROLES]
        for machine, of_machine in candidate.groupby(list(_SAME_MACHINE), sort=False):
            pairs = (of_machine, baseline.loc[of_machine.index])
            for kind in KINDS:
                pace = [(arm, kind, arm["steps_per_second"]) for arm in pairs]
                alone = [_times(*one) for one in pace]
                total = [_times(*one, cost) for one, cost in zip(pace, costs, strict=True)]
                medians, totals = ([float(np.median(one.taken)) for one in times] for times in (alone, total))
                found = [
                    value for times in (alone, total) for value in speed_up(*times, alpha=results.spec.verdict.alpha)
                ]
                rows.append((*place.values(), kind, *machine, *medians, *costs, *totals, len(of_machine), *found))
    return pd.DataFrame(rows, columns=list(SECONDS_COLUMNS))


def _median_ratio(ordered: DoubleArray) -> float:
    """Return the middle of ascending ratios, or the geometric mean of the middle two."""
    size = len(ordered)
    return math.sqrt(ordered[(size - 1) // 2] * ordered[size // 2])


def _contests(results: Results) -> Iterator[tuple[dict[str, str | float], list[pd.DataFrame]]]:
    """Yield backend, candidate, baseline, metric and target, and the runs of candidate and baseline, by seed."""
    runs = results.once(_runs_table)
    targets = results.once(compared_targets)
    for goal, rows in targets.groupby(["backend", "metric", "target"], sort=False):
        backend, metric, target = cast(tuple[str, str, float], goal)
        here = rows.join(runs.loc[backend], on=["arm", "seed"])
        for names in results.comparisons:
            arms = [here[here["arm"] == arm].set_index("seed") for arm in names]
            yield {**Contest(backend, *names)._asdict(), "metric": metric, "target": target}, arms


def _runs_table(results: Results) -> pd.DataFrame:
    """Return how long each run was to be trained, at which pace it was, and what it was made with."""
    rows = [
        {
            **run.key._asdict(),
            "num_steps": run.spec.num_steps,
            "steps_per_epoch": run.spec.steps_per_epoch,
            "steps_per_second": run.updates_made / run.timing.train_seconds,
            "versions": run.provenance.shared_by_pairs,
            **{name: getattr(run.provenance, name) for name in _SAME_MACHINE},
        }
        for run in results.compared_runs
    ]
    return pd.DataFrame(rows).set_index(RUN_KEYS)


def _pairs(arms: Sequence[pd.DataFrame], same: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the runs of the pairs that agree in all these columns, pair by pair."""
    candidate, baseline = arms
    seeds = candidate.index[candidate.index.isin(baseline.index)]
    candidate, baseline = candidate.loc[seeds], baseline.loc[seeds]
    alike = (candidate[same] == baseline[same]).all(axis=1)
    return candidate[alike], baseline[alike]


def _times(runs: pd.DataFrame, kind: str, per: pd.Series[float] | float = 1.0, start: float = 0.0) -> Times:
    """Return what the runs took, with `per` steps in a unit of time, of which `start` had passed before the first step."""
    taken, given = (start + runs[name] / per for name in (f"{kind}_step", "num_steps"))
    return Times(taken.to_numpy(np.float64), given.to_numpy(np.float64))
