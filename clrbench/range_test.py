"""From the curve of an LR range test to suggested bounds, or to a refusal that names its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import interpolate, ndimage, optimize, special

from clrbench.records import DoubleArray

_FEWEST_POINTS = 12
_MOST_POINTS = 400
_LARGEST_SPREAD_DECADES = 0.5
_POWERS = (1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0)

FLAT = "flat: accuracy never rises clearly above its start; raise end_lr, or check that the model learns at all"
STARTS_DIVERGED = "starts diverged: the first rates are already too high; lower start_lr"
NEVER_STOPS = "never stops rising: accuracy still rises at the last rate; raise end_lr"
SEEDS_DISAGREE = "seeds disagree: their bounds lie too far apart; use a longer range test or more seeds"
TOO_FEW_POINTS = f"too few points: at least {_FEWEST_POINTS} are needed; evaluate more often"
NAN_FROM_START = "nan from the start: no finite value at the first rate; lower start_lr"


@dataclass(frozen=True)
class Bounds:
    """What a range test suggests, and the evidence for it.

    Attributes:
        base_lr: Rate at which accuracy starts to rise; None if the test refuses.
        max_lr: Rate at which accuracy peaks, then slows, turns ragged or falls; None if the test refuses.
        reason: None, or why there is no answer: a stable phrase, a colon and what to do.
        seed_base_lr: `base_lr` of each seed's own curve; None where that curve alone gives no answer.
        seed_max_lr: `max_lr` of each seed's own curve; None where that curve alone gives no answer.
        base_lr_spread_decades: log10 of largest over smallest `seed_base_lr`; None below two answers.
        max_lr_spread_decades: log10 of largest over smallest `seed_max_lr`; None below two answers.
        rules: What the rules that read the loss say, each a rate or None: `steepest` (d loss / d log lr is smallest),
            `valley` (midway, in log lr, down to the minimum), `minimum_tenth` (a tenth of the rate of the minimum).
    """

    base_lr: float | None
    max_lr: float | None
    reason: str | None
    seed_base_lr: tuple[float | None, ...]
    seed_max_lr: tuple[float | None, ...]
    base_lr_spread_decades: float | None
    max_lr_spread_decades: float | None
    rules: dict[str, float | None]

    @property
    def suggested_constant(self) -> float | None:
        """Geometric mean of the bounds, as a constant rate to try; None if the test refuses."""
        return None if self.base_lr is None or self.max_lr is None else math.sqrt(self.base_lr * self.max_lr)


@dataclass(frozen=True)
class _Answer:
    base_lr: float | None
    max_lr: float | None
    reason: str | None


def suggest_bounds(lr: npt.ArrayLike, loss: npt.ArrayLike, accuracy: npt.ArrayLike) -> Bounds:
    """Suggest base_lr and max_lr from the curve of an LR range test, or refuse.

    The bounds come from the accuracy averaged over the seeds, the spread from each seed's own curve. A seed that
    diverges (nan or inf) counts from there on with the lowest accuracy it had.

    Args:
        lr: float[points], ascending, > 0; the rate at each point of a linear or exponential ramp.
        loss: float[points] or float[seeds, points]; nan or inf from where a seed diverged.
        accuracy: As `loss`, fractions; of validation rows, or of raw mini-batches.

    Returns:
        The bounds, or None and the reason, with the evidence. Seeds disagree when their `max_lr` spread over more than
        half a decade or their `base_lr` over more than twice that, or when one has no answer and another one has.

    Raises:
        ValueError: If the shapes do not fit.

    Source: Smith 2017, section 3.3, arXiv:1506.01186.
    """
    lr = np.asarray(lr, np.float64)
    losses, accuracies = np.atleast_2d(np.asarray(loss, np.float64)), np.atleast_2d(np.asarray(accuracy, np.float64))
    if lr.ndim != 1 or losses.shape != accuracies.shape or accuracies.shape[1:] != lr.shape:
        raise ValueError(f"got shapes {lr.shape}, {losses.shape}, {accuracies.shape}; see suggest_bounds")
    answer = _answer(lr, losses, accuracies)
    seeds = [_answer(lr, losses[[i]], accuracies[[i]]) for i in range(len(losses))] if len(losses) > 1 else [answer]
    base_spread = _spread_decades([seed.base_lr for seed in seeds])
    max_spread = _spread_decades([seed.max_lr for seed in seeds])
    too_far = (max_spread or 0) > _LARGEST_SPREAD_DECADES or (base_spread or 0) > 2 * _LARGEST_SPREAD_DECADES
    if too_far or len({seed.max_lr is None for seed in seeds}) > 1:
        answer = _Answer(None, None, SEEDS_DISAGREE)
    return Bounds(
        base_lr=answer.base_lr,
        max_lr=answer.max_lr,
        reason=answer.reason,
        seed_base_lr=tuple(seed.base_lr for seed in seeds),
        seed_max_lr=tuple(seed.max_lr for seed in seeds),
        base_lr_spread_decades=base_spread,
        max_lr_spread_decades=max_spread,
        rules=_loss_rules(lr, losses),
    )


def _spread_decades(rates: list[float | None]) -> float | None:
    found = np.log10([rate for rate in rates if rate is not None])
    return float(np.ptp(found)) if len(found) > 1 else None


def _answer(lr: DoubleArray, losses: DoubleArray, accuracies: DoubleArray) -> _Answer:
    """Return the bounds of the mean curve of these seeds."""
    finite = np.isfinite(losses) & np.isfinite(accuracies)
    alive = np.logical_and.accumulate(finite, axis=1)
    points = int(alive.any(axis=0).sum())
    if len(lr) < _FEWEST_POINTS:
        return _Answer(None, None, TOO_FEW_POINTS)
    if points == 0:
        return _Answer(None, None, NAN_FROM_START)
    if points < _FEWEST_POINTS:
        return _Answer(None, None, STARTS_DIVERGED)
    lowest = np.where(alive, accuracies, np.inf).min(axis=1, keepdims=True)
    lowest[np.isinf(lowest)] = lowest.min()
    # A few points past the end, where all seeds have diverged, make divergence a fall like any other.
    shown = slice(0, points + max(3, points // 20))
    accuracy = np.where(alive, accuracies, lowest).mean(axis=0)[shown]
    bin_size = -(-len(accuracy) // _MOST_POINTS)
    log_lr, accuracy = _binned(np.log10(lr[shown]), bin_size), _binned(accuracy, bin_size)
    smooth = _smoothed(accuracy)
    peak = int(smooth.argmax())
    floor = smooth[: peak + 1].min()
    # Six standard errors: the range of the mean of pure noise over all windows.
    clear = max(0.02, 6 * _noise(accuracy) / math.sqrt(_window(len(accuracy))))
    if smooth[peak] - floor < clear:
        # Untrained, -log(accuracy) is about the loss of guessing.
        guessing = -math.log(float(np.clip(floor, 1e-3, 0.9)))
        diverged = smooth[peak] - smooth[peak:].min() > clear or np.median(losses[alive]) > 2 * guessing
        return _Answer(None, None, STARTS_DIVERGED if diverged else FLAT)
    max_log_lr = _peak(log_lr, accuracy)
    if max_log_lr is None:
        return _Answer(None, None, NEVER_STOPS)
    base_log_lr = min(_onset(log_lr, accuracy), max_log_lr)
    return _Answer(float(10**base_log_lr), float(10**max_log_lr), None)


def _binned(values: DoubleArray, size: int) -> DoubleArray:
    rest = len(values) % size
    binned: DoubleArray = values[rest:].reshape(-1, size).mean(axis=1)
    return binned


def _window(points: int) -> int:
    return max(3, points // 20 | 1)


def _smoothed(values: DoubleArray) -> DoubleArray:
    smooth: DoubleArray = ndimage.uniform_filter1d(values, _window(len(values)), mode="nearest")
    return smooth


def _noise(values: DoubleArray) -> float:
    """Return the standard deviation of the noise on a smooth curve, in spite of a few jumps."""
    second = np.diff(values, 2) / math.sqrt(6)
    return float(1.4826 * np.median(np.abs(second))) + 1e-4


def _peak(log_lr: DoubleArray, accuracy: DoubleArray) -> float | None:
    """Return log10 of the rate at which accuracy peaks, or None if it still rises at the end.

    The top of the curve is fitted, for every candidate peak, by nonnegative powers of the distance that lead up to it
    and down from it, with a noise of their own behind it. The answer is the median of the posterior over candidates;
    where nothing falls behind it, the first candidate that fits as well as the best: there accuracy stops improving.
    """
    smooth, noise = _smoothed(accuracy), _noise(accuracy)
    top = smooth.max()
    rise = top - smooth[: smooth.argmax() + 1].min()
    left_level, right_level = top - max(0.35 * rise, 4 * noise), top - max(0.4 * rise, 4 * noise)
    start = max(int((smooth > left_level).argmax()) - 1, 0)
    stop = int(np.flatnonzero(smooth > right_level)[-1])
    while stop > start + 4 and accuracy[stop] < right_level:
        stop -= 1
    x = np.arange(start, stop + 1.0)
    y = accuracy[start : stop + 1].clip(min=min(left_level, right_level) - 2 * noise)
    before = accuracy[max(0, start - 10) : max(int(smooth.argmax()) + 1, start + 5)]
    candidates = np.arange(start, stop + 0.01, 0.5)
    fits = np.array([_log_evidence(x, y, candidate, _noise(before)) for candidate in candidates])
    candidate_log_lr = np.interp(candidates, np.arange(len(log_lr)), log_lr)
    good = fits > fits.max() - 0.75
    first = candidates[good.argmax()]
    if stop == len(accuracy) - 1 and not _falls_behind(accuracy, int(first), 0.02 * rise):
        still_rising = _rises_to_the_end(accuracy, 0.02 * rise) or len(accuracy) - first < 0.05 * len(accuracy)
        return None if still_rising else float(candidate_log_lr[good.argmax()])
    return _median(candidate_log_lr, fits)


def _falls_behind(accuracy: DoubleArray, peak: int, least: float) -> bool:
    behind = accuracy[peak:]
    tail = behind[-max(3, len(behind) // 3) :]
    error = 1.25 * tail.std() / math.sqrt(len(tail))
    return bool(np.median(behind) - tail.mean() > max(2 * error, least))


def _rises_to_the_end(accuracy: DoubleArray, least: float) -> bool:
    tail = accuracy[-max(8, len(accuracy) // 4) :]
    x = np.linspace(0, 1, len(tail))
    (slope, _), covariance = np.polyfit(x, tail, 1, cov=True)
    return bool(slope > max(3 * math.sqrt(covariance[0, 0]), least))


def _log_evidence(x: DoubleArray, y: DoubleArray, peak: float, noise: float) -> float:
    """Return the log evidence, up to a constant, for a peak of y at this place."""
    up = (peak - x).clip(0) / max(peak - x[0], 1)
    down = (x - peak).clip(0) / max(x[-1] - peak, 1)
    columns = [np.ones(len(x)), *(-(up**power) for power in _POWERS), *(-(down**power) for power in _POWERS)]
    design = np.column_stack(columns)
    squares = (y - design @ optimize.nnls(design, y)[0]) ** 2
    ahead = x <= peak
    one = _log_marginal(squares, 6, noise)
    two = _log_marginal(squares[ahead], 6, noise) + _log_marginal(squares[~ahead], 2, 3 * noise)
    return float(np.logaddexp(one, two))


def _log_marginal(squares: DoubleArray, weight: float, noise: float) -> float:
    """Return the log likelihood of residuals, their variance integrated out.

    Its prior is the scaled inverse chi-squared one: `weight` earlier residuals of standard deviation `noise`.
    """
    before = weight * noise**2
    n = len(squares)
    gammas = special.gammaln((n + weight) / 2) - special.gammaln(weight / 2)
    powers = weight / 2 * np.log(before) - (n + weight) / 2 * np.log(before + squares.sum())
    return float(gammas + powers - n / 2 * math.log(math.pi))


def _median(log_lr: DoubleArray, log_evidence: DoubleArray) -> float:
    """Return the median of the posterior over rates, under a prior that is even in log lr."""
    weight = np.exp(log_evidence - log_evidence.max()) * np.gradient(log_lr)
    cumulative = weight.cumsum() / weight.sum()
    return float(np.interp(0.5, cumulative, log_lr))


def _onset(log_lr: DoubleArray, accuracy: DoubleArray) -> float:
    """Return log10 of the rate at which accuracy leaves its floor, at the earliest the first rate."""
    smooth = _smoothed(accuracy)
    peak = int(smooth.argmax())
    floor = smooth[: peak + 1].min()
    risen = int((smooth[: peak + 1] > (floor + smooth[peak]) / 2).argmax())
    if risen < 3:
        return float(log_lr[0])
    x, y = np.arange(risen + 1.0), accuracy[: risen + 1]
    fits = []
    for onset in x[:-1]:
        distance = (x - onset).clip(0) / (risen - onset)
        design = np.column_stack([np.ones(len(x)), distance, distance**2])
        squares = (y - design @ optimize.nnls(design, y)[0]) ** 2
        fits.append(_log_marginal(squares, 6, _noise(y)))
    return _median(log_lr[:risen], np.array(fits))


def _loss_rules(lr: DoubleArray, losses: DoubleArray) -> dict[str, float | None]:
    """Return what the loss rules suggest, from a smoothing spline over log lr of the mean loss up to a divergence."""
    rules: dict[str, float | None] = {"steepest": None, "valley": None, "minimum_tenth": None}
    points = int(np.logical_and.accumulate(np.isfinite(losses).all(axis=0)).sum())
    if points < _FEWEST_POINTS:
        return rules
    loss = losses[:, :points].mean(axis=0)
    loss = loss.clip(max=1.5 * loss[:3].mean())
    x = np.log10(lr[:points])
    spline = interpolate.make_smoothing_spline(x, loss)
    grid = np.linspace(x[0], x[-1], 500)
    smooth = spline(grid)
    minimum = int(smooth.argmin())
    if minimum == 0:
        return rules
    start = int(smooth[:minimum].argmax())
    steepest = start + int(spline(grid[start : minimum + 1], 1).argmin())
    rules["steepest"] = float(10 ** grid[steepest])
    rules["valley"] = float(10 ** ((grid[start] + grid[minimum]) / 2))
    rules["minimum_tenth"] = float(10 ** grid[minimum] / 10)
    return rules
