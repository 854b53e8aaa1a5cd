"""The whole course: find, sweep, confirm, triangles, and the answer that they come to."""

from __future__ import annotations

import math
from collections.abc import Mapping

from clrbench.rates.confirm import Confirmed, confirm
from clrbench.rates.find import Found, find
from clrbench.rates.lattice import nearest, rate_at
from clrbench.rates.ledger import Course, Ledger, replay
from clrbench.rates.records import Outcome, Problem, Rates, Request, Run, Tried
from clrbench.rates.sweep import Swept, sweep
from clrbench.rates.triangles import BASE_FACTOR, chosen, triangles

NOT_CONFIRMED_FACTOR = 3.0
"""Without trainings at them, the constant rate is `max_lr` over this."""

HIGHEST_BASE_SHARE = 1 / 3
"""A lower bound above this part of the upper one leaves triangles nothing to cycle over."""


def next_step(problem: Problem, evidence: Mapping[Run, Outcome]) -> Request | Rates:
    """Return which runs to make next, or the answer; a pure function of what has been made so far.

    Whoever makes runs calls it again and again, in a loop or after a restart, with all that there is.
    """
    return replay(_course(problem), evidence)


def _course(problem: Problem) -> Course[Rates]:
    ledger = Ledger(problem)
    found: Found | None = None
    if problem.confirm or problem.start_lr is None or problem.end_lr is None:
        found = yield from find(ledger)
    swept = yield from sweep(ledger, found)
    if not problem.confirm or not problem.floor.rows:
        return _unconfirmed(ledger, swept)
    constants = yield from confirm(ledger, _start(found, swept))
    if all(one.collapsed for one in constants.by_place.values()):
        return Rates(reason="flat: no rate reaches more than guessing does", updates=ledger.updates, limits=swept.limits)
    bounded = yield from triangles(ledger, constants.place)
    return _confirmed(ledger, swept, constants, bounded)


def _start(found: Found | None, swept: Swept) -> int:
    if found is not None and found.best is not None:
        return found.best
    return nearest(swept.bounds.max_lr or math.sqrt(swept.limits[0] * swept.limits[1]))


def _unconfirmed(ledger: Ledger, swept: Swept) -> Rates:
    bounds = swept.bounds
    return Rates(
        base_lr=bounds.base_lr,
        max_lr=bounds.max_lr,
        constant_lr=None if bounds.max_lr is None else bounds.max_lr / NOT_CONFIRMED_FACTOR,
        reason=bounds.reason,
        sweep_max_lr=bounds.max_lr,
        updates=ledger.updates,
        limits=swept.limits,
    )


def _confirmed(ledger: Ledger, swept: Swept, constants: Confirmed, bounded: dict[int, Tried]) -> Rates:
    place = chosen(bounded)
    max_lr = rate_at(place if place is not None else constants.place)
    base = swept.bounds.base_lr
    if base is not None and base > HIGHEST_BASE_SHARE * max_lr:
        base = None
    return Rates(
        base_lr=base,
        max_lr=max_lr,
        constant_lr=rate_at(constants.place),
        triangle_base_lr=max_lr / BASE_FACTOR if base is None else base,
        sweep_max_lr=swept.bounds.max_lr,
        confirmed=True,
        num_steps=max((one.num_steps for one in constants.by_place.values()), default=0),
        updates=ledger.updates,
        limits=swept.limits,
        constants=tuple(constants.by_place.values()),
        triangles=tuple(bounded.values()),
    )
