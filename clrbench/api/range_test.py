"""An LR range test around a training loop of one's own; no framework is assumed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import SupportsFloat, cast, get_args

import numpy as np

from clrbench.analysis.own_bounds import OwnBounds, own_curve_table
from clrbench.api.bounds import RangeTestBounds
from clrbench.counted import counted
from clrbench.errors import SpecError
from clrbench.rates import Outcome, Rates, Request, Run
from clrbench.rates.confirm import Confirmed
from clrbench.rates.own_curve import OwnCurve, confirmed, has_diverged, rates_of, trial_course
from clrbench.rates.records import MIN_SWEEP_STEPS, Ramp
from clrbench.records import DoubleArray
from clrbench.schedules import ramp as ramp_table

BROKEN_OFF = "the trials were cut short: rerun the whole loop over trials() to confirm constant_lr"
CUT_SHORT = "{which} left after {done} of {steps} without diverging: the curve ends there; make the loop longer"


@dataclass
class _Sweep:
    """One pass over the rates: how many were handed out, and loss and accuracy of the updates so far."""

    handed_out: int = 0
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    diverged: bool = False


class _Values:
    """Reads what is recorded; accuracies are given always or never."""

    def __init__(self) -> None:
        self._with_accuracy: bool | None = None

    def read(self, loss: SupportsFloat, accuracy: SupportsFloat | None) -> tuple[float, float]:
        """Return loss and accuracy as numbers; nan for an accuracy that is left out."""
        value = float(loss)
        fraction = math.nan if accuracy is None else float(accuracy)
        if not math.isfinite(value):
            return value, fraction  # of what has diverged the accuracy tells nothing
        if accuracy is not None and not 0 <= fraction <= 1:
            raise SpecError(f"accuracy: got {fraction:g}; allowed: a fraction from 0 to 1 (57 % is 0.57)")
        if self._with_accuracy not in {None, accuracy is not None}:
            raise SpecError(
                "accuracy: got it for some updates or trials only; give it in all of them, or in none; another RangeTest begins "
                "anew"
            )
        self._with_accuracy = accuracy is not None
        return value, fraction


class Trial:
    """A short training at a constant rate.

    Attributes:
        lr: The rate to train at.
        seed: The number of the sweep whose initial weights and batches to take, from 0 on.
        steps: About how many updates to make; another number is as good if all trials have it.
    """

    def __init__(self, run: Run, values: _Values) -> None:
        self.lr, self.seed, self.steps = run.high, run.seed, run.num_steps
        self._values = values
        self._reached: tuple[float, float] | None = None

    def record(self, loss: SupportsFloat, accuracy: SupportsFloat | None = None) -> None:
        """Say what the training reached on validation rows.

        Args:
            loss: nan or inf if it diverged.
            accuracy: A fraction; may be left out, in all updates and trials alike.

        Raises:
            SpecError: If the accuracy is no fraction, or is left out in some updates and trials only.
        """
        self._reached = self._values.read(loss, accuracy)

    def outcome(self) -> Outcome:
        """Return what was recorded.

        Raises:
            SpecError: If nothing was.
        """
        if self._reached is None:
            raise SpecError(
                f"trial at {self.lr:g}: nothing was recorded; call trial.record(loss, accuracy) before the next"
            )
        loss, accuracy = self._reached
        return Outcome(np.full(self.steps, loss), np.array([self.steps]), np.array([loss]), np.array([accuracy]))


class RangeTest:
    """The LR range test around a loop of one's own, which trains one update at each rate that it is handed.

    Iterated over, it is a sweep: `steps` rates from `start_lr` to `end_lr`, or as far as the loss does not diverge. Several
    sweeps, with other initial weights and batches, are seeds.

    >>> test = RangeTest(start_lr=1e-3, end_lr=10.0, steps=100)
    >>> for seed in range(2):
    ...     weight = 1.0 + seed
    ...     for lr in test:
    ...         test.record(loss=0.1 + weight**2)
    ...         weight -= lr * weight
    >>> test.bounds().reason is None
    True
    """

    def __init__(self, start_lr: float, end_lr: float, steps: int, ramp: Ramp = "exponential") -> None:
        """Set the rates.

        Args:
            start_lr: The first rate (> 0).
            end_lr: The last rate (> start_lr).
            steps: Updates of a sweep (>= 12; some hundred).
            ramp: exponential (equal ratios) or linear (equal differences).

        Raises:
            SpecError: If one of them is out of range.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < MIN_SWEEP_STEPS:
            raise SpecError(f"steps: got {steps!r}; allowed: a whole number of at least {MIN_SWEEP_STEPS}, such as 300")
        if ramp not in get_args(Ramp):
            raise SpecError(f"ramp: got {ramp!r}; allowed: {' or '.join(get_args(Ramp))}")
        self._ramp: Ramp = ramp
        self._lr = ramp_table(steps, start_lr=float(start_lr), end_lr=float(end_lr), kind=ramp)
        self._sweeps: list[_Sweep] = []
        self._under_way: _Sweep | None = None
        self._values = _Values()
        self._trials_begun = False
        self._confirmed: Confirmed | None = None

    def __iter__(self) -> Iterator[float]:
        """Begin a sweep: yield the rate of each update, until the last one or a divergence."""
        sweep = _Sweep()
        self._sweeps.append(sweep)
        self._trials_begun, self._confirmed = False, None
        try:
            for lr in self._lr.tolist():
                if sweep.diverged:
                    return
                sweep.handed_out += 1
                self._under_way = sweep
                yield lr
                if len(sweep.losses) < sweep.handed_out:
                    raise SpecError(
                        f"update {sweep.handed_out}: nothing was recorded; call test.record(loss, accuracy) at each rate"
                    )
        finally:
            if self._under_way is sweep:
                self._under_way = None

    def record(self, loss: SupportsFloat, accuracy: SupportsFloat | None = None) -> None:
        """Say what the update at the rate just handed out found: of its mini-batch, before the update.

        The sweep ends where the loss is not finite, or more than 10 times that of its first update.

        Args:
            loss: A number, or what `float` makes one of, such as a tensor of one entry; unscaled in mixed precision, the mean of
                the parts where gradients are accumulated.
            accuracy: A fraction; may be left out, in all updates and trials alike.

        Raises:
            SpecError: If no sweep is under way, the update has been recorded, or the accuracy is no fraction, or is left out in
                some updates and trials only.
        """
        sweep = self._under_way
        if sweep is None:
            raise SpecError("record: no sweep is under way; call it once in each turn of `for lr in test:`")
        if len(sweep.losses) == sweep.handed_out:
            raise SpecError(
                f"record: update {sweep.handed_out} has been recorded; call it once in each turn of `for lr in test:`"
            )
        value, fraction = self._values.read(loss, accuracy)
        sweep.diverged = has_diverged(value, sweep.losses[0] if sweep.losses else value)
        sweep.losses.append(math.nan if sweep.diverged else value)
        sweep.accuracies.append(math.nan if sweep.diverged else fraction)

    def trials(self) -> Iterator[Trial]:
        """Yield short trainings at constant rates, each chosen by what those before it reached; about ten.

        Without an answer of the curve there is none to try.

        Raises:
            SpecError: If no sweep is finished, or a trial was not recorded before the next is asked for.
        """
        curve, _ = self._curve()
        rates = rates_of(curve)
        if rates.reason is not None:
            return
        self._trials_begun, self._confirmed = True, None
        course = trial_course(curve, rates, self._ramp)
        outcomes: list[Outcome] | None = None
        while True:
            try:
                request: Request = next(course) if outcomes is None else course.send(outcomes)
            except StopIteration as done:
                self._confirmed = cast(Confirmed, done.value)
                return
            outcomes = []
            for run in request.runs:
                trial = Trial(run, self._values)
                yield trial
                outcomes.append(trial.outcome())

    def bounds(self) -> RangeTestBounds:
        """Return the rates that the sweeps suggest, and the trials confirm where they have been run, or why there are none.

        Raises:
            SpecError: If no sweep is finished.
        """
        curve, caveats = self._curve()
        rates = rates_of(curve)
        if self._confirmed is not None:
            rates = confirmed(rates, self._confirmed)
        elif self._trials_begun:
            caveats.append(BROKEN_OFF)
        return RangeTestBounds(OwnBounds(_with_caveats(rates, caveats), own_curve_table(curve)))

    def _curve(self) -> tuple[OwnCurve, list[str]]:
        """Return the sweeps side by side, up to where the shortest was left, and what is to be said of that."""
        kept = [sweep for sweep in self._sweeps if sweep.diverged or len(sweep.losses) >= MIN_SWEEP_STEPS]
        if not kept:
            raise SpecError("no sweep is finished; train through `for lr in test:` first, recording each update")
        points = min(len(self._lr) if sweep.diverged else len(sweep.losses) for sweep in kept)
        loss, accuracy = (
            _padded([getattr(sweep, name) for sweep in kept], points) for name in ("losses", "accuracies")
        )
        caveats = []
        if points < len(self._lr):
            short = [seed for seed, sweep in enumerate(kept) if len(sweep.losses) == points and not sweep.diverged]
            which = f"seed {short[0]} was" if len(short) == 1 else f"{counted(len(short), 'seed')} were"
            caveats.append(CUT_SHORT.format(which=which, done=points, steps=counted(len(self._lr), "update")))
        known = None if np.isnan(accuracy).all() else accuracy
        return OwnCurve(self._lr[:points], loss, known, tuple(range(len(kept)))), caveats


def _padded(rows: list[list[float]], points: int) -> DoubleArray:
    table = np.full((len(rows), points), np.nan)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values[:points]
    return table


def _with_caveats(rates: Rates, caveats: list[str]) -> Rates:
    return replace(rates, caveats=(*caveats, *rates.caveats))
