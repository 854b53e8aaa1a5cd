"""Trainings at constant rates, on the lattice: which one is best, as far as so many updates can tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clrbench.rates.lattice import HIGHEST, LOWEST, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.reading import tried, utilities
from clrbench.rates.records import Run, Tried

SCREEN_SHARE, SCREEN_TRIALS = 0.25, 5
"""Part of what is left that the first, short trials may cost, and how many of them that is planned for."""

REFINE_SHARE, REFINE_TRIALS = 0.4, 4
"""Likewise of the longer ones."""

HALF_DECADE = 2
MIN_TRIAL_STEPS = 20
LOSS_WEIGHT = 0.03
"""Accuracy that a loss e times as high is worth."""

NEAR = 3
"""Places on either side of the best that the parabola is fitted to."""


@dataclass(frozen=True)
class Confirmed:
    """The constants tried at the longest length, by place, and the place chosen."""

    place: int
    by_place: dict[int, Tried]
    screened: dict[int, Tried]


def confirm(ledger: Ledger, start: int) -> Course[Confirmed]:
    """Go from a place to where the best one lies between two that are worse, first by half-decades, then by quarters."""
    share = ledger.left
    short = ledger.length(SCREEN_SHARE * share / SCREEN_TRIALS, MIN_TRIAL_STEPS)
    long = ledger.length(REFINE_SHARE * share / REFINE_TRIALS, MIN_TRIAL_STEPS)
    first, second = ledger.problem.seeds[0], ledger.problem.seeds[min(1, len(ledger.problem.seeds) - 1)]
    floor_left = ledger.left - SCREEN_SHARE * share * 1.5
    screened = yield from _climb(ledger, start, HALF_DECADE, (short, first), floor_left)
    best = _best(screened)
    floor_left = ledger.left - REFINE_SHARE * share * 1.3
    refined = yield from _climb(ledger, best, 1, (long, second), floor_left)
    return Confirmed(_top(refined), refined, screened)


def _climb(
    ledger: Ledger, start: int, stride: int, length_and_seed: tuple[int, int], floor_left: float
) -> Course[dict[int, Tried]]:
    """Try a place and its neighbours, and on from there until the best is interior or no more can be afforded."""
    num_steps, seed = length_and_seed
    found: dict[int, Tried] = {}
    wanted = [place for place in (start - stride, start, start + stride) if LOWEST <= place <= HIGHEST]
    while wanted:
        runs = {place: Run("constant", rate_at(place), rate_at(place), seed, num_steps) for place in wanted}
        made = yield from ledger.ask("confirm", runs.values())
        found |= {place: tried({run: made[run]}, ledger.problem.floor) for place, run in runs.items()}
        best = _best(found)
        wanted = [
            place
            for place in (best - stride, best + stride)
            if place not in found and LOWEST <= place <= HIGHEST and ledger.left - num_steps > floor_left
        ]
    return dict(sorted(found.items()))


def _best(found: dict[int, Tried]) -> int:
    """Return the best place; of equal ones the lowest."""
    places = sorted(found)
    values = utilities([found[place] for place in places], LOSS_WEIGHT)
    return places[int(values.argmax())]


def _top(found: dict[int, Tried]) -> int:
    """Return the place at the top of a parabola through the best and those near it, rounded down."""
    places = np.array(sorted(found))
    values = utilities([found[place] for place in places.tolist()], LOSS_WEIGHT)
    best = int(places[values.argmax()])
    alive = [not found[place].collapsed for place in places.tolist()]
    near = (abs(places - best) <= NEAR) & alive
    if near.sum() < 3:
        return best
    curve = np.polyfit(places[near] - best, values[near], 2)
    if curve[0] >= 0:
        return best
    top = best - curve[1] / (2 * curve[0])
    return int(np.floor(np.clip(top, best - 1, best + 1) + 0.5 - 0.25))


def rates(tried_at: Iterable[Tried]) -> Sequence[float]:
    """Return the rates of what was tried."""
    return [one.lr for one in tried_at]
