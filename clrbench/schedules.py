"""Learning-rate tables: every function is pure, and entry i of its table is the rate that update i uses (0-based).

All lengths are in steps (one step = one update = one batch); a rate has no unit. Every rate is normal as float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import accumulate, repeat, takewhile
from operator import mul
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from clrbench.errors import ScheduleError
from clrbench.records import DoubleArray, IntArray

END_LR_DIVISOR = 1000.0
"""A decay that is given no end_lr ends at lr / END_LR_DIVISOR, since no rate may be 0."""


def constant(num_steps: int, *, lr: float) -> DoubleArray:
    """Return one rate for all steps.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        lr: The rate (> 0).

    Returns:
        float64[num_steps], every entry `lr`.

    Raises:
        ScheduleError: If an argument is out of range.

    >>> constant(3, lr=0.25).tolist()
    [0.25, 0.25, 0.25]
    """
    _check_length("num_steps", num_steps)
    _check_rate("lr", lr)
    return _checked(np.full(num_steps, lr))


def triangular(num_steps: int, *, base_lr: float, max_lr: float, step_size: float) -> DoubleArray:
    """Return the triangular policy: linear up for `step_size` steps, linear down for as many, repeated.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        base_lr: Rate at steps 0, 2 * step_size, 4 * step_size, ... (> 0).
        max_lr: Rate at steps step_size, 3 * step_size, ... (>= base_lr).
        step_size: Half a cycle, in steps (>= 1); num_steps / (2 * n), whole or not, makes n full cycles.

    Returns:
        float64[num_steps], base_lr + (max_lr - base_lr) * height, where the height runs 0, 1, 0 over a cycle.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Smith 2017, arXiv:1506.01186, section 3.1 (3.2: step_size of 2 to 10 epochs); torch's CyclicLR.

    >>> triangular(6, base_lr=0.25, max_lr=1.0, step_size=2).tolist()
    [0.25, 0.625, 1.0, 0.625, 0.25, 0.625]
    """
    _check_bounds(base_lr, max_lr)
    _, height = _wave(num_steps, step_size)
    return _checked(_between(base_lr, max_lr, height))


def triangular2(num_steps: int, *, base_lr: float, max_lr: float, step_size: float) -> DoubleArray:
    """Return the triangular policy whose amplitude is halved at the end of each cycle.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        base_lr: Rate at steps 0, 2 * step_size, 4 * step_size, ... (> 0).
        max_lr: Rate at step step_size, the first peak (>= base_lr).
        step_size: Half a cycle, in steps (>= 1), whole or not.

    Returns:
        float64[num_steps], base_lr + (max_lr - base_lr) * height / 2**cycle, with cycles counted from 0.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Smith 2017, arXiv:1506.01186, section 3.1; torch's CyclicLR(mode="triangular2").

    >>> triangular2(7, base_lr=0.25, max_lr=1.25, step_size=2).tolist()
    [0.25, 0.75, 1.25, 0.75, 0.25, 0.5, 0.75]
    """
    _check_bounds(base_lr, max_lr)
    cycle, height = _wave(num_steps, step_size)
    return _checked(_between(base_lr, max_lr, height * 0.5**cycle))


def exp_range(num_steps: int, *, base_lr: float, max_lr: float, step_size: float, gamma: float) -> DoubleArray:
    """Return the triangular policy whose amplitude decays every step, as the widespread implementations do.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        base_lr: Rate at steps 0, 2 * step_size, 4 * step_size, ... (> 0); it does not decay.
        max_lr: Upper boundary at step 0 (>= base_lr); from there it decays towards base_lr.
        step_size: Half a cycle, in steps (>= 1), whole or not.
        gamma: Factor of the amplitude a step, in (0, 1].

    Returns:
        float64[num_steps], base_lr + (max_lr - base_lr) * height * gamma**step.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: torch's CyclicLR(mode="exp_range"); bckenstler's CLR. The paper's text differs: `exp_range_paper`.

    >>> exp_range(5, base_lr=0.25, max_lr=1.25, step_size=1, gamma=0.5).tolist()
    [0.25, 0.75, 0.25, 0.375, 0.25]
    """
    _check_bounds(base_lr, max_lr)
    _check_factor("gamma", gamma)
    _, height = _wave(num_steps, step_size)
    return _checked(_between(base_lr, max_lr, height * gamma ** _steps(num_steps)))


def exp_range_paper(num_steps: int, *, base_lr: float, max_lr: float, step_size: float, gamma: float) -> DoubleArray:
    """Return the triangular policy both of whose boundaries decay every step, as the paper's text says.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        base_lr: Lower boundary at step 0 (> 0).
        max_lr: Upper boundary at step 0 (>= base_lr).
        step_size: Half a cycle, in steps (>= 1), whole or not.
        gamma: Factor of both boundaries a step, in (0, 1].

    Returns:
        float64[num_steps], (base_lr + (max_lr - base_lr) * height) * gamma**step.

    Raises:
        ScheduleError: If an argument is out of range, or the rates fall below what float32 can hold.

    Source: Smith 2017, arXiv:1506.01186, section 3.1: each boundary declines by a factor of gamma^iteration.

    >>> exp_range_paper(5, base_lr=0.25, max_lr=1.0, step_size=1, gamma=0.5).tolist()
    [0.25, 0.5, 0.0625, 0.125, 0.015625]
    """
    _check_factor("gamma", gamma)
    boundaries_at_start = triangular(num_steps, base_lr=base_lr, max_lr=max_lr, step_size=step_size)
    return _checked(boundaries_at_start * gamma ** _steps(num_steps))


def one_cycle(
    num_steps: int,
    *,
    max_lr: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    anneal: Literal["cos", "linear"] = "cos",
) -> DoubleArray:
    """Return the one-cycle policy: one rise to `max_lr`, then one fall far below the rate it started from.

    Args:
        num_steps: Length of the table, in steps (> 1 / pct_start, so that there is a rise).
        max_lr: The peak, at step pct_start * num_steps - 1, which need not be whole (> 0).
        pct_start: Fraction of the steps spent rising, in (0, 1).
        div_factor: max_lr over the first rate (>= 1).
        final_div_factor: First rate over the last one (>= 1).
        anneal: Shape of rise and fall: half a cosine wave, or a straight line.

    Returns:
        float64[num_steps] from max_lr / div_factor, over max_lr, to max_lr / (div_factor * final_div_factor).

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Smith & Topin 2017, arXiv:1708.07120, section 3; torch's OneCycleLR in two phases.

    >>> one_cycle(5, max_lr=1.0, pct_start=0.6, div_factor=2, final_div_factor=4, anneal="linear").tolist()
    [0.5, 0.75, 1.0, 0.5625, 0.125]
    """
    _check_rate("max_lr", max_lr)
    _require("pct_start", pct_start, "in (0, 1), both excluded", holds=0 < pct_start < 1)
    _check_at_least_one("div_factor", div_factor)
    _check_at_least_one("final_div_factor", final_div_factor)
    _require("anneal", anneal, "cos or linear", holds=anneal in ("cos", "linear"))
    step = _steps(num_steps)
    peak = pct_start * num_steps - 1
    _require("num_steps", num_steps, f"more than {1 / pct_start:g} steps (1 / pct_start)", holds=peak > 0)
    height = np.interp(step, [0, peak, num_steps - 1], [0, 1, 0])
    if anneal == "cos":
        height = np.sin(np.pi / 2 * height) ** 2
    first = max_lr / div_factor
    return _checked(_between(np.where(step <= peak, first, first / final_div_factor), max_lr, height))


def linear_decay(num_steps: int, *, lr: float, end_lr: float | None = None) -> DoubleArray:
    """Return a straight line from `lr` down to `end_lr`.

    Args:
        num_steps: Length of the table, in steps (>= 1); a table of one step is `lr` alone.
        lr: Rate at step 0 (> 0).
        end_lr: Rate at step num_steps - 1, in (0, lr]; None is lr / 1000.

    Returns:
        float64[num_steps], lr + (end_lr - lr) * step / (num_steps - 1); both ends are exact.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Li, Yumer & Ramanan 2020, arXiv:1905.04753, section 3.

    >>> linear_decay(4, lr=1.0, end_lr=0.25).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    _check_length("num_steps", num_steps)
    return _checked(np.linspace(lr, _end_lr(lr, end_lr), num_steps))


def cosine(num_steps: int, *, lr: float, end_lr: float | None = None) -> DoubleArray:
    """Return half a cosine wave from `lr` down to `end_lr`.

    Args:
        num_steps: Length of the table, in steps (>= 1); a table of one step is `lr` alone.
        lr: Rate at step 0 (> 0).
        end_lr: Rate at step num_steps - 1, in (0, lr]; None is lr / 1000.

    Returns:
        float64[num_steps], end_lr + (lr - end_lr) * (1 + cos(pi * step / (num_steps - 1))) / 2; both ends are exact.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, section 3; torch's CosineAnnealingLR(T_max=num_steps - 1).

    >>> cosine(3, lr=1.0, end_lr=0.5).round(4).tolist()
    [1.0, 0.75, 0.5]
    """
    return _checked(_cosine_between(_end_lr(lr, end_lr), lr, _steps(num_steps) / max(num_steps - 1, 1)))


def step_decay(num_steps: int, *, lr: float, factor: float, every_steps: int) -> DoubleArray:
    """Return a staircase: the rate is multiplied by `factor` after every `every_steps` steps.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        lr: Rate of the first stair (> 0).
        factor: Height of a stair over the one before, in (0, 1].
        every_steps: Length of a stair, in steps (>= 1).

    Returns:
        float64[num_steps], lr * factor**floor(step / every_steps).

    Raises:
        ScheduleError: If an argument is out of range, or the rates fall below what float32 can hold.

    Source: torch's StepLR.

    >>> step_decay(5, lr=1.0, factor=0.5, every_steps=2).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    _check_rate("lr", lr)
    _check_factor("factor", factor)
    _check_length("every_steps", every_steps)
    return _checked(lr * factor ** (_steps(num_steps) // every_steps))


def exponential_decay(num_steps: int, *, lr: float, gamma: float, steps_per_epoch: int) -> DoubleArray:
    """Return a smooth exponential decay: a little every step, by `gamma` over an epoch.

    It meets torch's ExponentialLR, stepped once an epoch, at the first step of each epoch; for that staircase
    itself use `step_decay(factor=gamma, every_steps=steps_per_epoch)`.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        lr: Rate at step 0 (> 0).
        gamma: Factor of the rate an epoch, in (0, 1].
        steps_per_epoch: Length of an epoch, in steps (>= 1).

    Returns:
        float64[num_steps], lr * gamma**(step / steps_per_epoch).

    Raises:
        ScheduleError: If an argument is out of range, or the rates fall below what float32 can hold.

    Source: Keras's ExponentialDecay(decay_steps=steps_per_epoch, staircase=False).

    >>> exponential_decay(5, lr=1.0, gamma=0.25, steps_per_epoch=2).tolist()
    [1.0, 0.5, 0.25, 0.125, 0.0625]
    """
    _check_rate("lr", lr)
    _check_factor("gamma", gamma)
    _check_length("steps_per_epoch", steps_per_epoch)
    return _checked(lr * gamma ** (_steps(num_steps) / steps_per_epoch))


def cosine_restarts(
    num_steps: int, *, lr: float, end_lr: float | None = None, period_steps: int, multiplier: int = 1
) -> DoubleArray:
    """Return SGDR: half a cosine wave from `lr` towards `end_lr`, restarted at `lr` after every period.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        lr: Rate at the first step of each period (> 0).
        end_lr: Rate that a period tends to and would reach one step after its last, in (0, lr]; None is lr / 1000.
        period_steps: Length of the first period, in steps (>= 1).
        multiplier: Length of a period over the one before, a whole number (>= 1).

    Returns:
        float64[num_steps], end_lr + (lr - end_lr) * (1 + cos(pi * steps since the restart / period)) / 2.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, section 3, equation 5; torch's CosineAnnealingWarmRestarts.

    >>> cosine_restarts(6, lr=1.0, end_lr=0.5, period_steps=2, multiplier=2).round(4).tolist()
    [1.0, 0.75, 1.0, 0.9268, 0.75, 0.5732]
    """
    end_lr = _end_lr(lr, end_lr)
    _check_length("period_steps", period_steps)
    _check_at_least_one("multiplier", multiplier)
    step = _steps(num_steps)
    periods = accumulate(repeat(multiplier), mul, initial=period_steps)
    restarts = np.array([*takewhile(lambda start: start < num_steps, accumulate(periods, initial=0))])
    index = np.searchsorted(restarts, step, side="right") - 1
    return _checked(_cosine_between(end_lr, lr, (step - restarts[index]) / (period_steps * float(multiplier) ** index)))


SCHEDULES: Mapping[str, Callable[..., DoubleArray]] = MappingProxyType(
    {
        schedule.__name__: schedule
        for schedule in (
            constant,
            triangular,
            triangular2,
            exp_range,
            exp_range_paper,
            one_cycle,
            linear_decay,
            cosine,
            step_decay,
            exponential_decay,
            cosine_restarts,
        )
    }
)
"""Every schedule by its name in the spec, to be called as `SCHEDULES[name](num_steps, **arguments)`."""


def warmup(num_steps: int, *, warmup_steps: int, schedule: Callable[[int], DoubleArray]) -> DoubleArray:
    """Return a linear rise to the first rate of `schedule`, then all of `schedule` from its own step 0.

    Args:
        num_steps: Length of the whole table, in steps (>= 1).
        warmup_steps: Length of the rise, in steps, in [0, num_steps); 0 is none.
        schedule: Makes the table of the num_steps - warmup_steps steps that are left; such as a `partial` of one above.

    Returns:
        float64[num_steps], first * (step + 1) / (warmup_steps + 1), and `first` itself at step warmup_steps.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.2.

    >>> warmup(5, warmup_steps=3, schedule=lambda num_steps: constant(num_steps, lr=1.0)).tolist()
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    _check_length("num_steps", num_steps)
    allowed = f"0 to {num_steps - 1} steps (num_steps is {num_steps})"
    _require("warmup_steps", warmup_steps, allowed, holds=0 <= warmup_steps < num_steps)
    table = schedule(num_steps - warmup_steps)
    rise = table[0] * np.arange(1, warmup_steps + 1) / (warmup_steps + 1)
    return _checked(np.concatenate([rise, table]))


def ramp(num_steps: int, *, start_lr: float, end_lr: float, kind: Literal["linear", "exponential"]) -> DoubleArray:
    """Return the rising rates of an LR range test.

    Args:
        num_steps: Length of the table, in steps (>= 2).
        start_lr: Rate at step 0 (> 0).
        end_lr: Rate at step num_steps - 1 (> start_lr).
        kind: Equal differences from step to step (the paper's), or equal ratios (for wide ranges).

    Returns:
        float64[num_steps], start_lr + (end_lr - start_lr) * t, or start_lr * (end_lr / start_lr)**t, where
        t = step / (num_steps - 1); both ends are exact.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Smith 2017, arXiv:1506.01186, section 3.3 (linear).

    >>> ramp(4, start_lr=0.25, end_lr=1.0, kind="linear").tolist()
    [0.25, 0.5, 0.75, 1.0]
    >>> ramp(4, start_lr=0.125, end_lr=1.0, kind="exponential").round(4).tolist()
    [0.125, 0.25, 0.5, 1.0]
    """
    _require("num_steps", num_steps, ">= 2 steps", holds=num_steps >= 2)
    _check_rate("start_lr", start_lr)
    allowed = f"a finite number > start_lr ({start_lr})"
    _require("end_lr", end_lr, allowed, holds=start_lr < end_lr < math.inf)
    _require("kind", kind, "linear or exponential", holds=kind in ("linear", "exponential"))
    spaced = np.linspace if kind == "linear" else np.geomspace
    return _checked(spaced(start_lr, end_lr, num_steps))


def cycle_end_steps(num_steps: int, step_size: float) -> IntArray:
    """Return after how many steps each cycle of a triangular policy has ended.

    Args:
        num_steps: Steps of the schedule (>= 1), without its warm-up.
        step_size: Half a cycle, in steps (>= 1), whole or not.

    Returns:
        int32[num_cycles], n * 2 * step_size rounded to whole steps, ascending; the last is `num_steps` exactly where
        training ends at the end of a cycle, give or take half a step.

    Raises:
        ScheduleError: If an argument is out of range.

    Source: Smith 2017, arXiv:1506.01186, section 3.2: it is best to stop training at the end of a cycle.

    >>> cycle_end_steps(10, 2).tolist(), cycle_end_steps(10, 10 / 6).tolist()
    ([4, 8], [3, 7, 10])
    """
    _check_length("num_steps", num_steps)
    _check_length("step_size", step_size)
    ends: DoubleArray = np.rint(np.arange(1, num_steps / (2 * step_size) + 1) * 2 * step_size)
    return ends[ends <= num_steps].astype(np.int32)


def _wave(num_steps: int, step_size: float) -> tuple[DoubleArray, DoubleArray]:
    """Return the cycle (from 0) and the height (0 to 1 and back, over a cycle) of every step."""
    _check_length("step_size", step_size)
    cycle, position = np.divmod(_steps(num_steps), 2.0 * step_size)
    return cycle, 1 - np.abs(position / step_size - 1)


def _between(low: float | DoubleArray, high: float, weight: DoubleArray) -> DoubleArray:
    """Return `low` where the weight is 0, `high` where it is 1, both exact, and never anything outside."""
    table: DoubleArray = np.clip(low * (1 - weight) + high * weight, low, high)
    return table


def _cosine_between(low: float, high: float, elapsed: npt.NDArray[np.floating]) -> DoubleArray:
    return _between(low, high, (1 + np.cos(np.pi * elapsed)) / 2)


def _steps(num_steps: int) -> npt.NDArray[np.int64]:
    _check_length("num_steps", num_steps)
    return np.arange(num_steps, dtype=np.int64)


def _end_lr(lr: float, end_lr: float | None) -> float:
    _check_rate("lr", lr)
    chosen = lr / END_LR_DIVISOR if end_lr is None else end_lr
    _require("end_lr", chosen, f"a number > 0 and <= lr ({lr})", holds=0 < chosen <= lr)
    return chosen


def _checked(table: npt.NDArray[np.floating]) -> DoubleArray:
    """Return the table, or raise if float32, in which the backends train, cannot hold all of it.

    Subnormal rates are refused too, because a backend may flush them to zero.
    """
    smallest, largest = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    allowed = f"{smallest:.3g} to {largest:.3g} (float32); change the rates or the decay"
    for step in (table.argmin(), table.argmax()):
        rate = float(table[step])
        _require(f"learning rate at step {step}", f"{rate:.3g}", allowed, holds=smallest <= rate <= largest)
    return table.astype(np.float64, copy=False)


def _check_length(name: str, steps: float) -> None:
    _require(name, steps, "a finite number of steps >= 1", holds=1 <= steps < math.inf)


def _check_at_least_one(name: str, value: float) -> None:
    _require(name, value, "a finite number >= 1", holds=1 <= value < math.inf)


def _check_rate(name: str, rate: float) -> None:
    _require(name, rate, "a finite number > 0", holds=0 < rate < math.inf)


def _check_bounds(base_lr: float, max_lr: float) -> None:
    _check_rate("base_lr", base_lr)
    _require("max_lr", max_lr, f"a finite number >= base_lr ({base_lr})", holds=base_lr <= max_lr < math.inf)


def _check_factor(name: str, factor: float) -> None:
    _require(name, factor, "a number > 0 and <= 1", holds=0 < factor <= 1)


def _require(name: str, got: object, allowed: str, *, holds: bool) -> None:
    if not holds:
        raise ScheduleError(f"{name}: got {got}; allowed: {allowed}")
