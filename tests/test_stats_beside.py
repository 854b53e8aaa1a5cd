"""What stands beside the paired test: bands, medians, rows as a sample, far pairs, events not seen."""

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
    crossed_interval,
    far_pairs,
    highest_unseen_rate,
    holm,
    mean_band,
    median_interval,
)


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
