"""Schedules that rise and fall: the cyclical policies, one-cycle, and where cycles end.

The policies cycle between `base_lr` (> 0), the rate at steps 0, 2 * step_size, 4 * step_size, ..., and `max_lr`
(>= base_lr), the rate at steps step_size, 3 * step_size, ..., as far as these bounds do not decay. `step_size` is half a
cycle, in steps (>= 1); num_steps / (2 * n), whole or not, makes n full cycles. With `step_size_down` (>= 1) it is the rising
part of one, and that the falling part. In the formulas `cycle` counts from 0, and `height` runs 0, 1, 0 over a cycle.
"""

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from clrbench.records import DoubleArray, IntArray
from clrbench.schedules.checks import between, check, check_factor, check_rate, check_ratio, check_steps, checked, steps
from clrbench.schedules.registry import Factor, register


@register("Linear up and down between the bounds, every cycle alike.")
def triangular(
    num_steps: int, *, base_lr: float, max_lr: float, step_size: float, step_size_down: float | None = None
) -> DoubleArray:
    """Return the triangular policy: linear up for `step_size` steps, linear down for `step_size_down` or as many, repeated.

    The rate is base_lr + (max_lr - base_lr) * height.

    Source: Smith 2017, arXiv:1506.01186, section 3.1 (3.2: step_size of 2 to 10 epochs); torch's CyclicLR.

    >>> triangular(6, base_lr=0.25, max_lr=1.0, step_size=2).tolist()
    [0.25, 0.625, 1.0, 0.625, 0.25, 0.625]
    >>> triangular(6, base_lr=0.25, max_lr=1.0, step_size=1, step_size_down=3).tolist()
    [0.25, 1.0, 0.75, 0.5, 0.25, 1.0]
    """
    _check_bounds(base_lr, max_lr)
    _, height = _wave(num_steps, step_size, step_size_down)
    return checked(between(base_lr, max_lr, height))


@register("Triangular, with the amplitude halved after each cycle.")
def triangular2(
    num_steps: int, *, base_lr: float, max_lr: float, step_size: float, step_size_down: float | None = None
) -> DoubleArray:
    """Return the triangular policy whose amplitude is halved at the end of each cycle.

    The rate is base_lr + (max_lr - base_lr) * height / 2**cycle.

    Source: Smith 2017, arXiv:1506.01186, section 3.1; torch's CyclicLR(mode="triangular2").

    >>> triangular2(7, base_lr=0.25, max_lr=1.25, step_size=2).tolist()
    [0.25, 0.75, 1.25, 0.75, 0.25, 0.5, 0.75]
    """
    _check_bounds(base_lr, max_lr)
    cycle, height = _wave(num_steps, step_size, step_size_down)
    return checked(between(base_lr, max_lr, height * 0.5**cycle))


@register("Triangular, with amplitude scaled by `gamma` each step, as in common implementations.")
def exp_range(
    num_steps: int,
    *,
    base_lr: float,
    max_lr: float,
    step_size: float,
    step_size_down: float | None = None,
    gamma: Factor,
) -> DoubleArray:
    """Return the triangular policy whose amplitude decays every step, as the widespread implementations do.

    The rate is base_lr + (max_lr - base_lr) * height * gamma**step, with gamma in (0, 1].

    Source: torch's CyclicLR(mode="exp_range"); bckenstler's CLR. The paper's text differs: `exp_range_paper`.

    >>> exp_range(5, base_lr=0.25, max_lr=1.25, step_size=1, gamma=0.5).tolist()
    [0.25, 0.75, 0.25, 0.375, 0.25]
    """
    _check_bounds(base_lr, max_lr)
    check_factor("gamma", gamma)
    _, height = _wave(num_steps, step_size, step_size_down)
    return checked(between(base_lr, max_lr, height * gamma ** steps(num_steps)))


@register("Triangular, both bounds scaled by `gamma` each step, as in the paper's text.")
def exp_range_paper(
    num_steps: int,
    *,
    base_lr: float,
    max_lr: float,
    step_size: float,
    step_size_down: float | None = None,
    gamma: Factor,
) -> DoubleArray:
    """Return the triangular policy both of whose boundaries decay every step, as the paper's text says.

    The rate is (base_lr + (max_lr - base_lr) * height) * gamma**step, with gamma in (0, 1].

    Source: Smith 2017, arXiv:1506.01186, section 3.1: each boundary declines by a factor of gamma^iteration.

    >>> exp_range_paper(5, base_lr=0.25, max_lr=1.0, step_size=1, gamma=0.5).tolist()
    [0.25, 0.5, 0.0625, 0.125, 0.015625]
    """
    check_factor("gamma", gamma)
    _check_bounds(base_lr, max_lr)
    _, height = _wave(num_steps, step_size, step_size_down)
    return checked(between(base_lr, max_lr, height) * gamma ** steps(num_steps))


@register("One rise and one long fall, as torch's `OneCycleLR`.")
def one_cycle(
    num_steps: int,
    *,
    max_lr: float,
    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3,
    div_factor: Annotated[float, Ge(1)] = 25.0,
    final_div_factor: Annotated[float, Ge(1)] = 1e4,
    anneal: Literal["cos", "linear"] = "cos",
) -> DoubleArray:
    """Return the one-cycle policy: one rise to `max_lr`, then one fall far below the rate it started from.

    The rate goes from max_lr / div_factor, over max_lr, to max_lr / (div_factor * final_div_factor).

    Args:
        num_steps: Length of the table, in steps (> 1 / pct_start, so that there is a rise).
        max_lr: The peak, at step pct_start * num_steps - 1, which need not be whole (> 0).
        pct_start: Fraction of the steps spent rising, in (0, 1).
        div_factor: max_lr over the first rate (>= 1).
        final_div_factor: First rate over the last one (>= 1).
        anneal: Shape of rise and fall: half a cosine wave, or a straight line.

    Source: Smith & Topin 2017, arXiv:1708.07120, section 3; torch's OneCycleLR in two phases.

    >>> one_cycle(5, max_lr=1.0, pct_start=0.6, div_factor=2, final_div_factor=4, anneal="linear").tolist()
    [0.5, 0.75, 1.0, 0.5625, 0.125]
    """
    check_rate("max_lr", max_lr)
    check("pct_start", pct_start, "in (0, 1), both excluded", holds=0 < pct_start < 1)
    check_ratio("div_factor", div_factor)
    check_ratio("final_div_factor", final_div_factor)
    check("anneal", anneal, "cos or linear", holds=anneal in ("cos", "linear"))
    step = steps(num_steps)
    peak = pct_start * num_steps - 1
    check("num_steps", num_steps, f"more than {1 / pct_start:g} steps (1 / pct_start)", holds=peak > 0)
    height = np.interp(step, [0, peak, num_steps - 1], [0, 1, 0])
    if anneal == "cos":
        height = np.sin(np.pi / 2 * height) ** 2
    first = max_lr / div_factor
    return checked(between(np.where(step <= peak, first, first / final_div_factor), max_lr, height))


def cycle_end_steps(num_steps: int, step_size: float, step_size_down: float | None = None) -> IntArray:
    """Return after how many steps each cycle of a triangular policy has ended.

    int32[num_cycles], n * 2 * step_size, or n * (step_size + step_size_down), rounded to whole steps, ascending; the last is
    `num_steps` (without a warm-up) exactly where training ends at the end of a cycle, give or take half a step.

    Source: Smith 2017, arXiv:1506.01186, section 3.2: it is best to stop training at the end of a cycle.

    >>> cycle_end_steps(10, 2).tolist(), cycle_end_steps(10, 10 / 6).tolist()
    ([4, 8], [3, 7, 10])
    """
    check_steps("num_steps", num_steps)
    cycle_steps = _cycle_steps(step_size, step_size_down)
    ends: DoubleArray = np.rint(np.arange(1, num_steps / cycle_steps + 1) * cycle_steps)
    return ends[ends <= num_steps].astype(np.int32)


def _cycle_steps(step_size: float, step_size_down: float | None) -> float:
    check_steps("step_size", step_size)
    if step_size_down is None:
        return 2.0 * step_size
    check_steps("step_size_down", step_size_down)
    return float(step_size + step_size_down)


def _wave(num_steps: int, step_size: float, step_size_down: float | None) -> tuple[DoubleArray, DoubleArray]:
    """Return the cycle (from 0) and the height (0 to 1 and back, over a cycle) of every step."""
    cycle_steps = _cycle_steps(step_size, step_size_down)
    cycle, position = np.divmod(steps(num_steps), cycle_steps)
    if step_size_down is None:
        return cycle, 1 - np.abs(position / step_size - 1)
    return cycle, np.minimum(position / step_size, (cycle_steps - position) / step_size_down)


def _check_bounds(base_lr: float, max_lr: float) -> None:
    check_rate("base_lr", base_lr)
    check("max_lr", max_lr, f"a finite number >= base_lr ({base_lr})", holds=base_lr <= max_lr < math.inf)
