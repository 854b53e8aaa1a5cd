"""The unpaired permutation test against scipy's, and its interval against the test itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from clrbench.unpaired import MAX_SPLITS, compare_unpaired, runs_needed, smallest_unpaired_p


def scipy_p(first: Any, second: Any, **options: Any) -> float:
    found = stats.permutation_test(
        (first, second), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True, n_resamples=60_000, **options
    )
    return float(found.pvalue)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (4, 4), (5, 7), (2, 9), (6, 3), (8, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_p_is_that_of_scipy_ties_included(sizes: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng([seed, *sizes])
    first, second = np.round(rng.normal(0.7, 1, sizes[0]), 1), np.round(rng.normal(0, 1, sizes[1]), 1)
    found = compare_unpaired(first, second)
    assert found.exact
    assert found.p_value == pytest.approx(scipy_p(first, second), abs=1e-12)
    assert found.difference == pytest.approx(first.mean() - second.mean())
    assert compare_unpaired(second, first).p_value == pytest.approx(found.p_value, abs=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_p_of_decimals_is_that_of_scipy_on_whole_numbers(seed: int) -> None:
    """As floats, means that are equal differ in their last bits, and scipy counts fewer splits as far as the one observed."""
    rng = np.random.default_rng(seed)
    places = int(rng.integers(2, 5))
    first, second = (rng.normal(mean, 0.01, int(rng.integers(4, 8))) for mean in (0.9, 0.905))
    first, second = first.round(places), second.round(places)
    whole = [np.rint(sample * 10**places) for sample in (first, second)]
    assert compare_unpaired(first, second).p_value == pytest.approx(scipy_p(*whole), abs=1e-12)


def test_scipy_alone_would_miss_ties() -> None:
    first, second = [0.9, 0.88, 0.92, 0.91, 0.9, 0.91, 0.9], [0.9, 0.91, 0.9, 0.9, 0.9]
    assert compare_unpaired(first, second).p_value == 1.0
    assert scipy_p(np.array(first), np.array(second)) < 0.9


@pytest.mark.parametrize("sizes", [(4, 4), (5, 7), (8, 6)])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_interval_holds_the_shifts_that_are_not_rejected(sizes: tuple[int, int], alpha: float) -> None:
    rng = np.random.default_rng(sizes)
    first, second = rng.normal(0.7, 1, sizes[0]), rng.normal(0, 1, sizes[1])
    found = compare_unpaired(first, second, alpha=alpha)
    for end, inwards in ((found.ci_low, 1e-6), (found.ci_high, -1e-6)):
        assert compare_unpaired(first - end - inwards, second).p_value > alpha
        assert compare_unpaired(first - end + inwards, second).p_value <= alpha
    assert (found.p_value <= alpha) == (not found.ci_low <= 0 <= found.ci_high)


def test_of_too_many_splits_some_are_drawn_the_same_ones_each_time() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.8, 1, 14), rng.normal(0, 1, 15)
    found = compare_unpaired(first, second)
    assert not found.exact
    assert found == compare_unpaired(first, second)
    assert found.p_value == pytest.approx(scipy_p(first, second, rng=1), rel=0.1)
    assert (found.p_value <= 0.05) == (not found.ci_low <= 0 <= found.ci_high)


def test_too_few_runs_have_no_interval() -> None:
    found = compare_unpaired([1, 2, 3], [4, 5, 6])
    assert (found.p_value, found.ci_low, found.ci_high) == (pytest.approx(0.1), -math.inf, math.inf)
    assert compare_unpaired([], [1, 2]).p_value == 1.0


def test_equal_runs_differ_in_nothing() -> None:
    found = compare_unpaired([0.9] * 5, [0.9] * 5)
    assert (found.difference, found.p_value, found.ci_low, found.ci_high) == (0, 1, 0, 0)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="got nan or inf"):
        compare_unpaired([1, math.nan], [1, 2])


@pytest.mark.parametrize(
    ("runs", "p"), [((3, 3), 0.1), ((4, 4), 2 / 70), ((2, 9), 2 / 55), ((0, 5), 1.0), ((1, 1), 1.0)]
)
def test_smallest_p(runs: tuple[int, int], p: float) -> None:
    assert smallest_unpaired_p(*runs) == pytest.approx(p)


@pytest.mark.parametrize(
    ("alpha", "comparisons"),
    [(0.05, 1), (0.05, 2), (0.01, 1), (0.05, 10), pytest.param(0.001, 3, marks=pytest.mark.acceptance)],
)
def test_runs_needed_are_the_fewest(alpha: float, comparisons: int) -> None:
    runs = runs_needed(alpha, comparisons)
    assert comparisons * smallest_unpaired_p(runs, runs) <= alpha
    assert comparisons * smallest_unpaired_p(runs - 1, runs - 1) > alpha


@pytest.mark.acceptance
def test_no_number_of_runs_is_looked_for_beyond_the_draws() -> None:
    assert runs_needed(1e-9) < 12
    assert smallest_unpaired_p(500, 500) == 2 / (MAX_SPLITS + 1)
