"""How arms are tuned: which rates are tried, in which runs, and which rate is chosen; nothing is trained here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias, cast

import numpy as np

from clrbench.data import DatasetSizes
from clrbench.planning.runs import BoundsTable, range_test_group, training_runs, with_bounds
from clrbench.spec import MAX_RATE, BackendName, RunSpec, Schedule, Spec, as_float32
from clrbench.spec.names import own_seeds

AT_RATE = "@"
"""Between the name of an arm and one of its rates; no name of an arm holds it."""

RateKey: TypeAlias = tuple[BackendName, str]
"""Backend and arm."""


@dataclass(frozen=True)
class Choice:
    """The best rate of a search; `at_edge` if none lower, or none higher, was tried, so that a better one may lie beyond."""

    rate: float
    at_edge: bool


def choose(scores: Mapping[float, float], *, higher_is_better: bool) -> Choice:
    """Return the best of the rates tried by their mean scores; of equal ones, the lowest."""
    sign = -1.0 if higher_is_better else 1.0
    best = min(sorted(scores), key=lambda rate: sign * scores[rate])
    return Choice(best, best in {min(scores), max(scores)})


def rate_beyond(rates: Iterable[float], best: float) -> float | None:
    """Return the next rate beyond the edge that the best of two or more lies at, in the ratio of the outermost two, else None."""
    ascending = sorted(rates)
    if best == ascending[0]:
        return as_float32(best**2 / ascending[1])
    highest = float(np.finfo(np.float32).max)
    return as_float32(min(best**2 / ascending[-2], highest)) if best == ascending[-1] else None


def at_rate(arm: str, rate: float | str) -> str:
    """Return what an arm is called at a rate, a number or how it is taken from the range test: `constant@1e-05`."""
    text = rate.replace(" ", "-") if isinstance(rate, str) else str(np.float32(rate)).removesuffix(".0")
    return f"{arm}{AT_RATE}{text}"


def arm_at_rate(label: str) -> str:
    """Return the arm that `at_rate` has named, without its rate."""
    return label.partition(AT_RATE)[0]


def given_label(spec: Spec, arm: str) -> str:
    """Return what a tuned arm is called at the rate that the spec gives for it."""
    return at_rate(arm, spec.resolved_arm(arm).schedule.rate)


def labelled_arm(spec: Spec, label: str) -> str:
    """Return the arm that a label stands for: its own name, or what `given_label` calls a tuned arm."""
    return {given_label(spec, arm): arm for arm in spec.tuned_arms}.get(label, label)


def baselines(spec: Spec, arm: str) -> list[str]:
    """Return what a baseline stands for: a tuned one for the rate given, and for the best rate tried."""
    return [given_label(spec, arm), arm] if arm in spec.tuned_arms else [arm]


def given_rate(spec: Spec, arm: str, backend: BackendName, bounds: BoundsTable) -> float:
    """Return the rate that the spec gives for an arm, which a range test may have found."""
    schedule = spec.resolved_arm(arm).schedule
    if schedule.needs_range_test:
        schedule = with_bounds(schedule, bounds[backend, range_test_group(spec, arm).arm])
    return float(schedule.rate)


def first_rates(spec: Spec, backends: Sequence[BackendName], bounds: BoundsTable) -> dict[RateKey, tuple[float, ...]]:
    """Return the rates that are tried first, of each backend and tuned arm."""
    found: dict[RateKey, tuple[float, ...]] = {}
    for backend, arm in product(backends, spec.tuned_arms):
        tune = spec.arms[arm].tune
        if tune is not None and tune.rates is not None:
            found[backend, arm] = tune.rates
        elif tune is not None and tune.points is not None:
            rates = np.geomspace(*bounds[backend, range_test_group(spec, arm).arm].bounds, tune.points)
            found[backend, arm] = tuple(dict.fromkeys(map(as_float32, rates.tolist())))
    return found


def extended(spec: Spec, arm: str, rates: tuple[float, ...], best: float) -> tuple[float, ...]:
    """Return the rates of an arm with one more, where the best of them lies at an edge and the schedule allows one beyond."""
    beyond = rate_beyond(rates, best)
    if beyond is None or not spec.resolved_arm(arm).schedule.lowest_rate <= beyond <= MAX_RATE:
        return rates
    return (*rates, beyond)


def search_runs(
    spec: Spec, sizes: DatasetSizes, bounds: BoundsTable, rates: Mapping[RateKey, tuple[float, ...]]
) -> list[RunSpec]:
    """Return the tries of tuned arms: runs as those of the arms, but for rate and seed, which see no test row."""
    num_seeds = {name: arm.tune.seeds for name, arm in spec.arms.items() if arm.tune is not None}
    # A try never has a seed that is reported.
    seeds = own_seeds(max(num_seeds.values(), default=0), spec.seeds)
    backends = tuple(dict.fromkeys(backend for backend, _ in rates))
    runs = training_runs(spec.model_copy(update={"seeds": seeds}), sizes, backends, bounds)
    return [
        _with_rate(run, rate).model_copy(update={"arm": at_rate(run.arm, rate), "evaluated_splits": ("validation",)})
        for run in runs
        if run.seed in seeds[: num_seeds.get(run.arm, 0)]
        for rate in rates[run.backend, run.arm]
    ]


def given_runs(
    spec: Spec, sizes: DatasetSizes, bounds: BoundsTable, rates: Mapping[RateKey, Iterable[float]]
) -> list[RunSpec]:
    """Return the runs of tuned baselines at the rates given, where these are not among the `rates` that may be chosen."""
    used = {spec.resolved_arm(name).baseline for name in spec.arms}
    wanted = {
        (backend, arm)
        for (backend, arm), chosen in rates.items()
        if arm in used and given_rate(spec, arm, backend, bounds) not in chosen
    }
    backends = tuple(dict.fromkeys(backend for backend, _ in rates))
    return [
        run.model_copy(update={"arm": given_label(spec, run.arm)})
        for run in training_runs(spec, sizes, backends, bounds)
        if (run.backend, run.arm) in wanted
    ]


def with_chosen(runs: Iterable[RunSpec], chosen: Mapping[RateKey, float]) -> list[RunSpec]:
    """Return the runs of an experiment, those of tuned arms with the rate chosen."""
    return [_with_rate(run, chosen[run.backend, run.arm]) if (run.backend, run.arm) in chosen else run for run in runs]


def _with_rate(run: RunSpec, rate: float) -> RunSpec:
    return run.model_copy(update={"schedule": cast(Schedule, run.schedule).with_rate(rate)})
