"""Suggested bounds against simulated accuracy curves made without the rule's own model; `range_test_curves` makes them."""

import math

import numpy as np
import pytest
from range_test_curves import REASONS, Curve, kinds, simulate, without_answer

from clrbench.range_test import Bounds, suggest_bounds

NARROW_DECADES = 0.15
"""A top that is level over more than this has no peak that could be known to 0.15 decades."""

MOSTLY_ONE = (1,) * 10 + (3, 5)

Found = list[tuple[Curve, Bounds]]


@pytest.fixture(scope="module")
def found() -> Found:
    """What is suggested for 200 curves: all rises, falls, ramps, lengths and rows; mostly of one seed, which is hardest."""
    rng = np.random.default_rng(0)
    curves = [simulate(rng, kind) for kind in kinds(rng, 200, seeds=MOSTLY_ONE)]
    return [(curve, suggest_bounds(curve.lr, curve.loss, curve.accuracy)) for curve in curves]


def answers(found: Found) -> list[tuple[Curve, float, float]]:
    return [
        (curve, bounds.base_lr, bounds.max_lr)
        for curve, bounds in found
        if bounds.base_lr is not None and bounds.max_lr is not None
    ]


@pytest.mark.acceptance
def test_at_most_one_good_curve_in_twenty_is_refused(found: Found) -> None:
    assert len(answers(found)) >= 0.95 * len(found)


@pytest.mark.acceptance
def test_max_lr_lies_at_the_peak_where_there_is_one(found: Found) -> None:
    errors = np.array(
        [
            abs(math.log10(max_lr / curve.max_lr))
            for curve, _, max_lr in answers(found)
            if curve.plateau_decades <= NARROW_DECADES
        ]
    )
    assert len(errors) >= 140
    assert np.median(errors) <= 0.03
    assert (errors <= 0.15).mean() >= 0.95


@pytest.mark.acceptance
def test_max_lr_on_a_level_top_lies_in_it_or_close_by(found: Found) -> None:
    wide = [(curve, max_lr) for curve, _, max_lr in answers(found) if curve.plateau_decades > NARROW_DECADES]
    assert len(wide) >= 20
    off = np.array([abs(math.log10(np.clip(max_lr, *curve.level) / max_lr)) for curve, max_lr in wide])
    assert (off == 0).mean() >= 0.7
    assert off.max() <= 0.2


@pytest.mark.acceptance
def test_max_lr_errs_downwards(found: Found) -> None:
    errors = np.array([math.log10(max_lr / curve.max_lr) for curve, _, max_lr in answers(found)])
    assert (errors <= 0.1).mean() >= 0.98


@pytest.mark.acceptance
def test_base_lr_on_an_exponential_ramp_lies_at_the_onset_or_a_little_before(found: Found) -> None:
    errors = np.array(
        [
            math.log10(base_lr / curve.base_lr)
            for curve, base_lr, _ in answers(found)
            if curve.kind.ramp == "exponential"
        ]
    )
    assert -0.15 <= np.median(errors) <= 0
    assert (abs(errors) <= 0.3).mean() >= 0.9


@pytest.mark.acceptance
def test_base_lr_on_a_linear_ramp_is_off_by_a_small_part_of_max_lr(found: Found) -> None:
    # A linear ramp from 0.001 to 1 has its first points a decade apart.
    errors = np.array(
        [
            (base_lr - curve.base_lr) / curve.max_lr
            for curve, base_lr, _ in answers(found)
            if curve.kind.ramp == "linear"
        ]
    )
    assert np.median(abs(errors)) <= 0.08
    assert (abs(errors) <= 0.2).mean() >= 0.95


@pytest.mark.parametrize("reason", REASONS)
def test_every_curve_without_an_answer_is_refused_for_its_reason(reason: str) -> None:
    rng = np.random.default_rng(0)
    for kind in kinds(rng, 8, seeds=(1, 3)):
        curve = without_answer(rng, reason, kind)
        bounds = suggest_bounds(curve.lr, curve.loss, curve.accuracy)
        assert str(bounds.reason).startswith(reason)
        assert (bounds.base_lr, bounds.max_lr) == (None, None)
