"""The paired test against brute force, scipy and simulation."""

import bisect
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from clrbench.stats import (
    compare_paired,
    crossed_interval,
    far_pairs,
    highest_unseen_rate,
    holm,
    mean_band,
    median_interval,
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


def test_mean_band_is_the_t_interval_of_what_is_finite():
    values = np.random.default_rng(1).normal(size=(5, 4))
    values[0, 1], values[2, 1], values[:, 2], values[1:, 3] = np.nan, np.inf, np.nan, np.nan
    mean, low, high = mean_band(values, axis=0, confidence=0.9)
    expected = []
    for column in (values[:, 0], values[[1, 3, 4], 1]):
        interval = scipy_stats.ttest_1samp(column, 0.0).confidence_interval(0.9)
        expected.append((column.mean(), interval.low, interval.high))
    expected += [(np.nan,) * 3, (values[0, 3], np.nan, np.nan)]
    np.testing.assert_allclose(np.stack([mean, low, high], axis=1), expected, rtol=1e-12)


def test_mean_band_averages_over_the_axis_it_is_given():
    values = np.random.default_rng(2).normal(size=(3, 6))
    np.testing.assert_array_equal(mean_band(values, axis=1), mean_band(values.T, axis=0))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni_on_every_subset(p_values):
    members = range(len(p_values))
    subsets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(members, size)]
    expected = [
        max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets if member in s) for member in members
    ]
    np.testing.assert_allclose(holm(p_values), expected, rtol=1e-12)


def test_holm_of_no_comparisons_is_empty():
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.25, 1 / 32])
@pytest.mark.parametrize("size", range(13))
def test_the_interval_of_a_median_is_the_narrowest_that_brute_force_allows(size, alpha):
    # Values 1..n about a median m: each lies above it with probability 1/2, whatever m is.
    heads = np.array([sum(coins) for coins in itertools.product((0, 1), repeat=size)])
    outside = [np.mean((heads < rank) | (heads > size - rank)) for rank in range(size // 2 + 1)]
    rank = max(rank for rank, risk in enumerate(outside) if risk <= alpha)
    expected = (rank, size + 1 - rank) if rank else (-math.inf, math.inf)
    values = np.random.default_rng(size).permutation(np.arange(1, size + 1))
    assert median_interval(values, alpha) == expected


@pytest.mark.parametrize("size", [*range(41), 100, 333, 1074, 1075, 1100, 2000])
def test_the_interval_of_a_median_is_exact_right_beside_every_change_of_rank(size):
    values = np.arange(1.0, size + 1)
    ways = list(itertools.accumulate(math.comb(size, heads) for heads in range(size // 2 + 1)))
    changes = [float(Fraction(2 * count, 2**size)) for count in ways[:20]]
    beside = [math.nextafter(change, side) for change in changes for side in (0, change, 1)]
    for alpha in [0.05, 0.01, 0.1, 1e-9, 0.9, *(alpha for alpha in beside if 0 < alpha < 1)]:
        rank = bisect.bisect_right(ways, Fraction(alpha) * 2**size / 2)
        expected = (rank, size + 1 - rank) if rank else (-math.inf, math.inf)
        assert median_interval(values, alpha) == expected, alpha


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.1])
@pytest.mark.parametrize("size", [1, 5, 6, 7, 8, 30, 101, 1100])
def test_the_interval_of_a_median_is_that_of_scipy_where_no_probability_equals_half_of_alpha(size, alpha):
    values = np.random.default_rng(size).normal(size=size)
    values[:1] = math.inf
    low, high = scipy_stats.quantile_test(values).confidence_interval(1 - alpha)
    expected = (-math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)
    assert median_interval(values, alpha) == expected


@pytest.mark.parametrize("size", [30, 101])
def test_the_interval_of_a_median_is_the_set_of_values_that_the_binomial_test_keeps(size):
    values = np.random.default_rng(size).normal(size=size)
    low, high = median_interval(values, 0.1)
    cuts = (np.sort(values)[1:] + np.sort(values)[:-1]) / 2
    kept = [scipy_stats.binomtest(int((values > cut).sum()), size).pvalue > 0.1 for cut in cuts]
    assert kept == [low < cut < high for cut in cuts]


def test_the_interval_of_a_median_may_end_at_infinity():
    assert median_interval([math.inf, 1, -math.inf, 2, 3, 4, 5, math.inf, 6, 7]) == (1, math.inf)
    assert median_interval([-math.inf] * 6) == (-math.inf, -math.inf)


def test_the_interval_of_the_median_of_very_many_values_is_close():
    low, high = median_interval(np.arange(10_001) / 10_000)
    assert low == pytest.approx(0.4902, abs=1.5e-4)
    assert low + high == pytest.approx(1, abs=1e-12)


def test_a_value_that_is_none_has_no_median():
    with pytest.raises(ValueError, match="got nan"):
        median_interval([1.0, math.nan])


# Seeds and rows.


def reference_interval(values: np.ndarray, alpha: float) -> tuple[float, float]:
    """Variance components of a two-way table from least squares with dummies, and scipy's t."""
    seeds, rows = values.shape
    i, j = (index.ravel() for index in np.indices(values.shape))
    one, of_seed, of_row = np.ones((values.size, 1)), np.eye(seeds)[i], np.eye(rows)[j]

    def rest(*blocks: np.ndarray) -> float:
        design = np.hstack(blocks)
        return float(np.sum((values.ravel() - design @ np.linalg.lstsq(design, values.ravel())[0]) ** 2))

    whole = rest(one, of_seed, of_row)
    sums = np.array([rest(one, of_row) - whole, rest(one, of_seed) - whole, whole])
    freedom = np.array([seeds - 1, rows - 1, (seeds - 1) * (rows - 1)])
    squares = sums / freedom
    variances = np.maximum(squares[:2] - squares[2], 0) / [rows, seeds]  # of one seed, of one row
    variance = variances @ [1 / seeds, 1 / rows] + squares[2] / values.size
    of_freedom = (variance * values.size) ** 2 / np.sum(squares**2 / freedom)
    return scipy_stats.t.interval(1 - alpha, of_freedom, values.mean(), math.sqrt(variance))


@pytest.mark.parametrize("shape", [(2, 2), (2, 40), (6, 25), (20, 3), (7, 7)])
@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.05 / 3])
def test_crossed_interval_is_that_of_the_variance_components(shape, alpha):
    rng = np.random.default_rng(shape)
    for of_seeds, of_rows, of_both in ((1, 1, 1), (3, 0, 1), (0, 3, 1), (0, 0, 1), (5, 5, 0.01)):
        values = of_seeds * rng.normal(size=(shape[0], 1)) + of_rows * rng.normal(size=shape[1])
        values = 0.3 + values + of_both * rng.normal(size=shape)
        np.testing.assert_allclose(crossed_interval(values, alpha), reference_interval(values, alpha), rtol=1e-6)


def test_crossed_interval_of_rows_that_are_all_alike_is_the_t_interval_over_seeds():
    seeds = np.array([0.01, 0.02, 0.0, 0.03, 0.01])
    expected = scipy_stats.ttest_1samp(seeds, 0).confidence_interval()
    np.testing.assert_allclose(crossed_interval(np.tile(seeds[:, None], 50)), expected, rtol=1e-9)
    np.testing.assert_allclose(crossed_interval(np.tile(seeds, (50, 1))), expected, rtol=1e-9)


def test_crossed_interval_turns_with_the_sign_and_moves_with_a_shift():
    values = np.random.default_rng(1).integers(-1, 2, (8, 30)).astype(float)
    low, high = crossed_interval(values)
    np.testing.assert_allclose(crossed_interval(-values), (-high, -low), rtol=1e-12)
    np.testing.assert_allclose(crossed_interval(values + 0.25), (low + 0.25, high + 0.25), rtol=1e-12)
    np.testing.assert_allclose(crossed_interval(values[::-1, ::-1]), (low, high), rtol=1e-12)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((6, 100)),
        np.full((6, 100), 0.1 - 1.0),
        np.ones((1, 100)),
        np.arange(100.0).reshape(1, 100),
        np.arange(6.0).reshape(6, 1),
        np.zeros((0, 5)),
        np.zeros((5, 0)),
        np.ones((1, 1)),
    ],
)
def test_what_shows_no_spread_over_seeds_or_rows_has_no_crossed_interval(values):
    assert crossed_interval(values) == (-math.inf, math.inf)


def test_a_diverged_run_among_the_seeds_widens_the_crossed_interval():
    rng = np.random.default_rng(2)
    hits = rng.random((2, 8, 500)) < 0.9
    values = hits[0].astype(float) - hits[1]
    whole = crossed_interval(values)
    values[3] = 0.1 - hits[1, 3]
    low, high = crossed_interval(values)
    assert low < whole[0]
    assert high - low > 5 * (whole[1] - whole[0])
    np.testing.assert_allclose((low, high), reference_interval(values, 0.05), rtol=1e-9)


def test_a_single_row_that_differs_has_a_crossed_interval():
    values = np.zeros((6, 100))
    values[2, 7] = 1
    low, high = crossed_interval(values)
    assert low < 0 < 1 / 600 < high < 0.01


@pytest.mark.parametrize("values", [[1.0, 2.0], [[[1.0]]], [[1.0, math.nan]], [[1.0], [math.inf]]])
def test_crossed_interval_takes_finite_seeds_by_rows(values):
    with pytest.raises(ValueError, match="differences must be finite"):
        crossed_interval(values)


# A pair far from the rest.


@pytest.mark.parametrize(
    ("differences", "resolution", "far"),
    [
        ([0.01, 0.02, 0.01, 0.0, 0.02, -0.6], 0.0, [5]),
        ([-0.6, 0.02, 0.01, 0.0, 0.02, -0.62, 0.01], 0.0, [0, 5]),  # one does not hide the other
        ([0.01, 0.02, 0.01, 0.0, 0.02, 0.04], 0.0, []),
        ([0.01, 0.02, 0.01, 0.0, -0.6], 0.0, []),  # too few pairs
        ([0.0] * 6, 0.0, []),
        ([0.1 + 0.2 - 0.3, 0.0, 0.0, 0.0, 0.0, 0.0], 0.0, [0]),  # equal but for one: that one
        (
            [0.97 - 0.96, 0.98 - 0.97, 0.95 - 0.94, 0.5 - 0.49, 0.3 - 0.29, 0.2 - 0.19],
            0.0,
            [],
        ),  # equal but for rounding
        ([0.0] * 5 + [0.03], 0.01, []),  # ties on 100 rows: 3 rows apart
        ([0.0] * 5 + [-0.6], 0.01, [5]),
        ([0.0] * 5 + [0.11], 0.01, [5]),
        ([0.0] * 5 + [0.1], 0.01, []),  # exactly 10 deviations
        ([], 0.01, []),
    ],
)
def test_pairs_far_from_the_rest(differences, resolution, far):
    found = far_pairs(differences, resolution)
    assert np.flatnonzero(found).tolist() == far
    assert found.shape == (len(differences),)


FAR_EXPERIMENTS = 1000


@pytest.mark.parametrize("pairs", [6, 7, 20])
@pytest.mark.parametrize(
    "law", [scipy_stats.norm(), scipy_stats.gamma(4), scipy_stats.gamma(2), scipy_stats.skewnorm(5), scipy_stats.t(5)]
)
def test_of_normal_and_moderately_skewed_pairs_one_is_seldom_far(law, pairs):
    draws = law.rvs((FAR_EXPERIMENTS, pairs), random_state=np.random.default_rng(pairs))
    named = np.mean([far_pairs(row).any() for row in draws])
    # At most .035 over 40,000 experiments each; five standard errors of so many draws.
    assert named < 0.035 + 5 * math.sqrt(0.035 * 0.965 / FAR_EXPERIMENTS)


@pytest.mark.parametrize("pairs", [6, 7, 10, 20])
def test_a_collapse_is_far_from_the_rest(pairs):
    draws = np.random.default_rng(pairs).normal(0.002, 0.004, (1000, pairs))
    draws[:, 0] -= 0.3  # 75 standard deviations; at 30, one in 500 is missed at 6 pairs
    assert np.mean([far_pairs(row, 1e-4)[0] for row in draws]) > 0.99


# Events that were not seen.


@pytest.mark.parametrize("runs", [1, 2, 6, 10, 20, 1000])
def test_the_highest_rate_that_was_not_seen_is_the_exact_upper_bound(runs):
    expected = scipy_stats.binomtest(0, runs, alternative="less").proportion_ci(0.95, method="exact").high
    assert highest_unseen_rate(runs) == pytest.approx(expected, rel=1e-12)


def test_without_a_run_any_rate_is_possible():
    assert highest_unseen_rate(0) == 1.0
