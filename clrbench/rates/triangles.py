"""Trainings in triangles: how high their upper bound may be."""

from __future__ import annotations

from clrbench.rates.lattice import HIGHEST, LOWEST, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.reading import tried, utilities
from clrbench.rates.records import Run, Tried

BASE_FACTOR = 10.0
"""Trials go from a tenth of their upper bound, so that those of any sweep are the same ones."""

CYCLES = 4
"""An arm is taken to have so many; a trial is the first few of them."""

TRIALS = 3
MIN_CYCLE_STEPS = 20
FIRST_MULTIPLES = (1, 3)
"""Places above the constant rate that are tried first."""

LOSS_WEIGHT = 0.03
ERRORS = 1.0
"""The highest bound that is worse than the best by less than so many standard errors is taken."""


def triangles(ledger: Ledger, constant: int) -> Course[dict[int, Tried]]:
    """Try upper bounds above the constant rate, up and down from there, as long as that can be afforded."""
    problem = ledger.problem
    num_steps, cycles = _length(ledger)
    seed = problem.seeds[-1]
    found: dict[int, Tried] = {}
    wanted = [constant + multiple for multiple in FIRST_MULTIPLES]
    while wanted:
        runs = {
            place: Run("triangular", rate_at(place) / BASE_FACTOR, rate_at(place), seed, num_steps, cycles)
            for place in wanted
            if LOWEST <= place <= HIGHEST
        }
        made = yield from ledger.ask("triangles", runs.values())
        part = 1 / (4 * cycles)
        found |= {place: tried({run: made[run]}, problem.floor, part=part) for place, run in runs.items()}
        best = _best(found)
        if best == max(found):
            wanted = [best + 2]
        elif best == min(found):
            wanted = [best - 1]
        else:
            wanted = [place for place in (best + 1, best - 1) if place not in found][:1]
        if ledger.left < num_steps or len(found) >= TRIALS + 2 or found[best].collapsed == () and best not in (max(found), min(found)):
            wanted = []
    return dict(sorted(found.items()))


def chosen(found: dict[int, Tried]) -> int | None:
    """Return the highest upper bound that is not clearly worse than the best, and collapsed in no seed; None if all did."""
    alive = {place: one for place, one in found.items() if not one.collapsed}
    if not alive:
        return None
    places = sorted(alive)
    values = utilities([alive[place] for place in places], LOSS_WEIGHT)
    error = ERRORS * max(one.error for one in alive.values())
    return max(place for place, value in zip(places, values, strict=True) if value >= values.max() - error)


def _best(found: dict[int, Tried]) -> int:
    places = sorted(found)
    values = utilities([found[place] for place in places], LOSS_WEIGHT)
    return places[int(values.argmax())]


def _length(ledger: Ledger) -> tuple[int, int]:
    """Return updates and cycles of a trial."""
    affordable = ledger.left / TRIALS
    arm_steps = ledger.problem.arm_steps or int(affordable)
    cycle = arm_steps / CYCLES
    cycles = min(int(affordable / cycle + 1e-9), CYCLES)
    if cycles >= 1:
        return round(arm_steps * cycles / CYCLES), cycles
    return max(int(affordable), MIN_CYCLE_STEPS), 1
