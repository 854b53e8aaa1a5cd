"""The sweep: from which rate to which, and what its curve says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clrbench.range_test import suggest_bounds
from clrbench.rates.find import Found
from clrbench.rates.lattice import PER_DECADE, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.records import Outcome, Problem, Run
from clrbench.records import Bounds


@dataclass(frozen=True)
class Swept:
    """The sweeps that the curve comes from, and what it says."""

    limits: tuple[float, float]
    bounds: Bounds
    outcomes: dict[Run, Outcome]


def sweep(ledger: Ledger, found: Found | None) -> Course[Swept]:
    """Sweep over the limits given, or over those found."""
    problem = ledger.problem
    low, high = limits(problem, found)
    runs = [Run(problem.ramp, low, high, seed, problem.sweep_steps) for seed in problem.seeds]
    outcomes = yield from ledger.ask("sweep", runs)
    return Swept((low, high), read(outcomes), outcomes)


def limits(problem: Problem, found: Found | None) -> tuple[float, float]:
    """Return the first and the last rate: a decade below and above the best decade found, where they are not given."""
    best = found.best if found is not None and found.best is not None else -2 * PER_DECADE
    low = problem.start_lr if problem.start_lr is not None else rate_at(best - PER_DECADE)
    high = problem.end_lr if problem.end_lr is not None else rate_at(best + PER_DECADE)
    return (low, high) if low < high else (high / 100, high)


def read(outcomes: dict[Run, Outcome]) -> Bounds:
    """Return what the curve of these sweeps says, at the updates where all of them were evaluated."""
    (first, *_), made = outcomes, list(outcomes.values())
    evaluated = bool(len(made[0].steps))
    steps = made[0].steps.astype(int) if evaluated else np.arange(1, first.num_steps + 1)
    lr = first.lr()[steps - 1]
    loss = np.array([np.interp(steps, np.arange(1, first.num_steps + 1), one.train_loss) for one in made])
    accuracy = np.array([one.accuracy for one in made]) if evaluated else np.full(loss.shape, np.nan)
    return suggest_bounds(lr, loss, accuracy)
