"""Trainings at constant rates, on the lattice: which one is best, as far as so many updates can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.chance import Floor
from clrbench.rates.lattice import HIGHEST, LOWEST, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.reading import best_place, tried, utilities
from clrbench.rates.records import Outcome, Run, Tried
from clrbench.records import DoubleArray

SCREEN_SHARE, SCREEN_TRIALS = 0.2, 4
"""Part of what is left that the first, short trials may cost, and how many of them that is planned for."""

REFINE_SHARE, REFINE_TRIALS = 0.5, 3
"""Likewise of the longer ones."""

SLOW_TRIALS = 2
"""How many trainings what is left goes to where no short one clears guessing; some networks take hundreds of updates to begin."""

SLACK = 1.4
"""By how much a stage may overrun its part while its best still lies at an end."""

TRIANGLES_SHARE = 0.3
"""Part that is kept for triangles."""

HALF_DECADE = 2
MIN_TRIAL_STEPS = 20
LOSS_WEIGHT = 0.1
"""Accuracy that a loss e times as high is worth."""

PLACES_A_LENGTH = 2.0
"""Places by which the best rate of trainings ten times as long lies lower: a short one rewards speed."""

BEGIN_ABOVE = 0.5
"""Places above where their length asks for that the longer trials begin, rounded up: too low a start costs trials, too."""

MAX_LOSS = 0.1
"""Accuracy in the trials that a lower rate may cost: where the slower ones are far behind, speed is what counts."""

ROUNDED_UP = 0.25
"""Places that a top may lie below the lattice and still be counted as on it."""

NEAR = 3
"""Places on either side of the best that the parabola is fitted to."""


@dataclass(frozen=True)
class Confirmed:
    """The constants tried at the longest length, by place, and the place chosen."""

    place: int
    by_place: dict[int, Tried]
    screened: dict[int, Tried]

    @property
    def all_tried(self) -> tuple[Tried, ...]:
        """All that was tried, the short trials first."""
        return (*self.screened.values(), *self.by_place.values())

    @property
    def edge(self) -> str | None:
        """Whether `place` is the lowest or the highest rate that was tried at any length, so that a better may lie beyond."""
        tried_at = self.by_place.keys() | self.screened.keys()
        return {min(tried_at): "lowest", max(tried_at): "highest"}.get(self.place)


@dataclass(frozen=True)
class _Training:
    """What the trials of a stage have in common: their updates and their seed."""

    num_steps: int
    seed: int


Made: TypeAlias = dict[int, dict[Run, Outcome]]
"""Runs at each place and what they left behind, a seed each."""


def confirm(ledger: Ledger, start: int) -> Course[Confirmed]:
    """Go from a place to where the best one lies between two that are worse, first by half-decades, then by quarters.

    The longer trials begin as much lower as their length asks for. Those near the best are then repeated with other
    seeds, as long as enough is left for triangles.
    """
    share, seeds, floor = ledger.left, ledger.problem.seeds, ledger.problem.floor
    short = ledger.length(SCREEN_SHARE * share / SCREEN_TRIALS, MIN_TRIAL_STEPS)
    long = ledger.length(REFINE_SHARE * share / REFINE_TRIALS, MIN_TRIAL_STEPS)
    trials = yield from _climb(
        ledger, start, HALF_DECADE, _Training(short, seeds[0]), ledger.left - SCREEN_SHARE * share * SLACK
    )
    screened, second = _tried(trials, floor), seeds[1 % len(seeds)]
    if all(one.collapsed for one in screened.values()):
        return _confirmed(ledger, screened, (yield from _slow(ledger, screened, second)))
    lower = max(int(places_lower(short, long) - BEGIN_ABOVE), 0)
    begin = max(best_place(screened, LOSS_WEIGHT) - lower, LOWEST)
    refined = yield from _climb(ledger, begin, 1, _Training(long, second), ledger.left - REFINE_SHARE * share * SLACK)
    for seed in seeds[2:]:
        found = _tried(refined, floor)
        best = best_place(found, LOSS_WEIGHT)
        near = [place for place, one in found.items() if abs(place - best) <= 1 and not one.collapsed]
        if len(near) < 2 or ledger.left - len(near) * long < TRIANGLES_SHARE * share:
            break
        made = yield from ledger.ask("confirm", [_run(place, seed, long) for place in near])
        refined = {
            place: refined[place] | {run: made[run] for run in made if run.high == rate_at(place)} for place in near
        }
    return _confirmed(ledger, screened, refined)


def places_lower(num_steps: int, longer_steps: int) -> float:
    """Return how many places lower the best rate of a longer training lies; 0 where it is not longer."""
    return PLACES_A_LENGTH * math.log10(max(longer_steps / num_steps, 1))


def _confirmed(ledger: Ledger, screened: dict[int, Tried], refined: Made) -> Confirmed:
    found = _tried(refined, ledger.problem.floor)
    num_steps = _num_steps(found)
    return Confirmed(chosen(found, places_lower(num_steps, ledger.problem.arm_steps or num_steps)), found, screened)


def _slow(ledger: Ledger, screened: dict[int, Tried], seed: int) -> Course[Made]:
    """Train at the rate of the lowest loss, as accuracies are noise, and below it: what leads early is seldom too low.

    That is half a decade below, and further as the length asks for where the first collapsed.
    """
    long = ledger.length(ledger.left / SLOW_TRIALS, MIN_TRIAL_STEPS)
    best = min(screened, key=lambda place: screened[place].loss)
    made = yield from _at(ledger, [best], long, seed)
    down = HALF_DECADE
    if _tried(made, ledger.problem.floor)[best].collapsed:
        down += HALF_DECADE * int(places_lower(_num_steps(screened), long) / HALF_DECADE)
    if best - down >= LOWEST:
        made |= yield from _at(ledger, [best - down], long, seed)
    return made


def _num_steps(found: dict[int, Tried]) -> int:
    """Return the length of trials, which is the same for all of a stage."""
    return next(iter(found.values())).num_steps


def _climb(ledger: Ledger, start: int, stride: int, trial: _Training, updates_kept: float) -> Course[Made]:
    """Try a place and its neighbours, and on from there until the best is interior or no more can be afforded."""
    found: Made = {}
    wanted = [place for place in (start - stride, start, start + stride) if LOWEST <= place <= HIGHEST]
    while wanted:
        found |= yield from _at(ledger, wanted, trial.num_steps, trial.seed)
        best = best_place(_tried(found, ledger.problem.floor), LOSS_WEIGHT)
        wanted = [
            place
            for place in (best - stride, best + stride)
            if place not in found and LOWEST <= place <= HIGHEST and ledger.left - trial.num_steps > updates_kept
        ]
    return found


def _at(ledger: Ledger, places: list[int], num_steps: int, seed: int) -> Course[Made]:
    """Train at each of these places."""
    runs = {place: _run(place, seed, num_steps) for place in places}
    made = yield from ledger.ask("confirm", runs.values())
    return {place: {run: made[run]} for place, run in runs.items()}


def _run(place: int, seed: int, num_steps: int) -> Run:
    return Run("constant", rate_at(place), rate_at(place), seed, num_steps)


def _tried(made: Made, floor: Floor) -> dict[int, Tried]:
    """Return what each place reached, from the lowest to the highest."""
    return {place: tried(made[place], floor) for place in sorted(made)}


def chosen(found: dict[int, Tried], lower: float) -> int:
    """Return the place at the top of a parabola through the best and those near it, so much lower, and rounded down.

    Where all that stood lie higher it is the lowest of them; where none stood, the best.
    """
    places = np.array(sorted(found))
    values = utilities([found[place] for place in places.tolist()], LOSS_WEIGHT)
    best = int(places[values.argmax()])
    alive = np.array([not found[place].collapsed for place in places.tolist()])
    near = (abs(places - best) <= NEAR) & alive
    top = best + _summit(places[near] - best, values[near])
    stood = places[alive & (values >= values.max() - MAX_LOSS)]
    # Down to the lattice, but for a hair.
    below = stood[stood <= top - lower + ROUNDED_UP]
    return int(below[-1]) if below.size else min([best, *stood.tolist()])


def _summit(places: npt.NDArray[np.int_], values: DoubleArray) -> float:
    """Return where a parabola through these values is highest, within a place of 0; 0 for fewer than three."""
    if len(places) < 3:
        return 0.0
    curvature, slope, _ = np.polyfit(places, values, 2)
    # What bends upward has no top: it lies beyond the end to which it rises.
    return float(np.clip(-slope / (2 * curvature), -1, 1) if curvature < 0 else np.sign(slope))
