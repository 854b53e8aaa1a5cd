"""The exact permutation test of two samples that are not paired, and the interval that is its inversion."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from clrbench.records import BoolArray, DoubleArray

MAX_SPLITS = 50_000
"""Up to this many splits of the pooled runs the test is exact; of more, this many random ones are used, with a fixed seed."""

_SEED = 1506_01186
_SPLITS_AT_ONCE = 1000
_TIE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class UnpairedComparison:
    """What two samples show.

    Attributes:
        difference: Mean of the candidate minus mean of the baseline; nan where one is empty.
        ci_low: Smallest shift that the test does not reject; -inf when it never rejects. Likewise `ci_high`.
        p_value: Two-sided p of "both come from one distribution": twice the smaller one-sided p, at most 1.
        exact: Whether all splits were counted, rather than some drawn.
    """

    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    exact: bool


def smallest_unpaired_p(candidate_runs: int, baseline_runs: int) -> float:
    """Return the smallest two-sided p that the test can reach with so many runs.

    >>> smallest_unpaired_p(4, 4), smallest_unpaired_p(3, 3)
    (0.02857142857142857, 0.1)
    """
    if min(candidate_runs, baseline_runs) == 0:
        return 1.0
    splits = math.comb(candidate_runs + baseline_runs, baseline_runs)
    return min(1.0, 2 / min(splits, MAX_SPLITS + 1))


def runs_needed(alpha: float, comparisons: int = 1) -> int:
    """Return how many runs a side the test needs: the fewest with comparisons * smallest_unpaired_p(n, n) <= alpha.

    >>> runs_needed(0.05), runs_needed(0.05, comparisons=2)
    (4, 5)
    """
    runs = 2
    while comparisons * smallest_unpaired_p(runs, runs) > alpha and math.comb(2 * runs, runs) <= MAX_SPLITS:
        runs += 1
    return runs


def compare_unpaired(candidate: npt.ArrayLike, baseline: npt.ArrayLike, *, alpha: float = 0.05) -> UnpairedComparison:
    """Compare the means of two samples by the permutation test; p is that of scipy.stats.permutation_test.

    Args:
        candidate: float[candidate_runs], finite.
        baseline: float[baseline_runs], finite.
        alpha: Level of the test, 0 < alpha < 1; the interval holds 0 if and only if p > alpha.

    Raises:
        ValueError: If a value is nan or inf.

    >>> found = compare_unpaired([3, 4, 5, 6], [0, 1, 2, 2])
    >>> round(found.p_value, 4), found.difference
    (0.0286, 3.25)
    """
    first, second = np.asarray(candidate, np.float64), np.asarray(baseline, np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("got nan or inf; leave runs that diverged out before comparing")
    if min(len(first), len(second)) == 0:
        return UnpairedComparison(math.nan, -math.inf, math.inf, 1.0, exact=True)
    pooled = np.concatenate([first, second])
    # Relative to one of them, equal values have equal means exactly.
    origin = pooled[0]
    pooled = pooled - origin
    exact = math.comb(len(pooled), len(first)) <= MAX_SPLITS
    difference = float(pooled[: len(first)].mean() - pooled[len(first) :].mean())
    splits = _all_splits(len(first), len(second)) if exact else _drawn_splits(len(first), len(second))
    shifts = np.concatenate([_shifts_where_as_far(pooled, part, len(first), difference) for part in splits])
    scale = float(np.abs(pooled).max())
    shifts[np.abs(shifts) <= _TIE_TOLERANCE * scale] = 0.0
    lower, upper = np.where(np.isnan(shifts), -np.inf, shifts), np.where(np.isnan(shifts), np.inf, shifts)
    p_value = min(1.0, 2 * float(min((lower <= 0).mean(), (upper >= 0).mean())))
    lower.sort()
    upper.sort()
    # The smallest count of splits of which twice the share of all exceeds alpha.
    rows = len(shifts)
    count = int(np.searchsorted(2 * np.arange(rows + 1) / rows, alpha, side="right"))
    return UnpairedComparison(difference, float(lower[count - 1]), float(upper[rows - count]), p_value, exact)


def _all_splits(first: int, second: int) -> Iterator[BoolArray]:
    """Yield all splits as one bool[splits, runs], true in the first sample."""
    chosen = np.array(list(combinations(range(first + second), first)))
    found = np.zeros((len(chosen), first + second), np.bool_)
    found[np.arange(len(chosen))[:, None], chosen] = True
    yield found


def _drawn_splits(first: int, second: int) -> Iterator[BoolArray]:
    """Yield the observed split, then random ones, a few at a time, as thousands of runs would fill the memory."""
    runs = first + second
    yield np.arange(runs)[None] < first
    rng = np.random.default_rng(_SEED)
    for start in range(0, MAX_SPLITS, _SPLITS_AT_ONCE):
        yield rng.random((min(_SPLITS_AT_ONCE, MAX_SPLITS - start), runs)).argsort(axis=1) < first


def _shifts_where_as_far(pooled: DoubleArray, splits: BoolArray, first: int, difference: float) -> DoubleArray:
    """Return, for each split, the shift of the candidate at which its difference equals the observed one.

    With delta taken off the candidate, the difference of a split is T - c * delta and the observed one D - delta, where c < 1
    but for the observed split, which is nan and always counts. It is at least as high from (D - T) / (1 - c) on.
    """
    second = splits.shape[1] - first
    sums, total = splits @ pooled, pooled.sum()
    of_split = sums / first - (total - sums) / second
    own = splits[:, :first].sum(axis=1)
    weight = own / first - (first - own) / second
    shifts: DoubleArray = np.divide(
        difference - of_split, 1 - weight, out=np.full(len(splits), np.nan), where=own < first
    )
    return shifts
