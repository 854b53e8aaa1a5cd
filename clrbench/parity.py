"""Whether two backends train alike: pure judgement over losses, no framework.

Float32 rounding grows while a network trains, so two right backends part sooner or later. How fast is measured: the
control is the same backend again, from weights that one rounding moved. A difference that grows much faster than the
control's is no rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from clrbench.records import DoubleArray, FloatArray, Weights

ULP = float(np.finfo(np.float32).eps)
GROWTH_FLOOR = 4 * ULP  # a control that happens to agree better than this says nothing
ALLOWED_RATIO = 10.0


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
        control_growth: float64[k], the same for each backend against itself, one rounding apart; the larger one.
        largest_ratio: Most that the growth exceeds the control's by, as a factor.
        parting_step: First step (0-based) whose difference is above the tolerance; None if there is none.
        judgement: `same`: never above the tolerance; `chaos`: above it, but at most `ALLOWED_RATIO` times the
            control's growth at every step; `bug`: more than that.
    """

    difference: DoubleArray
    growth: DoubleArray
    control_growth: DoubleArray
    largest_ratio: float
    parting_step: int | None
    judgement: Judgement


def judge(
    losses: tuple[FloatArray, FloatArray], control_losses: tuple[FloatArray, FloatArray], *, tolerance: float
) -> Parity:
    """Compare the losses of two backends that had the same weights, batches and rates.

    Args:
        losses: float32[k] of either backend.
        control_losses: float32[k] of either backend, in the same order, from `nudged` weights.
        tolerance: Largest relative difference that counts as the same.
    """
    difference = relative_difference(*losses)
    growth = np.maximum.accumulate(difference)
    controls = [relative_difference(*pair) for pair in zip(losses, control_losses, strict=True)]
    control_growth = np.maximum.accumulate(np.maximum(*controls))
    ratio = _ratio(growth, np.maximum(control_growth, GROWTH_FLOOR))
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


def nudged(weights: Weights) -> dict[str, FloatArray]:
    """Return weights that one float32 rounding has moved, up and down in turn; a 0 stays, for it is exact.

    Args:
        weights: By name.
    """
    return {name: _nudge(weight) for name, weight in weights.items()}


def _nudge(weight: FloatArray) -> FloatArray:
    towards = np.where(np.arange(weight.size) % 2, -np.inf, np.inf).reshape(weight.shape)
    return np.where(weight == 0, weight, np.nextafter(weight, towards.astype(np.float32)))


def _ratio(growth: DoubleArray, control_growth: DoubleArray) -> DoubleArray:
    # Once both are infinite the control has parted as far as there is.
    both_infinite = np.isinf(growth) & np.isinf(control_growth)
    return np.divide(growth, control_growth, where=~both_infinite, out=np.ones_like(growth))
