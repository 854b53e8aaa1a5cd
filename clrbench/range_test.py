"""From the curve of an LR range test to suggested bounds, or to a refusal that names its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from clrbench.records import Bounds, DoubleArray

MIN_POINTS = 12
"""A curve of fewer is refused."""

_MAX_POINTS = 200
_MAX_GAP_DECADES = 0.25
_CAUTION_DECADES = 0.15
# Of the distance to the peak: high powers make a plateau, low ones set in at once.
_POWERS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0)
_LOW = 6  # the low ones among them

# What stands before the colon is stable.
FLAT = "flat: accuracy never rises clearly above its start; raise end_lr, or lower start_lr if the loss is high"
STARTS_DIVERGED = "starts diverged: the first rates are already too high; lower start_lr"
NEVER_STOPS = "never stops rising: accuracy still rises at the last rate; raise end_lr"
SEEDS_DISAGREE = "seeds disagree: their bounds lie too far apart; use a longer range test or more seeds"
TOO_FEW_POINTS = f"too few points: at least {MIN_POINTS} are needed; use more steps"
NAN_FROM_START = "nan from the start: no finite value at the first rate; lower start_lr"


@dataclass(frozen=True)
class _Place:
    """Where on the log10 lr axis something lies: the median and the ends of the 90 % range of its posterior."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class _Answer:
    base: _Place | None = None  # both are also there when accuracy never stops rising
    peak: _Place | None = None
    reason: str | None = None

    @property
    def base_lr(self) -> float | None:
        """The rate of the onset; None if the curve is refused."""
        return None if self.base is None or self.reason else float(10**self.base.median)

    @property
    def max_lr(self) -> float | None:
        """The rate of the peak, near its lower end where its range is wide; None if the curve is refused."""
        if self.peak is None or self.reason:
            return None
        # Too high a rate costs more than too low a one.
        return float(10 ** min(self.peak.median, self.peak.low + _CAUTION_DECADES))


def suggest_bounds(lr: npt.ArrayLike, loss: npt.ArrayLike, accuracy: npt.ArrayLike) -> Bounds:
    """Suggest base_lr and max_lr from the curve of an LR range test, or refuse.

    The bounds come from the accuracy averaged over the seeds, and are also found for each seed's own curve. A seed that
    diverges (nan or inf) counts from there on with the lowest accuracy it had.

    Args:
        lr: float[points], ascending, > 0; the rate at each point of a linear or exponential ramp; nan is allowed where
            all seeds have diverged.
        loss: float[points] or float[seeds, points]; nan or inf from where a seed diverged.
        accuracy: As `loss`, fractions; of validation rows, or of raw mini-batches.

    Returns:
        The bounds, or None and the reason, with the evidence. Seeds disagree when the 90 % ranges of two of them lie
        more than 0.25 decades apart in `max_lr` or 0.5 in `base_lr`, or when one of them has no answer alone.

    Raises:
        ValueError: If the shapes do not fit, or the rates do not ascend from above 0.

    Source: Smith 2017, section 3.3, arXiv:1506.01186.
    """
    lr = np.asarray(lr, np.float64)
    losses, accuracies = np.atleast_2d(np.asarray(loss, np.float64)), np.atleast_2d(np.asarray(accuracy, np.float64))
    if losses.ndim != 2 or losses.shape != accuracies.shape or accuracies.shape[1:] != lr.shape:
        raise ValueError(
            f"lr {lr.shape}, loss {losses.shape}, accuracy {accuracies.shape}: need [points], [seeds, points]"
        )
    known = lr[(np.isfinite(losses) & np.isfinite(accuracies)).any(axis=0)]
    if not ((known > 0).all() and (np.diff(known) >= 0).all()):
        raise ValueError("lr: need rates above 0 in ascending order; leave out points at 0, and sort all three by lr")
    answer = _answer(lr, losses, accuracies)
    seeds = [_answer(lr, losses[[i]], accuracies[[i]]) for i in range(len(losses))] if len(losses) > 1 else [answer]
    if answer.reason is None and _disagree(seeds):
        answer = replace(answer, reason=SEEDS_DISAGREE)
    base_lr, max_lr = answer.base_lr, answer.max_lr
    borne_out = [seed.max_lr for seed in seeds if seed.max_lr is not None]
    if max_lr is not None and borne_out:
        # One seed that diverges early cuts a cliff into the mean curve; no rate beyond what single seeds bear out.
        max_lr = float(np.clip(max_lr, min(borne_out), max(borne_out)))
    return Bounds(
        base_lr,
        max_lr,
        answer.reason,
        constant_lr=None if base_lr is None or max_lr is None else math.sqrt(base_lr * max_lr),
        seeds=len(seeds),
        seed_base_lr=tuple(seed.base_lr for seed in seeds),
        seed_max_lr=tuple(seed.max_lr for seed in seeds),
        loss_rules=_loss_rules(lr, losses),
    )


def _disagree(seeds: list[_Answer]) -> bool:
    """Return whether a seed shows no bounds, or two show bounds that lie apart by more than their own doubt."""
    onsets = [seed.base for seed in seeds if seed.base is not None]
    peaks = [seed.peak for seed in seeds if seed.peak is not None]
    return len(peaks) < len(seeds) or _gap(peaks) > _MAX_GAP_DECADES or _gap(onsets) > 2 * _MAX_GAP_DECADES


def _gap(places: list[_Place]) -> float:
    return max(place.low for place in places) - min(place.high for place in places)


def _answer(lr: DoubleArray, losses: DoubleArray, accuracies: DoubleArray) -> _Answer:
    """Return the bounds of the mean curve of these seeds."""
    alive = np.logical_and.accumulate(np.isfinite(losses) & np.isfinite(accuracies), axis=1)
    points = int(alive.any(axis=0).sum())
    if len(lr) < MIN_POINTS:
        return _Answer(reason=TOO_FEW_POINTS)
    if points < MIN_POINTS:
        return _Answer(reason=STARTS_DIVERGED if points else NAN_FROM_START)
    lowest = np.where(alive, accuracies, np.inf).min(axis=1, keepdims=True)
    lowest[np.isinf(lowest)] = lowest.min()
    mean = np.where(alive, accuracies, lowest).mean(axis=0)[:points]
    log_lr = np.log10(lr[:points])
    if points < len(lr):
        # A few points past the end make divergence a fall like any other; no rate need be known there.
        past = np.arange(1, max(3, points // 20) + 1)
        mean = np.append(mean, np.full(len(past), lowest.mean()))
        log_lr = np.append(log_lr, log_lr[-1] + past * (log_lr[-1] - log_lr[-2]))
    curve = _Curve(log_lr, mean)
    # Six standard errors: the range of the running mean of pure noise.
    clear = max(0.02, 6 * curve.noise / math.sqrt(curve.window))
    if curve.rise < clear or _is_noise(curve.accuracy) or curve.top < 2:
        # -log(accuracy) is about the loss of guessing.
        guessing = -math.log(float(np.clip(curve.floor, 1e-3, 0.9)))
        falls = curve.floor + curve.rise - curve.smooth[curve.top :].min() > clear
        return _Answer(reason=STARTS_DIVERGED if falls or np.median(losses[alive]) > 2 * guessing else FLAT)
    peak, stops = _peak(curve)
    return _Answer(_onset(curve), peak, None if stops else NEVER_STOPS)


class _Curve:
    """Accuracy against log10 lr in at most 200 points, and what is read off its running mean."""

    def __init__(self, log_lr: DoubleArray, accuracy: DoubleArray) -> None:
        size = -(-len(accuracy) // _MAX_POINTS)
        rest = len(accuracy) % size
        self.log_lr: DoubleArray = log_lr[rest:].reshape(-1, size).mean(axis=1)
        self.accuracy: DoubleArray = accuracy[rest:].reshape(-1, size).mean(axis=1)
        self.window = max(3, len(self.accuracy) // 20 | 1)
        self.smooth: DoubleArray = ndimage.uniform_filter1d(self.accuracy, self.window, mode="nearest")
        self.noise = _noise(self.accuracy)
        self.top = int(self.smooth.argmax())
        self.floor = float(self.smooth[: self.top + 1].min())
        self.rise = float(self.smooth[self.top]) - self.floor


def _noise(values: DoubleArray) -> float:
    """Return the standard deviation of the noise on a smooth curve, in spite of a few jumps."""
    return float(1.4826 * np.median(np.abs(np.diff(values, 2))) / math.sqrt(6)) + 1e-4


def _is_noise(values: DoubleArray) -> bool:
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


def _fit_top(curve: _Curve, ahead: float, behind: float) -> _Top:
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
    noise = _noise(curve.accuracy[max(0, start - 10) : max(curve.top + 1, start + 5)])
    candidates = np.arange(start, stop + 0.01, 0.5 if len(curve.accuracy) <= _MAX_POINTS // 2 else 1)
    fits = np.array([_log_evidence(x, y, candidate, noise) for candidate in candidates])
    return _Top(start, stop == len(curve.accuracy) - 1, candidates, fits, noise)


def _peak(curve: _Curve) -> tuple[_Place, bool]:
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
    turns_ragged = len(behind) >= 8 and _noise(behind) > 2.5 * wide.noise
    climb = 0.4 * curve.rise / max(first - wide.start, 1)
    first_log_lr = float(np.interp(first, np.arange(len(curve.log_lr)), curve.log_lr))
    stops = curve.log_lr[-1] - first_log_lr > 0.1 and (turns_ragged or _is_level(behind, 0.2 * climb))
    return _Place(min(place.low, first_log_lr), first_log_lr, place.high if stops else math.inf), bool(stops)


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


def _onset(curve: _Curve) -> _Place:
    """Return where accuracy leaves its floor: a constant, then a parabola up to half the rise; at least the first rate."""
    risen = int((curve.smooth[: curve.top + 1] > curve.floor + curve.rise / 2).argmax())
    if risen < 3:
        return _Place(curve.log_lr[0], curve.log_lr[0], curve.log_lr[risen])
    x, y = np.arange(risen + 1.0), curve.accuracy[: risen + 1]
    candidates, noise = np.arange(0, risen - 0.4, 0.5), _noise(y)
    distances = ((x - onset).clip(0) / (risen - onset) for onset in candidates)
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
    squares: DoubleArray = (y - design @ optimize.nnls(design, y, maxiter=1000)[0]) ** 2
    return squares


def _log_marginal(squares: DoubleArray, weight: float, noise: float) -> float:
    """Return the log likelihood of normal residuals, their variance integrated out.

    The prior of the variance is worth `weight` earlier residuals of standard deviation `noise` (scaled inverse chi-squared).
    """
    prior, n = weight * noise**2, len(squares)
    gammas = math.lgamma((n + weight) / 2) - math.lgamma(weight / 2) - n / 2 * math.log(math.pi)
    return gammas + weight / 2 * math.log(prior) - (n + weight) / 2 * math.log(prior + squares.sum())


def _posterior(log_lr: DoubleArray, tops: list[_Top]) -> _Place:
    """Return the mean of the posteriors over rates, each under a prior that is even in log lr.

    Half the evidence counts: the noise of neighbouring points of one run is related, which the fits do not know.
    """
    grid = np.interp(np.arange(2 * len(log_lr) - 1) / 2, np.arange(len(log_lr)), log_lr)
    density = np.zeros(len(grid))
    for top in tops:
        places = (2 * top.candidates).astype(int)
        weight = np.exp((top.fits - top.fits.max()) / 2) * np.gradient(grid[places])
        density[places] += weight / weight.sum()
    low, median, high = np.interp([0.05, 0.5, 0.95], density.cumsum() / density.sum(), grid)
    return _Place(float(low), float(median), float(high))


def _loss_rules(lr: DoubleArray, losses: DoubleArray) -> dict[str, float | None]:
    """Return what the loss rules suggest, from the mean loss up to a divergence, smoothed over even steps of log lr."""
    none: dict[str, float | None] = {"steepest": None, "valley": None, "minimum_tenth": None}
    points = int(np.logical_and.accumulate(np.isfinite(losses).all(axis=0)).sum())
    if points < MIN_POINTS:
        return none
    loss = losses[:, :points].mean(axis=0)
    # A spike in the mean would raise the limit beyond itself.
    loss = loss.clip(max=1.5 * min(loss[0], loss[:3].mean()))
    log_lr = np.log10(lr[:points])
    counts, edges = np.histogram(log_lr, bins=200)
    sums, _ = np.histogram(log_lr, bins=edges, weights=loss)
    centers = (edges[:-1] + edges[1:]) / 2
    even = np.interp(centers, centers[counts > 0], sums[counts > 0] / counts[counts > 0])
    smooth = ndimage.gaussian_filter1d(even, 8, mode="nearest")
    minimum = int(smooth.argmin())
    if minimum == 0:
        return none
    before = smooth[:minimum]
    drop = before.max() - smooth[minimum]
    start = int(np.flatnonzero(before >= before.max() - drop / 20)[-1])
    slope = np.gradient(smooth, centers)
    return {
        "steepest": float(10 ** centers[start + slope[start : minimum + 1].argmin()]),
        "valley": float(10 ** ((centers[start] + centers[minimum]) / 2)),
        "minimum_tenth": float(10 ** centers[minimum] / 10),
    }
