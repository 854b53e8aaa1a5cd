"""A constant rate, one that changes at given steps, rates from a table, the warm-up, and the ramp of a range test."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from clrbench.counted import counted
from clrbench.records import DoubleArray
from clrbench.schedules.checks import check, check_rate, check_steps, checked, steps
from clrbench.schedules.registry import register


@register("The same rate throughout.")
def constant(num_steps: int, *, lr: float) -> DoubleArray:
    """Return `lr` (> 0) for every step.

    >>> constant(3, lr=0.25).tolist()
    [0.25, 0.25, 0.25]
    """
    check_steps("num_steps", num_steps)
    check_rate("lr", lr)
    return checked(np.full(num_steps, lr))


@register("Scaled by a factor at each milestone.")
def piecewise(num_steps: int, *, lr: float, milestones: Mapping[int, float]) -> DoubleArray:
    """Return a rate that changes at milestones: from step m on it is lr * milestones[m], before the first it is `lr`.

    Args:
        num_steps: Length of the table, in steps (>= 1).
        lr: Rate at the start (> 0).
        milestones: Factors of `lr` (> 0), not of the rate before, by steps (>= 1); those past the end change nothing.

    Source: torch's MultiStepLR, whose gamma is a factor of the rate before.

    >>> piecewise(5, lr=1.0, milestones={2: 0.5, 4: 0.25}).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    check_rate("lr", lr)
    check("milestones", dict(milestones), "at least one step and its factor", holds=bool(milestones))
    for start, factor in milestones.items():
        check_steps("milestones", start)
        check_rate(f"milestones at step {start}", factor)
    starts = np.array(sorted(milestones))
    factors = np.array([1.0, *(milestones[start] for start in starts)])
    return checked(lr * factors[np.searchsorted(starts, steps(num_steps), side="right")])


@register("The rates of a CSV file with columns step and lr, one row per update.")
def table(num_steps: int, *, rates: Sequence[float]) -> DoubleArray:
    """Return rates as they are: rates[i] (> 0) at step i; exactly num_steps of them.

    >>> table(3, rates=(0.5, 0.25, 0.5)).tolist()
    [0.5, 0.25, 0.5]
    """
    check_steps("num_steps", num_steps)
    check("rates", counted(len(rates), "rate"), f"{num_steps}, one for each update", holds=len(rates) == num_steps)
    found = np.asarray(rates, np.float64)
    lowest = float(found[np.argmin(np.where(np.isfinite(found), found, -np.inf))])
    check_rate("rates", lowest)
    return checked(found)


def warmup(num_steps: int, *, warmup_steps: int, schedule: Callable[[int], DoubleArray]) -> DoubleArray:
    """Return a linear rise to the first rate of `schedule`, then all of `schedule` from its own step 0.

    Step i of the rise is first * (i + 1) / (warmup_steps + 1); step warmup_steps is `first`, the first rate, itself.

    Args:
        num_steps: Length of the whole table, in steps.
        warmup_steps: Length of the rise, in steps, in [0, num_steps); 0 is none.
        schedule: Makes the table of the num_steps - warmup_steps steps that are left; such as a `partial` of one above.

    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.2.

    >>> warmup(5, warmup_steps=3, schedule=lambda num_steps: constant(num_steps, lr=1.0)).tolist()
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    check_steps("num_steps", num_steps)
    allowed = f"0 to {num_steps - 1} steps (num_steps is {num_steps})"
    check("warmup_steps", warmup_steps, allowed, holds=0 <= warmup_steps < num_steps)
    table = schedule(num_steps - warmup_steps)
    rise = table[0] * np.arange(1, warmup_steps + 1) / (warmup_steps + 1)
    return checked(np.concatenate([rise, table]))


def ramp(num_steps: int, *, start_lr: float, end_lr: float, kind: Literal["linear", "exponential"]) -> DoubleArray:
    """Return the rising rates of an LR range test.

    The rate is start_lr + (end_lr - start_lr) * t, or start_lr * (end_lr / start_lr)**t, where t = step / (num_steps - 1);
    both ends are exact.

    Args:
        num_steps: Length of the table, in steps (>= 2).
        start_lr: Rate at step 0 (> 0).
        end_lr: Rate at step num_steps - 1 (> start_lr).
        kind: Equal differences from step to step (the paper's), or equal ratios (for wide ranges).

    Source: Smith 2017, arXiv:1506.01186, section 3.3 (linear).

    >>> ramp(4, start_lr=0.25, end_lr=1.0, kind="linear").tolist()
    [0.25, 0.5, 0.75, 1.0]
    >>> ramp(4, start_lr=0.125, end_lr=1.0, kind="exponential").round(4).tolist()
    [0.125, 0.25, 0.5, 1.0]
    """
    check("num_steps", num_steps, ">= 2 steps", holds=num_steps >= 2)
    check_rate("start_lr", start_lr)
    allowed = f"a finite number > start_lr ({start_lr})"
    check("end_lr", end_lr, allowed, holds=start_lr < end_lr < math.inf)
    check("kind", kind, "linear or exponential", holds=kind in ("linear", "exponential"))
    spaced = np.linspace if kind == "linear" else np.geomspace
    return checked(spaced(start_lr, end_lr, num_steps))
