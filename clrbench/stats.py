"""The statistics of a paired comparison: one exact test, and the interval that is its inversion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.records import ByteArray, DoubleArray

_EXACT_PAIRS = 16
_DRAWS = 2**16
_DRAWS_SEED = 1506_01186
_MAX_SIGNS_AT_ONCE = 2**21
"""Signs that are unpacked at a time: of many pairs, all of them would take more memory than everything else."""
# Sums of rounded differences miss an exact tie by about 1e-12 of the largest one.
_TIE_TOLERANCE = 1e-9
_MIN_PAIRS_OF_FAR = 6
# Of 6 to 20 normal or moderately skewed pairs, one is this far in fewer than 1 of 20 experiments; see docs/decisions/0028.
_FAR_DEVIATIONS = 10
_NORMAL_MAD = 1.4826


Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairedComparison:
    """What the paired differences candidate - baseline show.

    Attributes:
        mean_difference: Mean of candidate - baseline, in the unit of the metric; nan without pairs.
        ci_low: Smallest shift that the test does not reject, itself included; -inf when it never rejects.
        ci_high: Largest such shift, itself included; inf when the test never rejects.
        p_value: Two-sided p of "the differences are symmetric about 0".
        wins: Pairs in which the candidate has the better value.
    """

    pairs: int
    mean_difference: float
    ci_low: float
    ci_high: float
    p_value: float
    wins: int
    ties: int
    losses: int


def smallest_p_value(pairs: int) -> float:
    """Return the smallest two-sided p that the exact sign-flip test can reach: 2 / 2**pairs, or 1 without pairs.

    >>> smallest_p_value(6)
    0.03125
    """
    return min(1.0, 2.0 ** (1 - pairs))


def pairs_needed(alpha: float, comparisons: int = 1) -> int:
    """Return how many pairs the test needs: the fewest with comparisons * smallest_p_value(pairs) <= alpha.

    Args:
        alpha: Level of the whole family, 0 < alpha < 1.
        comparisons: Size of the family that Holm's correction covers (>= 1).

    >>> pairs_needed(0.05), pairs_needed(0.05, comparisons=3)
    (6, 7)
    """
    return max(1, math.ceil(math.log2(2 * comparisons / alpha)))


def attained_level(pairs: int, alpha: float) -> float:
    """Return the largest p <= alpha that the exact sign-flip test has with so many pairs (>= 1); 0 where it has none.

    >>> attained_level(6, 0.05), attained_level(5, 0.05)
    (0.03125, 0.0)
    """
    steps = 2 ** min(pairs - 1, 52)
    return float(math.floor(alpha * steps) / steps)


def compare_paired(
    candidate: npt.ArrayLike, baseline: npt.ArrayLike, *, alpha: float = 0.05, higher_is_better: bool = True
) -> PairedComparison:
    """Compare two arms over their seeds by the paired sign-flip test on the mean.

    p is the share of the 2**pairs sign vectors s with ``|sum(s * d)| >= |sum(d)|``, d = candidate - baseline: all of
    them up to 16 pairs, beyond that 2**16 fixed ones with the observed one among them. The interval is the closed set
    of shifts delta for which the same test of d - delta has p > alpha, so that it holds 0 if and only if p > alpha.
    It is unbounded where the pairs are too few to reach alpha (fewer than 6 at 0.05), equal differences included;
    with enough pairs equal differences d give [d, d].

    Args:
        candidate: float[pairs], finite; the metric of the candidate arm.
        baseline: float[pairs], finite; the metric of the baseline arm for the same seeds.
        alpha: Level of the test, 0 < alpha < 1; the confidence is 1 - alpha.
        higher_is_better: Whether a win is the higher value (accuracy) or the lower one (loss).

    Returns:
        The comparison; without pairs, p = 1 and an unbounded interval.

    Raises:
        ValueError: If the lengths differ or a value is nan or inf.

    >>> compare_paired([0.95, 0.97, 0.96, 0.97, 0.96, 0.98], [0.94] * 6).p_value
    0.03125
    """
    candidate, baseline = np.asarray(candidate, np.float64), np.asarray(baseline, np.float64)
    if candidate.ndim != 1 or candidate.shape != baseline.shape:
        raise ValueError(f"got shapes {candidate.shape} and {baseline.shape}; both must be [pairs]")
    differences = candidate - baseline
    if not np.isfinite(differences).all():
        raise ValueError("got nan or inf; leave pairs with a diverged run out before comparing")
    gains = differences if higher_is_better else -differences
    mean, low, high, p_value = _sign_flip(differences, alpha)
    wins, ties, losses = (int(found.sum()) for found in (gains > 0, gains == 0, gains < 0))
    return PairedComparison(len(differences), mean, low, high, p_value, wins, ties, losses)


def smallest_detectable_difference(sd: float, pairs: int, *, alpha: float, power: float = 0.8) -> float:
    """Return about the mean difference that this many pairs would show with the given power.

    The paired t test at the largest p <= alpha that the sign-flip test has with so many pairs stands in for it
    (noncentral t); the differences are taken to be normal.

    Args:
        sd: Standard deviation of the differences (>= 0).
        pairs: Number of pairs (>= 0).
        alpha: Level of the test, 0 < alpha < 1.
        power: Probability of p <= alpha, alpha < power < 1.

    Returns:
        The difference, in the unit of sd; inf where so few pairs cannot reach alpha.
    """
    if smallest_p_value(pairs) > alpha:
        return math.inf
    from scipy import special

    critical = special.stdtrit(pairs - 1, 1 - attained_level(pairs, alpha) / 2)
    return float(special.nctdtrinc(pairs - 1, 1 - power, critical)) * sd / math.sqrt(pairs)


def mean_band(
    values: npt.ArrayLike, axis: int, confidence: float = 0.95
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Return a mean and its t interval, as plots show them.

    Args:
        values: float[...]; entries that are not finite (diverged runs) are left out.
        axis: The axis to average over: the runs.
        confidence: Coverage of the interval, 0 < confidence < 1.

    Returns:
        Mean, lower and upper bound, of the shape without `axis`; the mean is nan where no value is left, the bounds
        are nan where fewer than two are.
    """
    finite = np.ma.masked_invalid(np.asarray(values, np.float64))
    count = finite.count(axis)
    mean = np.ma.filled(finite.mean(axis), np.nan)
    sd = np.ma.filled(finite.std(axis, ddof=1), np.nan)
    from scipy import special

    quantile = special.stdtrit(np.maximum(count - 1, 1), (1 + confidence) / 2)
    half = quantile * sd / np.sqrt(np.maximum(count, 1))
    return mean, mean - half, mean + half


def crossed_interval(differences: npt.ArrayLike, alpha: float = 0.05) -> tuple[float, float]:
    """Return an interval of the mean difference over seeds and test rows, both of which are samples.

    Crossed random effects: the variance of the mean is s2_seeds / n + s2_rows / m + s2_rest / (n m), each component
    estimated by the mean squares and never below 0; t with Satterthwaite's degrees of freedom.
    Source: Searle, Casella and McCulloch 1992, Variance Components, chapter 4.

    Args:
        differences: float[seeds, rows], finite; candidate - baseline, of one row a difference of -1, 0 or 1.
        alpha: 1 - the confidence, 0 < alpha < 1.

    Returns:
        Lower and upper bound; -inf and inf where a single seed or row, or differences that are all equal, show no spread.

    Raises:
        ValueError: If the array is not [seeds, rows], or a value is nan or inf.

    >>> low, high = crossed_interval([[0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]])
    >>> round(low, 2), round(high, 2)
    (-0.43, 1.1)
    """
    values = np.asarray(differences, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"got shape {values.shape}; differences must be finite, [seeds, rows]")
    seeds, rows = values.shape
    if min(seeds, rows) < 2 or np.ptp(values) == 0:
        return -math.inf, math.inf
    mean, of_seeds, of_rows = values.mean(), values.mean(axis=1), values.mean(axis=0)
    freedom = np.array([seeds - 1, rows - 1, (seeds - 1) * (rows - 1)], np.float64)
    rest = values - of_seeds[:, None] - of_rows + mean
    squares = np.array([rows * np.sum((of_seeds - mean) ** 2), seeds * np.sum((of_rows - mean) ** 2), np.sum(rest**2)])
    mean_squares = squares / freedom
    # The share of the rest in the other two is taken off, so that it counts once.
    components = np.maximum(mean_squares[:2] - mean_squares[2], 0.0)
    total = components.sum() + mean_squares[2]
    from scipy import special

    quantile = special.stdtrit(total**2 / np.sum(mean_squares**2 / freedom), 1 - alpha / 2)
    half = float(quantile * math.sqrt(total / values.size))
    return float(mean) - half, float(mean) + half


def far_pairs(differences: npt.ArrayLike, resolution: float = 0.0) -> npt.NDArray[np.bool_]:
    """Return which pairs lie far from the rest: more than 10 robust standard deviations from the median.

    The robust standard deviation is 1.4826 times the median distance from the median. Below 6 pairs none is far.

    Args:
        differences: float[pairs], finite.
        resolution: The least standard deviation to assume (>= 0), such as one test row, where many pairs are tied.

    Returns:
        bool[pairs].

    >>> far_pairs([0.01, 0.02, 0.01, 0.0, 0.02, -0.6], resolution=0.001).tolist()
    [False, False, False, False, False, True]
    """
    values = np.asarray(differences, np.float64)
    if len(values) < _MIN_PAIRS_OF_FAR:
        return np.zeros(len(values), np.bool_)
    distances = np.abs(values - np.median(values))
    deviation = max(_NORMAL_MAD * float(np.median(distances)), resolution)
    # What only rounding sets apart is not apart.
    far: npt.NDArray[np.bool_] = distances > max(_FAR_DEVIATIONS * deviation, _TIE_TOLERANCE * np.abs(values).max())
    return far


UNSEEN_CHANCE = 0.05
"""Chance that an event of the rate which `highest_unseen_rate` returns is not seen once."""


def highest_unseen_rate(runs: int) -> float:
    """Return the highest rate of an event that so many runs without one still leave possible: 1 - UNSEEN_CHANCE**(1 / runs).

    >>> round(highest_unseen_rate(6), 2), round(highest_unseen_rate(10), 2)
    (0.39, 0.26)
    """
    return 1 - UNSEEN_CHANCE ** (1 / runs) if runs > 0 else 1.0


def holm(p_values: npt.ArrayLike) -> DoubleArray:
    """Return a family of p values, adjusted by Holm's step-down procedure: reject where one is <= alpha.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return adjusted.clip(max=1.0)


def _sign_flip(differences: DoubleArray, alpha: float) -> tuple[float, float, float, float]:
    """Return mean, interval and p of the test; all from the same shifts, so that they agree to the last bit."""
    if len(differences) == 0:
        return math.nan, -math.inf, math.inf, 1.0
    # Relative to one of them, equal differences have equal subset means exactly.
    origin = differences[0]
    relative = differences - origin
    mean = float(origin + relative.mean())
    size, flipped_sum = _flipped(relative)
    lower = origin + _shifts_where_extreme(len(relative), float(relative.sum()), size, flipped_sum)
    upper = origin - _shifts_where_extreme(len(relative), -float(relative.sum()), size, -flipped_sum)
    tolerance = _TIE_TOLERANCE * np.abs(differences).max()
    for shifts in (lower, upper):
        shifts[np.abs(shifts) <= tolerance] = 0.0
        shifts.sort()
    rows = len(size)
    # The smallest count of sign vectors whose share of all exceeds alpha.
    count = int(np.searchsorted(np.arange(rows + 1) / rows, alpha, side="right"))
    extreme = lower <= 0 if mean > 0 else upper >= 0
    p_value = 1.0 if abs(mean) <= tolerance else float(extreme.mean())
    return mean, float(lower[count - 1]), float(upper[rows - count]), p_value


def _shifts_where_extreme(pairs: int, total: float, size: Counts, flipped_sum: DoubleArray) -> DoubleArray:
    """Return, for each sign vector, the smallest shift at which it is as extreme as the observed one.

    With A the pairs whose sign is flipped, `size` of them of the sum `flipped_sum`, and delta below the mean,
    |sum(s * (d - delta))| >= |sum(d - delta)| holds if and only if A or its complement has a mean <= delta; the observed
    one (A empty) always counts. So p(delta) is the share of entries <= delta.
    """
    flipped_mean = np.divide(flipped_sum, size, out=np.full(len(size), -np.inf), where=size > 0)
    rest_mean = (total - flipped_sum) / (pairs - size)
    smallest: DoubleArray = np.minimum(flipped_mean, rest_mean)
    return smallest


def _flipped(differences: DoubleArray) -> tuple[Counts, DoubleArray]:
    """Return how many pairs each sign vector flips, and the sum of their differences; many vectors in several goes."""
    pairs = len(differences)
    packed, size = _sign_vectors(pairs)
    rows = max(1, _MAX_SIGNS_AT_ONCE // pairs)
    sums = [
        np.unpackbits(packed[start : start + rows], axis=1, count=pairs).astype(np.float64) @ differences
        for start in range(0, len(packed), rows)
    ]
    return size, np.concatenate(sums)


@lru_cache(maxsize=4)
def _sign_vectors(pairs: int) -> tuple[ByteArray, Counts]:
    """Return bool[rows, pairs] as bits, true where a sign is flipped, and how many of each row are.

    Row 0 flips none and no row flips the first: a sign vector and its negative have the same |sum|, so that half of them
    stand for all.
    """
    if pairs <= _EXACT_PAIRS:
        flipped = (2 * np.arange(2 ** (pairs - 1))[:, None] >> np.arange(pairs)) % 2 == 1
        return np.packbits(flipped, axis=1), flipped.sum(axis=1)
    generator = np.random.default_rng(_DRAWS_SEED)
    packed, sizes = [], []
    rows = max(1, _MAX_SIGNS_AT_ONCE // pairs)
    for start in range(0, _DRAWS, rows):
        flipped = generator.random((min(rows, _DRAWS - start), pairs)) < 0.5
        flipped[:, 0] = False
        flipped[: start == 0] = False
        packed.append(np.packbits(flipped, axis=1))
        sizes.append(flipped.sum(axis=1))
    return np.concatenate(packed), np.concatenate(sizes)


def median_interval(values: npt.ArrayLike, alpha: float = 0.05) -> tuple[float, float]:
    """Return the sign-test interval of a median: the k-th smallest and the k-th largest value.

    k is the largest one with P(fewer than k of n fair coins show heads) <= alpha / 2, so that the closed interval holds
    the median of any distribution with a probability of at least 1 - alpha, whatever its shape, its ties or its infinite
    values.

    Args:
        values: float[n], in any order; -inf and inf are values like any other.
        alpha: 1 - the confidence, 0 < alpha < 1.

    Returns:
        Lower and upper bound; -inf and inf where so few values allow none (fewer than 6 at 0.05).

    Raises:
        ValueError: If a value is nan.

    >>> median_interval([3, 1, 2, float("inf"), 5, 4])
    (1.0, inf)
    >>> median_interval([1, 2, 3, 4, 5])
    (-inf, inf)
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if np.isnan(ordered).any():
        raise ValueError("got nan; leave out what has no value before asking for the median")
    size = len(ordered)
    # In whole numbers, as 2**-n is too small for a float from n = 1075 on. scipy.stats.quantile_test rounds, and where
    # a probability equals alpha / 2 (6 values at 1/32), its lower bound is a rank too low.
    allowed, tail, ways, rank = Fraction(alpha) * 2**size / 2, 0, 1, 0
    while tail + ways <= allowed:
        tail, ways, rank = tail + ways, ways * (size - rank) // (rank + 1), rank + 1
    if rank == 0:
        return -math.inf, math.inf
    return float(ordered[rank - 1]), float(ordered[size - rank])
