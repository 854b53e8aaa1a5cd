"""The whole course: find, sweep, confirm, triangles, and the answer that they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clrbench.counted import counted
from clrbench.range_test import (
    AS_HIGHEST_SEED,
    CONSTANT_SHARE,
    FLAT,
    LOSS_TOO_HIGH,
    NAN_FROM_START,
    STARTS_DIVERGED,
    TOO_FEW_POINTS,
)
from clrbench.rates.confirm import Confirmed, confirm
from clrbench.rates.find import Found, find
from clrbench.rates.lattice import rate_at
from clrbench.rates.ledger import Course, Ledger, ReadCurve, replay
from clrbench.rates.records import MIN_SWEEP_STEPS, Outcome, Problem, Rates, Request, Run
from clrbench.rates.sweep import Swept, sweep
from clrbench.rates.triangles import BASE_FACTOR, PLACES_ABOVE, Bounded, triangles

HIGHEST_BASE_SHARE = 1 / 3
"""A lower bound above this part of the upper one leaves triangles nothing to cycle over."""

BASE_SHARES = 1 / BASE_FACTOR, 2 / BASE_FACTOR
"""Otherwise it is at least and at most so much of it: how early a ramp shows accuracy to rise depends on the ramp, and what was
tried went from a tenth."""

NOT_CONFIRMED = "constant_lr is max_lr / 3, a rule of thumb; nothing was trained at it"
SHORTER = "confirmed over only {steps} of the arms' {arms}"
AT_EDGE = "constant_lr is the {end} rate tried before the updates ran out; a better one may lie beyond"
NO_TRIANGLES = "max_lr is constant_lr: every training in cycles collapsed"
TOO_SHORT = "max_lr is below the lowest bound that beats chance within {steps}; arms run for {arms}"
TOO_DEAR = "max_lr is 1.8 times constant_lr: no updates were left for training in cycles"
LIMITS_LEFT = "the given limits were widened, from {given} to {now}: {why}"
BASE_TOO_HIGH = "base_lr is not known: the sweep puts it at {lr:.3g}, too close to max_lr"
NO_CURVE = "the curve alone has no answer ({reason}); the rates rest on trainings at them"


def next_step(
    problem: Problem, evidence: Mapping[Run, Outcome], read_curve: ReadCurve | None = None
) -> Request | Rates:
    """Return which runs to make next, or the answer; a pure function of what has been made so far.

    Whoever makes runs calls it again and again, in a loop or after a restart, with all that there is. Runs that no
    request named change nothing. `read_curve` stands in for `sweep.read`, where fits are kept.
    """
    return replay(_course(Ledger(problem, read_curve=read_curve)), evidence)


def _course(ledger: Ledger) -> Course[Rates]:
    problem = ledger.problem
    if problem.sweep_steps < MIN_SWEEP_STEPS:
        return Rates(reason=f"{TOO_FEW_POINTS}; a sweep has {counted(problem.sweep_steps, 'update')}")
    found: Found | None = None
    start: int | None = None
    if problem.confirm or problem.start_lr is None or problem.end_lr is None:
        found = yield from find(ledger)
        start = found.best
        if start is None:
            return Rates(reason=_why_none_stands(found), updates=ledger.updates, finds=found.tried)
    swept = yield from sweep(ledger, found)
    answer = _read(ledger, found, swept)
    if start is None or not problem.confirm:
        return answer
    ledger.withhold()
    constants = yield from confirm(ledger, start)
    answer = replace(answer, constants=constants.all_tried, updates=ledger.updates)
    if all(one.collapsed for one in constants.by_place.values()):
        return replace(answer, base_lr=None, max_lr=None, constant_lr=None, triangle_base_lr=None, reason=FLAT)
    bounded = yield from triangles(ledger, constants.place)
    return _confirmed(answer, ledger, constants, bounded)


def _why_none_stands(found: Found) -> str:
    """Return why every rate diverged: the loss of update 1 tells nothing of the rate."""
    first = np.array([outcome.train_loss[0] for outcome in found.outcomes.values()])
    if not np.isfinite(first).any():
        return NAN_FROM_START
    if max(outcome.updates for outcome in found.outcomes.values()) <= 1:
        return LOSS_TOO_HIGH.format(loss=np.nanmedian(first))
    return STARTS_DIVERGED


def _read(ledger: Ledger, found: Found | None, swept: Swept) -> Rates:
    """Return what the sweep alone comes to."""
    problem, bounds = ledger.problem, swept.bounds
    caveats = [*bounds.caveats, NOT_CONFIRMED] if bounds.max_lr is not None else []
    if swept.left_for is not None:
        given, now = ("{:.3g} to {:.3g}".format(*limits) for limits in (swept.given, swept.limits))
        caveats.append(LIMITS_LEFT.format(given=given, now=now, why=swept.left_for))
    return Rates(
        base_lr=bounds.base_lr,
        max_lr=bounds.max_lr,
        constant_lr=None if bounds.max_lr is None else bounds.max_lr / CONSTANT_SHARE,
        triangle_base_lr=None if bounds.max_lr is None else bounds.rates[0],
        reason=bounds.reason,
        caveats=tuple(caveats),
        sweep_base_lr=bounds.base_lr,
        sweep_max_lr=bounds.max_lr,
        updates=ledger.updates,
        limits=swept.limits,
        found=problem.start_lr is None or problem.end_lr is None,
        finds=() if found is None else found.tried,
        seed_max_lr=dict(zip(problem.seeds, bounds.seed_max_lr, strict=False)),
        loss_rules=bounds.loss_rules,
    )


def _confirmed(answer: Rates, ledger: Ledger, constants: Confirmed, bounded: Bounded) -> Rates:
    problem = ledger.problem
    above = 0 if bounded.by_place else PLACES_ABOVE
    max_lr = rate_at(constants.place + above if bounded.place is None else bounded.place)
    caveats = [text for text in answer.caveats if text not in {NOT_CONFIRMED, AS_HIGHEST_SEED}]
    if answer.reason is not None:
        caveats.append(NO_CURVE.format(reason=answer.reason.split(";")[0]))
    base_lr = answer.base_lr
    if base_lr is not None and base_lr > HIGHEST_BASE_SHARE * max_lr:
        caveats.append(BASE_TOO_HIGH.format(lr=base_lr))
        base_lr = None
    if base_lr is not None:
        lowest, highest = (share * max_lr for share in BASE_SHARES)
        base_lr = min(max(base_lr, lowest), highest)
    num_steps = max(one.num_steps for one in constants.by_place.values())
    if problem.arm_steps is not None and num_steps < problem.arm_steps:
        caveats.append(SHORTER.format(steps=num_steps, arms=counted(problem.arm_steps, "update")))
    if bounded.place is None:
        caveats.append(NO_TRIANGLES if bounded.by_place else TOO_DEAR)
    elif bounded.place in bounded.by_place and bounded.by_place[bounded.place].collapsed:
        steps = counted(bounded.by_place[bounded.place].num_steps, "update")
        caveats.append(TOO_SHORT.format(steps=steps, arms=problem.arm_steps))
    if constants.edge is not None:
        caveats.append(AT_EDGE.format(end=constants.edge))
    return replace(
        answer,
        base_lr=base_lr,
        max_lr=max_lr,
        constant_lr=rate_at(constants.place),
        triangle_base_lr=max_lr / BASE_FACTOR if base_lr is None else base_lr,
        reason=None,
        caveats=tuple(caveats),
        confirmed=True,
        num_steps=num_steps,
        updates=ledger.updates,
        triangles=tuple(bounded.by_place.values()),
    )
