import math

import numpy as np
import pytest

from clrbench.parity import (
    ALLOWED_LEAD,
    GROWTH_FLOOR,
    NUDGE,
    ULP,
    Judgement,
    judge,
    nudged,
    relative_difference,
)

LOSSES = np.linspace(2.3, 0.3, 50, dtype=np.float32)
GROWTH = np.geomspace(1e-7, 1e-1, 50)


def apart(losses, difference):
    return (losses * (1 - np.asarray(difference))).astype(np.float32)


def test_equal_losses_are_the_same():
    parity = judge((LOSSES, LOSSES), ([LOSSES], [LOSSES]), tolerance=1e-5)
    assert parity.judgement is Judgement.SAME
    assert parity.parting_step is None
    assert parity.largest_ratio == 0
    np.testing.assert_array_equal(parity.difference, np.zeros(50))


def test_losses_that_part_as_fast_as_the_control_are_chaos():
    other = apart(LOSSES, 5 * GROWTH)
    parity = judge((LOSSES, other), ([apart(LOSSES, GROWTH)], [apart(other, GROWTH)]), tolerance=1e-3)
    assert parity.judgement is Judgement.CHAOS
    assert parity.parting_step == np.flatnonzero(5 * GROWTH > 1e-3)[0]
    assert 4 < parity.largest_ratio < 6
    np.testing.assert_allclose(parity.growth, 5 * GROWTH, atol=2 * ULP)
    np.testing.assert_allclose(parity.control_growth, GROWTH, rtol=0.1, atol=2 * ULP)


def test_losses_that_part_twenty_times_faster_than_the_control_are_a_bug():
    growth = np.minimum(GROWTH, 1e-3)
    other = apart(LOSSES, 20 * growth)
    parity = judge((LOSSES, other), ([apart(LOSSES, growth)], [apart(other, growth)]), tolerance=1e-3)
    assert parity.judgement is Judgement.BUG


@pytest.mark.parametrize("place", [0, 3, 4, 7])
def test_the_envelope_of_all_controls_of_both_backends_counts(place):
    growth = np.minimum(GROWTH, 1e-3)
    other = apart(LOSSES, 20 * growth)
    planned = [LOSSES] * 4 + [other] * 4
    controls = [apart(losses, growth if one == place else 0) for one, losses in enumerate(planned)]
    assert judge((LOSSES, other), (controls[:4], controls[4:]), tolerance=1e-3).judgement is Judgement.BUG
    controls[place] = apart(planned[place], 20 * growth)
    assert judge((LOSSES, other), (controls[:4], controls[4:]), tolerance=1e-3).judgement is Judgement.CHAOS


def test_each_step_may_be_excused_by_another_control():
    early, late = np.where(np.arange(50) >= 10, 1e-4, 0), np.where(np.arange(50) >= 30, 1e-1, 0)
    other = apart(LOSSES, np.maximum(early, late))
    controls = [apart(LOSSES, early), apart(LOSSES, late)]
    assert judge((LOSSES, other), (controls, [other]), tolerance=1e-5).judgement is Judgement.CHAOS
    for one in controls:
        assert judge((LOSSES, other), ([one], [other]), tolerance=1e-5).judgement is Judgement.BUG


@pytest.mark.parametrize(("lead", "judgement"), [(ALLOWED_LEAD, Judgement.CHAOS), (ALLOWED_LEAD + 1, Judgement.BUG)])
def test_a_difference_may_jump_a_few_steps_before_the_controls_do(lead, judgement):
    other = apart(LOSSES, np.where(np.arange(50) >= 20, 1e-3, 0))
    control = apart(LOSSES, np.where(np.arange(50) >= 20 + lead, 1.01e-3, 0))
    assert judge((LOSSES, other), ([control], [other]), tolerance=1e-5).judgement is judgement


@pytest.mark.parametrize(("jumping", "judgement"), [(4, Judgement.CHAOS), (3, Judgement.BUG)])
def test_an_early_jump_is_excused_by_half_of_the_controls_only(jumping, judgement):
    other = apart(LOSSES, np.where(np.arange(50) >= 20, 1e-3, 0))
    late = apart(LOSSES, np.where(np.arange(50) >= 20 + ALLOWED_LEAD, 1.01e-3, 0))
    controls = [late] * jumping + [LOSSES] * (4 - jumping)
    assert judge((LOSSES, other), (controls, [other] * 4), tolerance=1e-5).judgement is judgement


@pytest.mark.parametrize(("times", "judgement"), [(0.95, Judgement.CHAOS), (1.05, Judgement.BUG)])
def test_an_early_jump_may_be_as_large_as_that_of_the_controls(times, judgement):
    other = apart(LOSSES, np.where(np.arange(50) >= 20, times * 1e-3, 0))
    control = apart(LOSSES, np.where(np.arange(50) >= 20 + ALLOWED_LEAD, 1e-3, 0))
    assert judge((LOSSES, other), ([control], [other]), tolerance=1e-5).judgement is judgement


def test_an_accidental_zero_in_the_control_calls_no_bug():
    control = GROWTH.copy()
    control[30] = 0
    parity = judge((LOSSES, apart(LOSSES, GROWTH)), ([apart(LOSSES, control)], [LOSSES]), tolerance=1e-3)
    np.testing.assert_array_equal(relative_difference(LOSSES, apart(LOSSES, control))[30], 0)
    assert parity.judgement is Judgement.CHAOS


def test_a_perfect_control_allows_a_few_roundings():
    other = apart(LOSSES, 9 * GROWTH_FLOOR)
    assert judge((LOSSES, other), ([LOSSES], [other]), tolerance=1e-6).judgement is Judgement.CHAOS
    other = apart(LOSSES, 11 * GROWTH_FLOOR)
    assert judge((LOSSES, other), ([LOSSES], [other]), tolerance=1e-6).judgement is Judgement.BUG


def test_a_difference_within_the_tolerance_is_the_same_whatever_the_control():
    other = apart(LOSSES, 9e-6)
    parity = judge((LOSSES, other), ([LOSSES], [other]), tolerance=1e-5)
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
    parity = judge((LOSSES, diverged), ([control], [diverged]), tolerance=1e-5)
    assert parity.judgement is judgement
    assert parity.parting_step == 40
    assert math.isinf(parity.growth[-1])


def test_no_steps_are_the_same():
    none = LOSSES[:0]
    parity = judge((none, none), ([none], [none]), tolerance=1e-5)
    assert (parity.judgement, parity.largest_ratio) == (Judgement.SAME, 0)


def test_nudged_moves_weights_at_random_by_a_few_roundings_and_leaves_zeros():
    rng = np.random.default_rng(0)
    weights = {"kernel": rng.normal(size=(100, 50)).astype(np.float32), "bias": np.zeros(2, np.float32)}
    moved = nudged(weights, 0)
    np.testing.assert_array_equal(moved["bias"], [0, 0])
    assert moved["kernel"].dtype == np.float32
    roundings = moved["kernel"].view(np.int32) - weights["kernel"].view(np.int32)
    assert NUDGE / 2 < roundings.max() <= NUDGE
    assert NUDGE / 2 < -roundings.min() <= NUDGE
    assert len(np.unique(roundings)) > NUDGE
    assert abs(roundings.mean()) < NUDGE / 20


def test_every_control_is_nudged_in_its_own_way_and_again_in_the_same():
    weights = {"kernel": np.ones((20, 20), np.float32), "gamma": np.ones((20, 20), np.float32)}
    first, again, other = nudged(weights, 1), nudged(weights, 1), nudged(weights, 2)
    np.testing.assert_array_equal(first["kernel"], again["kernel"])
    assert not np.array_equal(first["kernel"], other["kernel"])
    assert not np.array_equal(first["kernel"], first["gamma"])
