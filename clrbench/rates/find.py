"""Where rates are worth a sweep at all: short trainings at constant rates, a decade apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clrbench.rates.lattice import HIGHEST, LOWEST, PER_DECADE, nearest, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.reading import end_of
from clrbench.rates.records import Outcome, Run, Tried

FIND_STEPS = 30
MIN_FIND_STEPS = 10
FIRST, LAST = -5, 1
"""Decades that are tried first; where the best lies at an edge, the next one beyond is tried, too."""

BUDGET_SHARE = 0.12
"""Part of the budget that the first decades may cost."""


@dataclass(frozen=True)
class Found:
    """The decades tried.

    Attributes:
        best: Place of the decade with the lowest loss; None where every one diverged.
        losses: By place; inf of those that diverged.
    """

    best: int | None
    losses: dict[int, float]
    outcomes: dict[Run, Outcome]

    @property
    def tried(self) -> tuple[Tried, ...]:
        """What each decade reached."""
        return tuple(
            Tried(run.high, (run.seed,), run.num_steps, self.losses[nearest(run.high)], np.nan, 0.0)
            for run in self.outcomes
        )


def find(ledger: Ledger) -> Course[Found]:
    """Train at a decade after the other; no ramp, so that no optimizer is special."""
    problem = ledger.problem
    number = LAST - FIRST + 1
    steps = int(np.clip(BUDGET_SHARE * problem.max_updates / number // 5 * 5, MIN_FIND_STEPS, FIND_STEPS))

    def run(place: int) -> Run:
        return Run("constant", rate_at(place), rate_at(place), problem.seeds[0], steps)

    def loss(outcome: Outcome) -> float:
        value = end_of(outcome, part=1 / 3)[0]
        return value if np.isfinite(value) else np.inf

    losses: dict[int, float] = {}
    outcomes: dict[Run, Outcome] = {}
    wanted = [decade * PER_DECADE for decade in range(FIRST, LAST + 1)]
    while wanted:
        made = yield from ledger.ask("find", map(run, wanted))
        outcomes |= made
        losses |= {place: loss(outcome) for place, outcome in zip(wanted, made.values(), strict=True)}
        best = min(losses, key=lambda place: (losses[place], place))
        beyond = {min(losses): -PER_DECADE, max(losses): PER_DECADE}.get(best)
        wanted = [] if beyond is None or not LOWEST <= best + beyond <= HIGHEST else [best + beyond]
    alive = any(np.isfinite(value) for value in losses.values())
    return Found(best if alive else None, losses, outcomes)
