"""The paired test against brute force, scipy and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from clrbench.stats import (
    compare_paired,
    pairs_needed,
    smallest_detectable_difference,
    smallest_p_value,
)


def compare(differences, **options):
    differences = np.asarray(differences, float)
    return compare_paired(differences, np.zeros_like(differences), **options)


def brute_force_p(differences):
    """All 2**n sign vectors, one by one, with whole-number or dyadic differences so that sums are exact."""
    observed = abs(sum(differences))
    extreme = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= observed
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(extreme) / len(extreme)


@pytest.mark.parametrize("pairs", range(1, 10))
def test_p_is_that_of_all_sign_vectors_ties_and_zeros_included(pairs):
    draws = np.random.default_rng(pairs).integers(-3, 4, (30, pairs))
    got = [compare(row).p_value for row in draws]
    np.testing.assert_array_equal(got, [brute_force_p(row.tolist()) for row in draws])


@pytest.mark.parametrize("pairs", [4, 8, 12])
def test_p_is_that_of_scipys_permutation_test(pairs):
    differences = np.random.default_rng(pairs).normal(0.5, 1.0, pairs)
    oracle = scipy_stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert compare(differences).p_value == pytest.approx(oracle.pvalue, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1 / 16])
def test_interval_holds_exactly_the_shifts_that_brute_force_does_not_reject(alpha):
    for seed in range(5):
        # Multiples of 420: every subset mean of up to 7 of them is a whole number.
        differences = 420 * np.random.default_rng(seed).integers(-5, 9, 7)
        result = compare(differences, alpha=alpha)
        ends = [result.ci_low - 1, result.ci_low, result.ci_low + 1, result.ci_high - 1, result.ci_high]
        grid = [*ends, result.ci_high + 1, *np.linspace(differences.min() - 7, differences.max() + 7, 25).round()]
        kept = [brute_force_p((differences - delta).tolist()) > alpha for delta in grid]
        assert kept == [result.ci_low <= delta <= result.ci_high for delta in grid]


def test_p_below_the_mean_counts_the_subsets_with_a_mean_up_to_the_shift():
    differences = np.random.default_rng(3).normal(1.0, 1.0, 8)
    subsets = [s for size in range(1, 8) for s in itertools.combinations(differences, size)]
    for delta in np.linspace(differences.min() - 0.1, differences.mean() - 0.01, 40):
        count = sum(np.mean(subset) <= delta for subset in subsets)
        assert compare(differences - delta).p_value == min(1.0, 2 * (1 + count) / 2**8)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(-40, 40), min_size=0, max_size=9),
    st.sampled_from([1.0, 0.1, 1e-4, 1 / 3]),
    st.sampled_from([0.05, 0.01, 0.25, 0.5, 0.03125]),
)
def test_zero_lies_in_the_interval_if_and_only_if_p_exceeds_alpha(whole, unit, alpha):
    # Differences of rounded decimals: ties that floating point breaks.
    candidate = 0.9 + np.array(whole, float) * unit
    result = compare_paired(candidate, np.full(len(whole), 0.9), alpha=alpha)
    assert (result.ci_low <= 0 <= result.ci_high) == (result.p_value > alpha)
    assert not result.mean_difference < result.ci_low
    assert not result.mean_difference > result.ci_high
    if whole:
        assert result.p_value == brute_force_p(whole)


@pytest.mark.parametrize("pairs", [17, 30])
def test_beyond_sixteen_pairs_drawn_sign_vectors_approach_the_t_test_and_never_contradict_themselves(pairs):
    rng = np.random.default_rng(pairs)
    for mean in (0.0, 0.35, 0.5, 0.7, 1.0):
        differences = rng.normal(mean, 1.0, pairs)
        result = compare(differences)
        oracle = scipy_stats.ttest_1samp(differences, 0.0)
        assert (result.ci_low <= 0 <= result.ci_high) == (result.p_value > 0.05)
        assert result.p_value == pytest.approx(oracle.pvalue, abs=0.02)
        np.testing.assert_allclose((result.ci_low, result.ci_high), oracle.confidence_interval(), atol=0.06)
        assert result == compare(differences)
        # The interval's ends are where the drawn test, asked again, changes its mind.
        for end, outward in ((result.ci_low, -1), (result.ci_high, 1)):
            assert compare(differences - end - outward * 1e-6).p_value <= 0.05 < compare(differences - end).p_value


def test_drawn_p_is_never_zero():
    assert compare(np.full(40, 1.0)).p_value == 2.0**-16


def test_drawn_and_exhaustive_tests_agree_where_both_are_possible(monkeypatch):
    differences = np.random.default_rng(5).normal(0.4, 1.0, 14)
    exact = compare(differences)
    monkeypatch.setattr("clrbench.stats._EXACT_PAIRS", 0)
    drawn = compare(differences)
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.005)
    np.testing.assert_allclose((drawn.ci_low, drawn.ci_high), (exact.ci_low, exact.ci_high), atol=0.01)


@pytest.mark.acceptance
@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, np.random.Generator.standard_cauchy])
def test_under_the_null_the_interval_of_drawn_sign_vectors_covers_too(draw):
    results = [compare(row) for row in draw(np.random.default_rng(20), (120, 20))]
    covered = np.mean([result.ci_low <= 0 <= result.ci_high for result in results])
    assert abs(covered - 0.95) < 5 * math.sqrt(0.05 * 0.95 / 120)
    assert all((result.p_value > 0.05) == (result.ci_low <= 0 <= result.ci_high) for result in results)


def test_skewed_differences_are_covered_less_as_the_documentation_says():
    samples = np.random.default_rng(8).exponential(1.0, (1500, 8)) - 1.0
    results = [compare(row) for row in samples]
    covered = np.mean([result.ci_low <= 0 <= result.ci_high for result in results])
    assert 0.88 < covered < 0.93


@pytest.mark.parametrize("pairs", [6, 8, 10])
@pytest.mark.parametrize("draw", [np.random.Generator.standard_normal, np.random.Generator.standard_cauchy])
def test_under_the_null_p_is_uniform_and_the_interval_covers(pairs, draw):
    samples = draw(np.random.default_rng(pairs), (600, pairs))
    results = [compare(row) for row in samples]
    p_values = np.array([result.p_value for result in results])
    covered = np.mean([result.ci_low <= 0 <= result.ci_high for result in results])
    # P(p <= k 2/2**n) is k 2/2**n. Of so many comparisons one is often three standard errors of 600 draws off, and none is five.
    for level in (2 / 64, 4 / 64, 16 / 64, 32 / 64):
        assert abs((p_values <= level).mean() - level) < 5 * math.sqrt(level * (1 - level) / 600)
    attained = math.floor(0.05 * 2 ** (pairs - 1)) / 2 ** (pairs - 1)
    assert abs(covered - (1 - attained)) < 5 * math.sqrt(attained / 600)


@pytest.mark.parametrize("pairs", [6, 7, 12, 16, 20])
@pytest.mark.parametrize("difference", [0.1, -1e-3, 1 / 3])
def test_equal_differences_have_that_one_value_as_interval(pairs, difference):
    result = compare(np.full(pairs, difference))
    assert (result.ci_low, result.ci_high, result.mean_difference) == (difference,) * 3
    assert result.p_value == max(2 / 2**pairs, 2.0**-16)


def test_equal_arms_show_no_difference():
    arm = np.random.default_rng(0).random(8)
    result = compare_paired(arm, arm)
    assert (result.p_value, result.ci_low, result.ci_high, result.ties) == (1.0, 0.0, 0.0, 8)


@pytest.mark.parametrize("pairs", range(1, 6))
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_fewer_than_six_pairs_bound_nothing_at_five_percent(pairs, spread):
    result = compare(1.0 + spread * np.arange(pairs))
    assert (result.ci_low, result.ci_high) == (-math.inf, math.inf)
    assert result.p_value == 2 / 2**pairs


def test_no_pairs_know_nothing():
    result = compare([])
    assert math.isnan(result.mean_difference)
    assert (result.pairs, result.p_value, result.ci_low, result.ci_high) == (0, 1.0, -math.inf, math.inf)


def test_a_win_is_the_better_value():
    candidate, baseline = [0.3, 0.5, 0.2, 0.9], [0.1, 0.5, 0.4, 0.1]
    higher = compare_paired(candidate, baseline)
    lower = compare_paired(candidate, baseline, higher_is_better=False)
    assert (higher.wins, higher.ties, higher.losses) == (2, 1, 1)
    assert (lower.wins, lower.ties, lower.losses) == (1, 1, 2)
    assert lower.mean_difference == higher.mean_difference == pytest.approx(0.2)


def test_swapping_the_arms_mirrors_the_result():
    candidate, baseline = np.random.default_rng(9).random((2, 9))
    there, back = compare_paired(candidate, baseline), compare_paired(baseline, candidate)
    assert there.p_value == back.p_value
    np.testing.assert_allclose((there.ci_low, there.ci_high), (-back.ci_high, -back.ci_low), rtol=1e-12)


@pytest.mark.parametrize(("candidate", "baseline"), [([1.0, math.nan], [1.0, 1.0]), ([math.inf], [1.0]), ([1.0], [])])
def test_values_that_cannot_be_paired_are_an_error(candidate, baseline):
    with pytest.raises(ValueError, match="got"):
        compare_paired(candidate, baseline)


def test_smallest_p_value_is_that_of_pairs_that_all_agree():
    assert [smallest_p_value(pairs) for pairs in range(7)] == [1.0, 1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.0625, 0.9])
@pytest.mark.parametrize("comparisons", [1, 3, 25])
def test_pairs_needed_is_the_first_count_whose_corrected_p_reaches_alpha(alpha, comparisons):
    pairs = pairs_needed(alpha, comparisons)
    assert comparisons * smallest_p_value(pairs) <= alpha
    assert comparisons * smallest_p_value(pairs - 1) > alpha


@pytest.mark.parametrize("pairs", [7, 8, 10])
def test_the_smallest_detectable_difference_is_found_about_as_often_as_promised(pairs):
    difference = smallest_detectable_difference(0.02, pairs, alpha=0.05)
    samples = np.random.default_rng(pairs).normal(difference, 0.02, (1000, pairs))
    assert np.mean([compare(row).p_value <= 0.05 for row in samples]) == pytest.approx(0.8, abs=0.06)


def test_the_smallest_detectable_difference_of_many_pairs_is_that_of_the_t_test():
    difference = smallest_detectable_difference(2.0, 200, alpha=0.05, power=0.9)
    critical = scipy_stats.t.isf(0.025, 199)
    assert scipy_stats.nct.sf(critical, 199, difference / 2.0 * math.sqrt(200)) == pytest.approx(0.9, abs=1e-5)


def test_too_few_pairs_detect_nothing():
    detectable = [smallest_detectable_difference(1.0, pairs, alpha=0.05) for pairs in range(8)]
    assert np.isinf(detectable).tolist() == [True] * 6 + [False] * 2
