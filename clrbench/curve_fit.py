"""The fit of an accuracy curve: where it leaves its floor, where it peaks, and how well either is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clrbench.records import DoubleArray

_MAX_POINTS = 200
# Of the distance to the peak: high powers make a plateau, low ones set in at once.
_POWERS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0)
_LOW = 6  # the low ones among them
_LEVEL_DECADES, _LEVEL_SHARE = 0.6, 0.03
"""Accuracy that gains no more than this share of its rise over so many decades to the end has stopped rising before them."""


@dataclass(frozen=True)
class Place:
    """Where on the log10 lr axis something lies: the median and the ends of the 90 % range of its posterior."""

    low: float
    median: float
    high: float


class Curve:
    """Accuracy against log10 lr in at most 200 points, and what is read off its running mean."""

    def __init__(self, log_lr: DoubleArray, accuracy: DoubleArray) -> None:
        size = -(-len(accuracy) // _MAX_POINTS)
        rest = len(accuracy) % size
        self.log_lr: DoubleArray = log_lr[rest:].reshape(-1, size).mean(axis=1)
        self.accuracy: DoubleArray = accuracy[rest:].reshape(-1, size).mean(axis=1)
        self.window = max(3, len(self.accuracy) // 20 | 1)
        from scipy import ndimage

        self.smooth: DoubleArray = ndimage.uniform_filter1d(self.accuracy, self.window, mode="nearest")
        self.noise = noise_of(self.accuracy)
        self.top = int(self.smooth.argmax())
        self.floor = float(self.smooth[: self.top + 1].min())
        self.rise = float(self.smooth[self.top]) - self.floor


def noise_of(values: DoubleArray) -> float:
    """Return the standard deviation of the noise on a smooth curve, in spite of a few jumps."""
    bends = np.abs(np.diff(values, 2))
    return float(1.4826 * (np.median(bends) if len(bends) else 0.0) / math.sqrt(6)) + 1e-4


def is_noise(values: DoubleArray) -> bool:
    """Return whether neighbours differ as much as any two do: von Neumann's ratio, 2 +- 2 / sqrt(n) of pure noise."""
    ratio = (np.diff(values) ** 2).sum() / ((values - values.mean()) ** 2).sum()
    return bool(ratio > 2 - 3 * 2 / math.sqrt(len(values)))


@dataclass(frozen=True)
class _Top:
    """The part of a curve around its top, and how well each candidate peak in it fits.

    Attributes:
        candidates: float64[candidates], indices of points and, where they are few, the middles between them.
        fits: float64[candidates], log evidence.
        noise: Standard deviation expected of the noise ahead of the peak.
    """

    start: int
    reaches_end: bool
    candidates: DoubleArray
    fits: DoubleArray
    noise: float


def _fit_top(curve: Curve, ahead: float, behind: float) -> _Top:
    """Fit the points that lie at most these fractions of the rise below the top."""
    ahead_level, behind_level = (
        curve.smooth[curve.top] - max(part * curve.rise, 4 * curve.noise) for part in (ahead, behind)
    )
    start = max(int((curve.smooth > ahead_level).argmax()) - 1, 0)
    stop = int(np.flatnonzero(curve.smooth > behind_level)[-1])
    while stop > start + 4 and curve.accuracy[stop] < behind_level:
        stop -= 1
    x = np.arange(start, stop + 1.0)
    y = curve.accuracy[start : stop + 1].clip(min=behind_level - 2 * curve.noise)
    noise = noise_of(curve.accuracy[max(0, start - 10) : max(curve.top + 1, start + 5)])
    candidates = np.arange(start, stop + 0.01, 0.5 if len(curve.accuracy) <= _MAX_POINTS // 2 else 1)
    fits = np.array([_log_evidence(x, y, candidate, noise) for candidate in candidates])
    return _Top(start, stop == len(curve.accuracy) - 1, candidates, fits, noise)


def peak(curve: Curve) -> tuple[Place, bool]:
    """Return where accuracy peaks, and whether it does: false if it still rises at the end.

    The top is fitted in a wide and in a narrow window, for every candidate peak, by nonnegative powers of the distance
    that lead up to it and down from it, with a noise of their own behind it; both posteriors count alike. Where nothing
    falls behind the peak, it is the first candidate that fits as well as the best: there accuracy stops improving, if
    it then turns ragged or stays level for a tenth of a decade. The fractions were chosen on simulated curves.
    """
    wide, narrow = _fit_top(curve, 0.4, 0.6), _fit_top(curve, 0.2, 0.3)
    place = _posterior(curve.log_lr, [wide, narrow])
    best = int((wide.fits > wide.fits.max() - 0.75).argmax())
    first = float(wide.candidates[best])
    behind = curve.accuracy[int(first) :]
    if not wide.reaches_end or _falls(behind, 0.02 * curve.rise):
        return place, True
    turns_ragged = len(behind) >= 8 and noise_of(behind) > 2.5 * wide.noise
    climb = 0.4 * curve.rise / max(first - wide.start, 1)
    first_log_lr = float(np.interp(first, np.arange(len(curve.log_lr)), curve.log_lr))
    stops = curve.log_lr[-1] - first_log_lr > 0.1 and (turns_ragged or _is_level(behind, 0.2 * climb))
    level = _level_from(curve)
    if not stops and curve.log_lr[-1] - level > _LEVEL_DECADES:
        return Place(level, level, curve.log_lr[-1]), True
    return Place(min(place.low, first_log_lr), first_log_lr, place.high if stops else math.inf), bool(stops)


def _level_from(curve: Curve) -> float:
    """Return from where on accuracy keeps within a small share of its rise, or the noise, of its top, in log10 lr."""
    margin = max(_LEVEL_SHARE * curve.rise, 2 * curve.noise / math.sqrt(curve.window))
    below = np.flatnonzero(curve.smooth < curve.smooth[curve.top] - margin)
    return float(curve.log_lr[min(below[-1] + 1, len(curve.log_lr) - 1)]) if below.size else float(curve.log_lr[0])


def _falls(accuracy: DoubleArray, least: float) -> bool:
    """Return whether the last third lies clearly below the median, and by so much at least."""
    tail = accuracy[-max(3, len(accuracy) // 3) :]
    error = 1.25 * tail.std() / math.sqrt(len(tail))
    return bool(np.median(accuracy) - tail.mean() > max(2 * error, least))


def _is_level(accuracy: DoubleArray, steepest: float) -> bool:
    """Return whether there are enough points to say that accuracy climbs by less than this from point to point."""
    if len(accuracy) < 5:
        return False
    (slope, _), covariance = np.polyfit(np.arange(len(accuracy)), accuracy, 1, cov=True)
    return bool(slope + 2 * math.sqrt(covariance[0, 0]) < steepest)


def onset(curve: Curve) -> Place:
    """Return where accuracy leaves its floor: a constant, then a parabola up to half the rise; at least the first rate."""
    risen = int((curve.smooth[: curve.top + 1] > curve.floor + curve.rise / 2).argmax())
    if risen < 3:
        return Place(curve.log_lr[0], curve.log_lr[0], curve.log_lr[risen])
    x, y = np.arange(risen + 1.0), curve.accuracy[: risen + 1]
    candidates, noise = np.arange(0, risen - 0.4, 0.5), noise_of(y)
    distances = ((x - start).clip(0) / (risen - start) for start in candidates)
    fits = np.array([_log_marginal(_squares(y, distance, distance**2), 6, noise) for distance in distances])
    return _posterior(curve.log_lr, [_Top(0, False, candidates, fits, noise)])


def _log_evidence(x: DoubleArray, y: DoubleArray, peak: float, noise: float) -> float:
    """Return the log evidence, up to a constant, for a peak of y at this place.

    Either the fall sets in at once behind it, with or without a plateau before, or, less likely a priori, the rise
    lasts right up to it. A place amid a plateau is neither.
    """
    up = (peak - x).clip(0) / max(peak - x[0], 1)
    down = (x - peak).clip(0) / max(x[-1] - peak, 1)
    behind = int((x <= peak).sum())
    ups, downs = (-np.power.outer(part, _POWERS) for part in (up, down))
    evidence = []
    for prior, columns in ((0.0, (ups, downs[:, :_LOW])), (-2.0, (ups[:, :_LOW], downs))):
        squares = _squares(y, *columns)
        even = _log_marginal(squares, 6, noise)
        ragged = _log_marginal(squares[:behind], 6, noise) + _log_marginal(squares[behind:], 2, 3 * noise)
        evidence += [prior + even, prior + ragged]
    return float(np.logaddexp.reduce(evidence))


def _squares(y: DoubleArray, *columns: DoubleArray) -> DoubleArray:
    """Return the squared residuals of the best nonnegative combination of a constant and the columns."""
    design = np.column_stack([np.ones(len(y)), *columns])
    from scipy import optimize

    squares: DoubleArray = (y - design @ optimize.nnls(design, y, maxiter=1000)[0]) ** 2
    return squares


def _log_marginal(squares: DoubleArray, weight: float, noise: float) -> float:
    """Return the log likelihood of normal residuals, their variance integrated out.

    The prior of the variance is worth `weight` earlier residuals of standard deviation `noise` (scaled inverse chi-squared).
    """
    prior, n = weight * noise**2, len(squares)
    gammas = math.lgamma((n + weight) / 2) - math.lgamma(weight / 2) - n / 2 * math.log(math.pi)
    return gammas + weight / 2 * math.log(prior) - (n + weight) / 2 * math.log(prior + squares.sum())


def _posterior(log_lr: DoubleArray, tops: list[_Top]) -> Place:
    """Return the mean of the posteriors over rates, each under a prior that is even in log lr.

    Half the evidence counts: the noise of neighbouring points of one run is related, which the fits do not know.
    """
    grid = np.interp(np.arange(2 * len(log_lr) - 1) / 2, np.arange(len(log_lr)), log_lr)
    density = np.zeros(len(grid))
    for top in tops:
        places = (2 * top.candidates).astype(int)
        likelihood = np.exp((top.fits - top.fits.max()) / 2)
        weight = likelihood * np.gradient(grid[places])
        weight = weight if weight.any() else likelihood  # rates that were written with few decimals stand several times
        density[places] += weight / weight.sum()
    low, median, high = np.interp([0.05, 0.5, 0.95], density.cumsum() / density.sum(), grid)
    return Place(float(low), float(median), float(high))
