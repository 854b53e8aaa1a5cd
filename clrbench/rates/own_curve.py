"""The curves of somebody's own loop -> the rates that they suggest, with or without trainings at constant rates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clrbench.range_test import CONSTANT_SHARE, FLAT, suggest_bounds
from clrbench.rates.confirm import Confirmed, confirm
from clrbench.rates.course import AT_EDGE, NOT_CONFIRMED
from clrbench.rates.lattice import nearest, rate_at
from clrbench.rates.ledger import Course, Ledger
from clrbench.rates.records import Outcome, Problem, Ramp, Rates, Run
from clrbench.rates.running_mean import looks_like_running_mean
from clrbench.records import Bounds, DoubleArray

DIVERGENCE_FACTOR = 10.0
"""A sweep has diverged once its loss exceeds this many times the first one, which for a cross-entropy is that of guessing."""

MAX_POINTS, JUDGED_POINTS = 200, 100
"""A curve of more points than the first is judged at the second, each the mean since the one before; see decision 0010."""

RUNNING_MEAN = (
    "the {which} looks like a running mean, which lags behind the rate: the bounds come out far too high; log the {which} of "
    "each mini-batch alone (in Keras call model.reset_metrics() before each train_on_batch); a smoothed curve of an LR finder "
    "has the raw one beside it"
)
UPPER_NOT_TRIED = "only constant_lr was trained at; base_lr and max_lr are read off the curve"
RAISED = "max_lr is raised to constant_lr, which trained stably: the curve puts it at {lr:.3g}"


@dataclass(frozen=True, eq=False)
class OwnCurve:
    """Sweeps over the same rates, one row per seed.

    Attributes:
        lr: float64[points], > 0, ascending.
        loss: float64[seeds, points]; nan from where a seed diverged.
        accuracy: Likewise, fractions; None where only the loss is known.
        seeds: What the seeds are called in caveats.
        evaluated: Which of `loss` and `accuracy` are of validation rows, and so no means over mini-batches.
    """

    lr: DoubleArray
    loss: DoubleArray
    accuracy: DoubleArray | None
    seeds: tuple[int, ...]
    evaluated: frozenset[str] = frozenset()


def has_diverged(loss: float, first_loss: float) -> bool:
    """Return whether the loss of an update says that its sweep has diverged."""
    return not np.isfinite(loss) or (first_loss > 0 and loss > DIVERGENCE_FACTOR * first_loss)


def rates_of(curve: OwnCurve) -> Rates:
    """Return what a curve suggests, not confirmed.

    Raises:
        ValueError: If its rates do not ascend from above 0.
    """
    judged = _binned(curve)
    bounds = suggest_bounds(judged.lr, judged.loss, judged.accuracy, seeds=judged.seeds)
    not_confirmed = () if bounds.max_lr is None else (NOT_CONFIRMED,)
    return Rates(
        base_lr=bounds.base_lr,
        max_lr=bounds.max_lr,
        constant_lr=None if bounds.max_lr is None else bounds.max_lr / CONSTANT_SHARE,
        triangle_base_lr=None if bounds.max_lr is None else bounds.rates[0],
        reason=bounds.reason,
        caveats=(*_running_means(curve), *bounds.caveats, *not_confirmed),
        sweep_max_lr=bounds.max_lr,
        updates=int(np.isfinite(curve.loss).sum()),
        limits=(float(curve.lr[0]), float(curve.lr[-1])),
        seed_max_lr=_by_seed(curve, bounds),
        loss_rules=bounds.loss_rules,
    ).rounded()


def trial_course(curve: OwnCurve, rates: Rates, ramp: Ramp) -> Course[Confirmed]:
    """Ask for trainings at constant rates, from what the curve suggests on, until the best one lies between two worse ones.

    All of them together make at most twice the updates of the sweeps.
    """
    problem = Problem((), _guessed_classes(curve), len(curve.lr), curve.seeds, None, ramp)
    low, high = float(curve.lr[0]), float(curve.lr[-1])
    ledger = Ledger(problem, _sweeps(curve, Run(ramp, low, high, 0, len(curve.lr))))
    return confirm(ledger, nearest(rates.constant))


def confirmed(rates: Rates, found: Confirmed) -> Rates:
    """Return rates of which trainings have confirmed, or corrected, the constant one."""
    caveats = [text for text in rates.caveats if text != NOT_CONFIRMED]
    if all(one.collapsed for one in found.by_place.values()):
        return replace(rates, base_lr=None, max_lr=None, constant_lr=None, reason=FLAT, constants=found.all_tried)
    constant, (base_lr, max_lr) = rate_at(found.place), rates.bounds
    caveats.append(UPPER_NOT_TRIED)
    if constant > max_lr:
        caveats.append(RAISED.format(lr=max_lr))
    if found.edge is not None:
        caveats.append(AT_EDGE.format(end=found.edge))
    return replace(
        rates,
        max_lr=max(max_lr, constant),
        triangle_base_lr=min(base_lr, constant),
        constant_lr=constant,
        caveats=tuple(caveats),
        confirmed=True,
        num_steps=max(one.num_steps for one in found.by_place.values()),
        constants=found.all_tried,
    )


def _binned(curve: OwnCurve) -> OwnCurve:
    points = len(curve.lr)
    if points <= MAX_POINTS:
        return curve
    ends = np.rint(np.linspace(0, points, JUDGED_POINTS + 1)).astype(int)

    def means(values: DoubleArray) -> DoubleArray:
        sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        return np.asarray((sums[:, ends[1:]] - sums[:, ends[:-1]]) / np.diff(ends), np.float64)

    accuracy = None if curve.accuracy is None else means(curve.accuracy)
    return OwnCurve(curve.lr[ends[1:] - 1], means(curve.loss), accuracy, curve.seeds)


def _running_means(curve: OwnCurve) -> tuple[str, ...]:
    named = {"loss": curve.loss, "accuracy": curve.accuracy}
    return tuple(
        RUNNING_MEAN.format(which=name)
        for name, values in named.items()
        if values is not None and name not in curve.evaluated and any(looks_like_running_mean(row) for row in values)
    )


def _guessed_classes(curve: OwnCurve) -> int:
    """Return about how many classes there are, by the accuracy before anything was learned; 2 where only losses are known."""
    if curve.accuracy is None:
        return 2
    start = float(np.nanmean(curve.accuracy[:, : max(1, len(curve.lr) // 20)]))
    return max(2, round(1 / max(start, 1e-6)))


def _sweeps(curve: OwnCurve, run: Run) -> dict[Run, Outcome]:
    none = np.empty(0)
    return {
        replace(run, seed=seed): Outcome(losses, none, none, none)
        for seed, losses in zip(curve.seeds, curve.loss, strict=True)
    }


def _by_seed(curve: OwnCurve, bounds: Bounds) -> dict[int, float | None]:
    return dict(zip(curve.seeds, bounds.seed_max_lr, strict=False))
