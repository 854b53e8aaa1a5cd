"""Schedules that fall: in a line, a cosine, steps or exponentially, once or with restarts.

`lr` (> 0) is the rate at step 0, and `end_lr`, in (0, lr], the rate at the last step, both exactly; None is lr / 1000. A
table of one step is `lr` alone. `factor` and `gamma` are in (0, 1].
"""

from itertools import accumulate, repeat, takewhile
from operator import mul
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from clrbench.records import DoubleArray
from clrbench.schedules.checks import between, check, check_factor, check_rate, check_ratio, check_steps, checked, steps
from clrbench.schedules.registry import Factor, register

END_LR_DIVISOR = 1000.0
"""A decay that is given no end_lr ends at lr / END_LR_DIVISOR, since no rate may be 0."""
MAX_POWER = 100
"""Of a polynomial; a higher one is a jump."""


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


@register("Scaled by `factor` at fixed intervals (`every`).")
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


@register("Smooth decay, `gamma` per epoch.")
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


@register("From `lr` to `end_lr`, as (1 - progress) to the power `power`.")
def polynomial(
    num_steps: int, *, lr: float, end_lr: float | None = None, power: Annotated[float, Gt(0), Le(100)] = 1.0
) -> DoubleArray:
    """Return a polynomial decay from `lr` to `end_lr`; a power of 1 is a straight line, a higher one falls sooner.

    The rate is end_lr + (lr - end_lr) * (1 - step / (num_steps - 1))**power, with power in (0, 100].

    Source: torch's PolynomialLR(total_iters=num_steps - 1), which ends at 0; Keras's PolynomialDecay(decay_steps=num_steps - 1).

    >>> polynomial(5, lr=1.0, end_lr=0.5, power=2).tolist()
    [1.0, 0.78125, 0.625, 0.53125, 0.5]
    """
    end_lr = _end_lr(lr, end_lr)
    check("power", power, "a number > 0 and <= 100", holds=0 < power <= MAX_POWER)
    left = 1 - steps(num_steps) / max(num_steps - 1, 1)
    return checked(between(end_lr, lr, left**power))


@register("`lr`, then a decay to `end_lr` over the last steps (warmup, stable, decay).")
def wsd(
    num_steps: int,
    *,
    lr: float,
    end_lr: float | None = None,
    decay_share: Annotated[float, Gt(0), Le(1)] = 0.2,
    shape: Literal["linear", "cosine", "sqrt"] = "linear",
) -> DoubleArray:
    """Return warmup-stable-decay without its warm-up, which any schedule may have: level, then a fall to `end_lr`.

    The fall takes the last round(decay_share * num_steps) steps, at least 1 and at most num_steps - 1. With t from 0, at the
    last step before it, to 1, at the last step, the rate is end_lr + (lr - end_lr) * left, where left is 1 - t (linear),
    (1 + cos(pi * t)) / 2 (cosine) or 1 - sqrt(t) (sqrt).

    Source: Hu et al. 2024, arXiv:2404.06395, section 4; sqrt: Haegele et al. 2024, arXiv:2405.18392, section 4; the
    get_wsd_schedule of Hugging Face transformers with num_stable_steps=num_steps - 1 - num_decay_steps.

    >>> wsd(6, lr=1.0, end_lr=0.25, decay_share=0.5).tolist()
    [1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    end_lr = _end_lr(lr, end_lr)
    check("decay_share", decay_share, "a number > 0 and <= 1", holds=0 < decay_share <= 1)
    check("shape", shape, "linear, cosine or sqrt", holds=shape in ("linear", "cosine", "sqrt"))
    step = steps(num_steps)
    decay_steps = max(1, min(round(decay_share * num_steps), num_steps - 1))
    elapsed = np.maximum(step - max(num_steps - 1 - decay_steps, 0), 0) / decay_steps
    if shape == "cosine":
        return checked(_cosine_between(end_lr, lr, elapsed))
    return checked(between(end_lr, lr, 1 - (elapsed if shape == "linear" else np.sqrt(elapsed))))


def _cosine_between(low: float, high: float, elapsed: npt.NDArray[np.floating]) -> DoubleArray:
    return between(low, high, (1 + np.cos(np.pi * elapsed)) / 2)


def _end_lr(lr: float, end_lr: float | None) -> float:
    check_rate("lr", lr)
    chosen = lr / END_LR_DIVISOR if end_lr is None else end_lr
    check("end_lr", chosen, f"a number > 0 and <= lr ({lr})", holds=0 < chosen <= lr)
    return chosen
