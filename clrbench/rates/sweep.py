"""The sweep: from which rate to which, and what its curve says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from clrbench.range_test import BEFORE_FIRST, NEVER_STOPS, suggest_bounds
from clrbench.rates.find import Found
from clrbench.rates.lattice import PER_DECADE, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.records import MIN_SWEEP_STEPS, Outcome, Problem, Run
from clrbench.records import Bounds, DoubleArray

BEYOND = 10.0
"""Limits that are left are left by this factor."""


@dataclass(frozen=True)
class Swept:
    """The sweeps that the curve comes from, and what it says.

    Attributes:
        given: The limits of the first attempt.
        left_for: Why these were left, or None.
    """

    limits: tuple[float, float]
    bounds: Bounds
    given: tuple[float, float]
    left_for: str | None = None


def sweep(ledger: Ledger, found: Found | None) -> Course[Swept]:
    """Sweep over the limits given, or found; once more, beyond those given, where the curve does not lie within them."""
    problem = ledger.problem
    given = limits(problem, found)
    swept = Swept(given, (yield from _attempt(ledger, given, problem.seeds, problem.sweep_steps)), given)
    if problem.start_lr is None or problem.end_lr is None:
        return swept
    wider, why = _left(given, swept.bounds)
    # Where rates are confirmed by training the curve only has to show base_lr, and half as much of one seed will do for that.
    seeds = problem.seeds[:1] if problem.confirm else problem.seeds
    steps = max(problem.sweep_steps // 2, MIN_SWEEP_STEPS) if problem.confirm else problem.sweep_steps
    kept = ledger.training_share if problem.confirm else 0
    if why is None or ledger.left - len(seeds) * steps < kept:
        return swept
    again = yield from _attempt(ledger, wider, seeds, steps)
    better = again.max_lr is not None and (swept.bounds.max_lr is None or again.base_lr is not None)
    return Swept(wider, again, given, why) if better else swept


def _left(given: tuple[float, float], bounds: Bounds) -> tuple[tuple[float, float], str | None]:
    """Return wider limits, and why; None where the curve lies within those given."""
    low, high = given
    if bounds.reason == NEVER_STOPS:
        return (low, high * BEYOND), "accuracy still rises at the end"
    if BEFORE_FIRST in bounds.caveats:
        return (low / BEYOND, high), "accuracy already rises at the first rate"
    return given, None


def limits(problem: Problem, found: Found | None) -> tuple[float, float]:
    """Return the first and the last rate: a decade below and above the best decade found, where they are not given."""
    best = -2 * PER_DECADE if found is None or found.best is None else found.best
    low = problem.start_lr if problem.start_lr is not None else rate_at(best - PER_DECADE)
    high = problem.end_lr if problem.end_lr is not None else rate_at(best + PER_DECADE)
    if low < high:
        return low, high
    return (low, low * 100) if problem.start_lr is not None else (high / 100, high)


def _attempt(ledger: Ledger, over: tuple[float, float], seeds: tuple[int, ...], num_steps: int) -> Course[Bounds]:
    problem = ledger.problem
    runs = [Run(problem.ramp, *over, seed, num_steps) for seed in seeds]
    outcomes = yield from ledger.ask("sweep", runs)
    return (ledger.read_curve or read)(problem, tuple(outcomes), tuple(outcomes.values()))


@lru_cache(maxsize=64)
def read(problem: Problem, runs: tuple[Run, ...], made: tuple[Outcome, ...]) -> Bounds:
    """Return what the curve of these sweeps says, at the updates where they were evaluated, or else at every update.

    Kept, since the fit takes half a second and every step of the course is taken anew from the beginning.
    """
    every = np.arange(1, runs[0].num_steps + 1)
    evaluated = bool(len(made[0].steps))
    steps = made[0].steps.astype(int) if evaluated else every
    lr = runs[0].lr()[steps - 1]
    loss = np.array([_binned(one.train_loss, steps) for one in made])
    if not evaluated:
        return suggest_bounds(lr, loss, seeds=[run.seed for run in runs])
    accuracy = np.array([one.accuracy for one in made])
    validation_loss = np.array([one.loss for one in made])
    # Where all ended before they were evaluated, the loss of update 1 tells why.
    loss_only = bool(np.isfinite(validation_loss).any()) and not np.isfinite(accuracy).any()
    return suggest_bounds(
        lr,
        validation_loss if loss_only else loss,
        None if loss_only else accuracy,
        floor=problem.floor if problem.num_classes else None,
        seeds=[run.seed for run in runs],
    )


def _binned(train_loss: DoubleArray, steps: npt.NDArray[np.int_]) -> DoubleArray:
    """Return the mean loss of the updates up to each of these, since the one before; nan from a divergence on."""
    sums = np.concatenate([[0.0], np.cumsum(train_loss)])
    starts = np.concatenate([[0], steps[:-1]])
    means: DoubleArray = (sums[steps] - sums[starts]) / (steps - starts)
    return means
