"""Whether two backends train alike: pure judgement over losses, no framework.

Float32 rounding grows while a network trains, so two right backends part sooner or later. How fast is measured: controls
are each backend again, from weights that were nudged at random. Where a network has kinks (a relu, a pooling maximum) growth
comes in jumps, whenever one value falls the other way, so no single control says how fast is too fast: the envelope
of several is what a difference is held against, and it may jump a few steps before any of them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from clrbench.records import DoubleArray, FloatArray, Weights

ULP = float(np.finfo(np.float32).eps)

NUM_CONTROLS = 4
"""Of each backend."""

NUDGE = 32
"""So many roundings, at most, is a weight moved by.

Losses then differ at step 0 by some 1e-7 relatively, as those of two backends do, or a few times that: a backend adds
roundings of its own at every layer and step, so with less the controls miss some of the kinks where backends part.
"""

GROWTH_FLOOR = 4 * ULP  # controls that happen to agree better than this say nothing
ALLOWED_RATIO = 10.0

ALLOWED_LEAD = 3
"""So many steps before most of the controls may a difference jump, to at most what theirs is then."""


class Judgement(StrEnum):
    """What the differences of two backends come from."""

    SAME = "same"
    CHAOS = "chaos"
    BUG = "bug"


@dataclass(frozen=True)
class Parity:
    """Two backends' losses side by side.

    Attributes:
        difference: float64[k], relative difference of the two losses at every step.
        growth: float64[k], the largest difference up to every step.
        control_growth: float64[k], the same for each backend against itself, nudged; the largest of all controls.
        largest_ratio: Most that the growth exceeds the controls' by, as a factor; `ALLOWED_RATIO` at most where it is no more
            than that of half of them is `ALLOWED_LEAD` steps later.
        parting_step: First step (0-based) whose difference is above the tolerance; None if there is none.
        judgement: `same`: never above the tolerance; `chaos`: above it, but at most `ALLOWED_RATIO` times the
            controls' growth at every step, or what that of most is a few steps later; `bug`: more than that.
    """

    difference: DoubleArray
    growth: DoubleArray
    control_growth: DoubleArray
    largest_ratio: float
    parting_step: int | None
    judgement: Judgement


def judge(
    losses: tuple[FloatArray, FloatArray],
    controls: tuple[Sequence[FloatArray], Sequence[FloatArray]],
    *,
    tolerance: float,
) -> Parity:
    """Compare the losses of two backends that had the same weights, batches and rates.

    Args:
        losses: float32[k] of either backend.
        controls: Any number of float32[k] of either backend, in the same order, each from `nudged` weights of its own.
        tolerance: Largest relative difference that counts as the same.
    """
    difference = relative_difference(*losses)
    growth = np.maximum.accumulate(difference)
    of_controls = [
        relative_difference(planned, control)
        for planned, nudges in zip(losses, controls, strict=True)
        for control in nudges
    ]
    growths = np.maximum.accumulate(of_controls, axis=1)
    control_growth = growths.max(axis=0)
    # Half of the controls: what one of them does later by chance is no excuse.
    to_come = _later(np.sort(growths, axis=0)[len(growths) // 2], ALLOWED_LEAD) / ALLOWED_RATIO
    ratio = _ratio(growth, np.maximum.reduce([control_growth, to_come, np.full_like(growth, GROWTH_FLOOR)]))
    parted = np.flatnonzero(difference > tolerance)
    largest_ratio = float(ratio.max(initial=0.0))
    if len(parted):
        judgement = Judgement.CHAOS if largest_ratio <= ALLOWED_RATIO else Judgement.BUG
        return Parity(difference, growth, control_growth, largest_ratio, int(parted[0]), judgement)
    return Parity(difference, growth, control_growth, largest_ratio, None, Judgement.SAME)


def relative_difference(first: FloatArray, second: FloatArray) -> DoubleArray:
    """Return |first - second| over the larger of the two, float64[k].

    Args:
        first: float32[k].
        second: float32[k].

    Returns:
        0 where both are not finite, inf where one is.
    """
    one, other = first.astype(np.float64), second.astype(np.float64)
    finite, other_finite = np.isfinite(one), np.isfinite(other)
    both = finite & other_finite
    difference = np.where(finite == other_finite, 0.0, np.inf)
    scale = np.maximum(np.abs(one), np.abs(other), where=both, out=np.ones_like(one))
    np.subtract(one, other, where=both, out=difference)
    return np.abs(difference) / np.where(scale > 0, scale, 1.0)


def nudged(weights: Weights, control: int) -> dict[str, FloatArray]:
    """Return weights of which each was moved at random by up to `NUDGE` float32 roundings; a 0 stays, for it is exact.

    Args:
        weights: By name.
        control: Which of the controls: decides the random numbers.
    """
    rng = np.random.default_rng(control)
    return {name: _nudge(weight, rng) for name, weight in weights.items()}


def _nudge(weight: FloatArray, rng: np.random.Generator) -> FloatArray:
    roundings = rng.uniform(-NUDGE, NUDGE, weight.shape)
    return (weight * (1 + roundings * (ULP / 2))).astype(np.float32)


def _later(growth: DoubleArray, steps: int) -> DoubleArray:
    """Return at every step what a growth will be so many steps later, or at its end."""
    return growth[np.minimum(np.arange(len(growth)) + steps, len(growth) - 1)]


def _ratio(growth: DoubleArray, control_growth: DoubleArray) -> DoubleArray:
    # Once both are infinite the control has parted as far as there is.
    both_infinite = np.isinf(growth) & np.isinf(control_growth)
    return np.divide(growth, control_growth, where=~both_infinite, out=np.ones_like(growth))
