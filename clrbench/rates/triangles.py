"""Trainings in triangles: how high their upper bound may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clrbench.rates import confirm
from clrbench.rates.lattice import HIGHEST, LOWEST, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.reading import best_place, tried, utilities
from clrbench.rates.records import Run, Tried

BASE_FACTOR = 10.0
"""Trials go from a tenth of their upper bound, so that those of any sweep are the same ones."""

CYCLES = 4
"""An arm is taken to have so many; a trial is the first few of them."""

TRIALS = 3
MAX_TRIALS = 5
MIN_CYCLE_STEPS = 20
FIRST_MULTIPLES = (0, 1, 2)
"""Places above the constant rate that are tried first."""

LOSS_WEIGHT = 0.03
"""Accuracy that a loss e times as high is worth; with .1, as among constants, the whole bench came out the same."""

ERRORS = 0.3
"""The highest bound that is worse than the best by less than so many standard errors is taken."""

PLACES_ABOVE = 1
"""Places above the constant rate that an upper bound lies at least: triangles below it train at half of it, on average."""

CLEARLY = 1.0
"""Standard errors by which the trial that far above must lie behind for a lower bound to be taken."""


@dataclass(frozen=True)
class Bounded:
    """The upper bounds tried, by place, and the one chosen; None where all collapsed."""

    place: int | None
    by_place: dict[int, Tried]


def triangles(ledger: Ledger, constant: int) -> Course[Bounded]:
    """Try upper bounds above the constant rate, and up or down from there while the best lies at an end."""
    found: dict[int, Tried] = {}
    num_steps, cycles = _length(ledger)
    wanted = [constant + multiple for multiple in FIRST_MULTIPLES]
    while wanted and ledger.left >= num_steps * len(wanted) and len(found) < MAX_TRIALS:
        runs = {
            place: Run(
                "triangular", rate_at(place) / BASE_FACTOR, rate_at(place), ledger.problem.seeds[-1], num_steps, cycles
            )
            for place in wanted
            if LOWEST <= place <= HIGHEST
        }
        made = yield from ledger.ask("triangles", runs.values())
        # The rate is low at the end of the last cycle only.
        part = 1 / (4 * cycles)
        found |= {place: tried({run: made[run]}, ledger.problem.floor, part=part) for place, run in runs.items()}
        wanted = _beyond(found) if found else []
    lower = confirm.places_lower(num_steps, ledger.problem.arm_steps or num_steps)
    return Bounded(chosen(found, lower, constant), dict(sorted(found.items())))


def _beyond(found: dict[int, Tried]) -> list[int]:
    """Return what to try next: beyond the end at which the best lies, or nothing."""
    best = best_place(found, LOSS_WEIGHT)
    if best == min(found):
        return [best - 1]
    return [best + 2] if best == max(found) else []


def chosen(found: dict[int, Tried], lower: float, constant: int) -> int | None:
    """Return the highest bound that is not clearly worse than the best, so much lower; None if all collapsed.

    It lies above the constant rate, unless the trial there was clearly worse than that of a lower bound. Where a few
    updates clear guessing only far above the constant, arms that make more of them take a lower bound, as they do elsewhere.
    """
    alive = {place: one for place, one in found.items() if not one.collapsed}
    if not alive:
        return None
    places = sorted(alive)
    values = dict(zip(places, utilities([alive[place] for place in places], LOSS_WEIGHT).tolist(), strict=True))
    best, error = max(values.values()), max(one.error for one in alive.values())
    highest = max(place for place in places if values[place] >= best - ERRORS * error)
    near = [place for place in places if values[place] >= best - confirm.MAX_LOSS]
    longest = highest - lower + confirm.ROUNDED_UP
    place = max((place for place in (*_slow(found, constant, near[0]), *near) if place <= longest), default=near[0])
    above = constant + PLACES_ABOVE
    return above if place < above and values.get(above, -math.inf) >= values[place] - CLEARLY * error else place


def _slow(found: dict[int, Tried], constant: int, lowest: int) -> list[int]:
    """Return the places that collapsed for too few updates, and not for too high a rate, below the lowest good one.

    They were ahead of the constant rate, which stands over a longer training.
    """
    ahead = found[constant].loss if constant in found else -math.inf
    return [place for place in found if constant < place < lowest and found[place].loss < ahead]


def _length(ledger: Ledger) -> tuple[int, int]:
    """Return updates and cycles of a trial."""
    affordable = ledger.left / TRIALS
    arm_steps = ledger.problem.arm_steps or int(affordable)
    cycle = arm_steps / CYCLES
    cycles = min(int(affordable / cycle + 1e-9), CYCLES)
    if cycles >= 1:
        return round(arm_steps * cycles / CYCLES), cycles
    return max(int(affordable), MIN_CYCLE_STEPS), 1
