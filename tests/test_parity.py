import math

import numpy as np
import pytest

from clrbench.parity import GROWTH_FLOOR, ULP, Judgement, judge, nudged, relative_difference

LOSSES = np.linspace(2.3, 0.3, 50, dtype=np.float32)
GROWTH = np.geomspace(1e-7, 1e-1, 50)


def apart(losses, difference):
    return (losses * (1 - np.asarray(difference))).astype(np.float32)


def test_equal_losses_are_the_same():
    parity = judge((LOSSES, LOSSES), (LOSSES, LOSSES), tolerance=1e-5)
    assert parity.judgement is Judgement.SAME
    assert parity.parting_step is None
    assert parity.largest_ratio == 0
    np.testing.assert_array_equal(parity.difference, np.zeros(50))


def test_losses_that_part_as_fast_as_the_control_are_chaos():
    parity = judge(
        (LOSSES, apart(LOSSES, 5 * GROWTH)), (apart(LOSSES, GROWTH), apart(LOSSES, 5 * GROWTH)), tolerance=1e-3
    )
    assert parity.judgement is Judgement.CHAOS
    assert parity.parting_step == np.flatnonzero(5 * GROWTH > 1e-3)[0]
    assert 4 < parity.largest_ratio < 6
    np.testing.assert_allclose(parity.growth, 5 * GROWTH, atol=2 * ULP)
    np.testing.assert_allclose(parity.control_growth, GROWTH, atol=2 * ULP)


def test_losses_that_part_twenty_times_faster_than_the_control_are_a_bug():
    other = apart(LOSSES, 20 * GROWTH)
    parity = judge((LOSSES, other), (apart(LOSSES, GROWTH), apart(other, GROWTH)), tolerance=1e-3)
    assert parity.judgement is Judgement.BUG


def test_the_larger_of_the_two_controls_counts():
    other = apart(LOSSES, 20 * GROWTH)
    parity = judge((LOSSES, other), (LOSSES, apart(other, 20 * GROWTH)), tolerance=1e-3)
    assert parity.judgement is Judgement.CHAOS


def test_an_accidental_zero_in_the_control_calls_no_bug():
    control = GROWTH.copy()
    control[30] = 0
    parity = judge((LOSSES, apart(LOSSES, GROWTH)), (apart(LOSSES, control), LOSSES), tolerance=1e-3)
    np.testing.assert_array_equal(relative_difference(LOSSES, apart(LOSSES, control))[30], 0)
    assert parity.judgement is Judgement.CHAOS


def test_a_perfect_control_allows_a_few_roundings():
    other = apart(LOSSES, 9 * GROWTH_FLOOR)
    assert judge((LOSSES, other), (LOSSES, other), tolerance=1e-6).judgement is Judgement.CHAOS
    other = apart(LOSSES, 11 * GROWTH_FLOOR)
    assert judge((LOSSES, other), (LOSSES, other), tolerance=1e-6).judgement is Judgement.BUG


def test_a_difference_within_the_tolerance_is_the_same_whatever_the_control():
    other = apart(LOSSES, 9e-6)
    parity = judge((LOSSES, other), (LOSSES, other), tolerance=1e-5)
    assert parity.judgement is Judgement.SAME
    assert parity.largest_ratio > 10


def test_difference_counts_no_finite_number_against_none():
    first = np.array([1, 2, np.nan, np.inf, np.nan, 0, -1], np.float32)
    second = np.array([1, 1, np.nan, np.nan, 3, 0, 1], np.float32)
    np.testing.assert_array_equal(relative_difference(first, second), [0, 0.5, 0, 0, np.inf, 0, 2])


@pytest.mark.parametrize(("control_diverges", "judgement"), [(True, Judgement.CHAOS), (False, Judgement.BUG)])
def test_one_backend_that_diverges_is_a_bug_unless_the_control_does_too(control_diverges, judgement):
    diverged = LOSSES.copy()
    diverged[40:] = np.nan
    control = diverged if control_diverges else LOSSES
    parity = judge((LOSSES, diverged), (control, diverged), tolerance=1e-5)
    assert parity.judgement is judgement
    assert parity.parting_step == 40
    assert math.isinf(parity.growth[-1])


def test_nudged_moves_every_weight_by_one_rounding_and_leaves_zeros():
    weights = {"kernel": np.array([[1, -1], [0.1, 0]], np.float32), "bias": np.zeros(2, np.float32)}
    moved = nudged(weights)
    np.testing.assert_array_equal(moved["bias"], [0, 0])
    np.testing.assert_array_equal(moved["kernel"].view(np.int32) - weights["kernel"].view(np.int32), [[1, 1], [1, 0]])
    assert moved["kernel"].dtype == np.float32
    np.testing.assert_array_equal(np.sign(moved["kernel"] - weights["kernel"]), [[1, -1], [1, 0]])
