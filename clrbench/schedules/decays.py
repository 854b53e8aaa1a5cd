"""Schedules that fall: in a line, a cosine, steps or exponentially, once or with restarts.

`lr` (> 0) is the rate at step 0, and `end_lr`, in (0, lr], the rate at the last step, both exactly; None is lr / 1000. A
table of one step is `lr` alone. `factor` and `gamma` are in (0, 1].
"""

from itertools import accumulate, repeat, takewhile
from operator import mul
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from clrbench.records import DoubleArray
from clrbench.schedules.checks import between, check, check_factor, check_rate, check_ratio, check_steps, checked, steps
from clrbench.schedules.registry import Factor, register

END_LR_DIVISOR = 1000.0
"""A decay that is given no end_lr ends at lr / END_LR_DIVISOR, since no rate may be 0."""


@register("Linear from `lr` to `end_lr`.")
def linear_decay(num_steps: int, *, lr: float, end_lr: float | None = None) -> DoubleArray:
    """Return a straight line from `lr` down to `end_lr`.

    The rate is lr + (end_lr - lr) * step / (num_steps - 1).

    Source: Li, Yumer & Ramanan 2020, arXiv:1905.04753, section 3.

    >>> linear_decay(4, lr=1.0, end_lr=0.25).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    check_steps("num_steps", num_steps)
    return checked(np.linspace(lr, _end_lr(lr, end_lr), num_steps))


@register("Half a cosine from `lr` to `end_lr`.")
def cosine(num_steps: int, *, lr: float, end_lr: float | None = None) -> DoubleArray:
    """Return half a cosine wave from `lr` down to `end_lr`.

    The rate is end_lr + (lr - end_lr) * (1 + cos(pi * step / (num_steps - 1))) / 2.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, section 3; torch's CosineAnnealingLR(T_max=num_steps - 1).

    >>> cosine(3, lr=1.0, end_lr=0.5).round(4).tolist()
    [1.0, 0.75, 0.5]
    """
    return checked(_cosine_between(_end_lr(lr, end_lr), lr, steps(num_steps) / max(num_steps - 1, 1)))


@register("Times `factor` after every so many epochs or steps.")
def step_decay(num_steps: int, *, lr: float, factor: Factor, every_steps: int) -> DoubleArray:
    """Return a staircase: the rate is multiplied by `factor` after every `every_steps` steps.

    The rate is lr * factor**floor(step / every_steps).

    Source: torch's StepLR.

    >>> step_decay(5, lr=1.0, factor=0.5, every_steps=2).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    check_rate("lr", lr)
    check_factor("factor", factor)
    check_steps("every_steps", every_steps)
    return checked(lr * factor ** (steps(num_steps) // every_steps))


@register("Times `gamma` an epoch, smoothly.")
def exponential_decay(num_steps: int, *, lr: float, gamma: Factor, steps_per_epoch: int) -> DoubleArray:
    """Return a smooth exponential decay: a little every step, by `gamma` over an epoch.

    The rate is lr * gamma**(step / steps_per_epoch).

    It meets torch's ExponentialLR, stepped once an epoch, at the first step of each epoch; for that staircase
    itself use `step_decay(factor=gamma, every_steps=steps_per_epoch)`.

    Source: Keras's ExponentialDecay(decay_steps=steps_per_epoch, staircase=False).

    >>> exponential_decay(5, lr=1.0, gamma=0.25, steps_per_epoch=2).tolist()
    [1.0, 0.5, 0.25, 0.125, 0.0625]
    """
    check_rate("lr", lr)
    check_factor("gamma", gamma)
    check_steps("steps_per_epoch", steps_per_epoch)
    return checked(lr * gamma ** (steps(num_steps) / steps_per_epoch))


@register("Half cosines that start again, each `multiplier` times as long as the one before.")
def cosine_restarts(
    num_steps: int,
    *,
    lr: float,
    end_lr: float | None = None,
    period_steps: int,
    multiplier: Annotated[int, Ge(1), Le(1000)] = 1,
) -> DoubleArray:
    """Return SGDR: half a cosine wave from `lr` towards `end_lr`, restarted at `lr` after every period.

    The rate is end_lr + (lr - end_lr) * (1 + cos(pi * steps since the restart / period)) / 2.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        lr: Rate at the first step of each period (> 0).
        end_lr: Rate that a period tends to and would reach one step after its last, in (0, lr]; None is lr / 1000.
        period_steps: Length of the first period, in steps (>= 1).
        multiplier: Length of a period over the one before, a whole number (>= 1).

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, section 3, equation 5; torch's CosineAnnealingWarmRestarts.

    >>> cosine_restarts(6, lr=1.0, end_lr=0.5, period_steps=2, multiplier=2).round(4).tolist()
    [1.0, 0.75, 1.0, 0.9268, 0.75, 0.5732]
    """
    end_lr = _end_lr(lr, end_lr)
    check_steps("period_steps", period_steps)
    check_ratio("multiplier", multiplier)
    step = steps(num_steps)
    periods = accumulate(repeat(multiplier), mul, initial=period_steps)
    restarts = np.array([*takewhile(lambda start: start < num_steps, accumulate(periods, initial=0))])
    index = np.searchsorted(restarts, step, side="right") - 1
    return checked(_cosine_between(end_lr, lr, (step - restarts[index]) / (period_steps * float(multiplier) ** index)))


def _cosine_between(low: float, high: float, elapsed: npt.NDArray[np.floating]) -> DoubleArray:
    return between(low, high, (1 + np.cos(np.pi * elapsed)) / 2)


def _end_lr(lr: float, end_lr: float | None) -> float:
    check_rate("lr", lr)
    chosen = lr / END_LR_DIVISOR if end_lr is None else end_lr
    check("end_lr", chosen, f"a number > 0 and <= lr ({lr})", holds=0 < chosen <= lr)
    return chosen
