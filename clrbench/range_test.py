"""From the curve of an LR range test to suggested bounds, or to a refusal that names its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from clrbench.chance import Floor
from clrbench.curve_fit import Curve, Place, is_noise, noise_of, onset, peak
from clrbench.records import MIN_CURVE_POINTS, Bounds, DoubleArray

MIN_POINTS = MIN_CURVE_POINTS
"""A curve of fewer is refused."""

CONSTANT_SHARE = 3.0
"""Without trainings at them, `constant_lr` is `max_lr` over this; never anything of `base_lr`."""

_CAUTION_DECADES, _LOSS_CAUTION_DECADES = 0.15, 0.3
_MAX_ERROR_DECADES = 0.2
_MAX_BASE_ERROR_DECADES = 0.35
"""Standard errors of the median over the seeds, past which there is none."""
_ODD_DECADES = 0.5
_HIGHEST_SHARE = 1.1
"""A `max_lr` that is that of the highest seed, and more than so much times the second highest one's, is one seed's word."""
_LEARNS_SHARE = 1 / 3
_DIVERGED_AT_ONCE = 2
_LEVEL_POINTS = 5
_CLEAR_FALL = 9.0
"""Standard errors of the running mean of the loss by which its deepest fall must exceed noise."""

# What stands before the colon is stable.
FLAT = "flat: accuracy never rises clearly above chance; raise end_lr, or check the labels if that does not help"
STARTS_DIVERGED = "starts diverged: the first rates are already too high; lower start_lr"
NEVER_STOPS = "never stops rising: accuracy still rises at the last rate; raise end_lr"
SEEDS_DISAGREE = "seeds disagree: their bounds lie too far apart; use a longer range test or more seeds"
TOO_FEW_POINTS = f"too few points: at least {MIN_POINTS} are needed; use more steps"
NAN_FROM_START = (
    "nan from the start: no finite loss at the first update, before any step was taken; check the data and the "
    "initial weights"
)
LOSS_TOO_HIGH = (
    "loss too high from the start: the loss of update 1 is {loss:.4g}, before any step was taken; scale the inputs, or "
    "look at the initial weights"
)

BEFORE_FIRST = "base_lr is not known: accuracy already rises at the first rate tested"
BASE_IN_DOUBT = "base_lr is not known: the seeds put it {decades:.1f} decades apart"
ONLY_FALLS = (
    "accuracy is level until max_lr and falls from there: it is an upper bound, and nothing was learned below it"
)
LOSS_ONLY = "read off the loss alone, without accuracy"
ODD_SEED = "seed {seed} puts max_lr at {lr:.3g}, far from the others"
AS_HIGHEST_SEED = "max_lr rests on the highest seed alone; the others stop lower"
NO_ANSWER_ALONE = "seed {seed} shows no bounds alone"


@dataclass(frozen=True)
class _Answer:
    base: Place | None = None  # both are also there when accuracy never stops rising
    peak: Place | None = None
    reason: str | None = None
    rise: float = 0.0
    caveats: tuple[str, ...] = ()
    caution_decades: float = _CAUTION_DECADES

    @property
    def base_lr(self) -> float | None:
        """The rate of the onset; None if the curve is refused, or does not show it."""
        return None if self.base is None or self.reason else float(10**self.base.median)

    @property
    def max_lr(self) -> float | None:
        """The rate of the peak, near its lower end where its range is wide; None if the curve is refused."""
        return None if self.peak is None or self.reason else float(10**self.max_place)

    @property
    def max_place(self) -> float:
        """Likewise in log10 lr, also of a curve that never stops rising; nan without a peak."""
        # Too high a rate costs more than too low a one.
        return math.nan if self.peak is None else min(self.peak.median, self.peak.low + self.caution_decades)


def suggest_bounds(
    lr: npt.ArrayLike,
    loss: npt.ArrayLike,
    accuracy: npt.ArrayLike | None = None,
    *,
    floor: Floor | None = None,
    seeds: npt.ArrayLike | None = None,
) -> Bounds:
    """Suggest base_lr and max_lr from the curve of an LR range test, or refuse.

    The bounds come from the accuracy averaged over the seeds, and are also found for each seed's own curve. A seed that
    diverges (nan or inf) counts from there on with the lowest accuracy it had.

    Args:
        lr: float[points], ascending, > 0; the rate at each point of a linear or exponential ramp; nan is allowed where
            all seeds have diverged.
        loss: float[points] or float[seeds, points]; nan or inf from where a seed diverged.
        accuracy: As `loss`, fractions; of validation rows, or of raw mini-batches. Without it the loss alone is read.
        floor: What guessing reaches on the validation rows; without it the lowest accuracy of the curve stands for that.
        seeds: int[seeds], their names in caveats; 0, 1, ... without it.

    Returns:
        The bounds, or None and the reason, with the evidence. Seeds disagree where the standard error of the median of
        their own `max_lr` exceeds 0.2 decades, or where half of them do not learn; the same of `base_lr` alone (0.35
        decades) withholds that alone. More seeds make either less likely.

    Raises:
        ValueError: If the shapes do not fit, `seeds` among them, or the rates do not ascend from above 0.

    Source: Smith 2017, section 3.3, arXiv:1506.01186.
    """
    lr = np.asarray(lr, np.float64)
    losses = np.atleast_2d(np.asarray(loss, np.float64))
    accuracies = losses * np.nan if accuracy is None else np.atleast_2d(np.asarray(accuracy, np.float64))
    if losses.ndim != 2 or losses.shape != accuracies.shape or accuracies.shape[1:] != lr.shape:
        raise ValueError(
            f"lr {lr.shape}, loss {losses.shape}, accuracy {accuracies.shape}: need [points], [seeds, points]"
        )
    names = _names(seeds, len(losses))
    loss_only = bool(np.isfinite(losses).any() and not np.isfinite(accuracies).any())
    if loss_only and len(lr) >= MIN_POINTS > (points := int(np.isfinite(losses).any(axis=0).sum())):
        nothing = (None,) * len(losses)
        return Bounds(None, None, _cause(losses, points), None, len(losses), nothing, nothing, _loss_rules(lr, losses))
    if loss_only:
        lr, losses, accuracies, floor = *_as_accuracy(lr, losses), None
    known = lr[(np.isfinite(losses) & np.isfinite(accuracies)).any(axis=0)]
    if not ((known > 0).all() and (np.diff(known) >= 0).all()):
        raise ValueError("lr: need rates above 0 in ascending order; leave out points at 0, and sort all three by lr")

    def read(rows: list[int]) -> _Answer:
        found = _answer(lr, losses[rows], accuracies[rows], floor)
        # A loss is seldom ragged before it diverges, and its minimum is easier to place.
        return replace(found, caution_decades=_LOSS_CAUTION_DECADES if loss_only else _CAUTION_DECADES)

    answer = read(list(range(len(losses))))
    alone = [answer]
    if len(losses) > 1:
        alone = [read([i]) for i in range(len(losses))]
        answer = _weighed(answer, alone, names)
    borne_out = [seed.max_lr for seed in alone if seed.max_lr is not None]
    max_lr = answer.max_lr
    if max_lr is not None and borne_out:
        # One seed that diverges early cuts a cliff into the mean curve; no rate beyond what single seeds bear out.
        max_lr = float(np.clip(max_lr, min(borne_out), max(borne_out)))
        if len(borne_out) > 1 and max_lr > _HIGHEST_SHARE * sorted(borne_out)[-2] and max_lr >= max(borne_out):
            answer = replace(answer, caveats=(*answer.caveats, AS_HIGHEST_SEED))
    base_lr = answer.base_lr if max_lr is None or answer.base_lr is None or answer.base_lr < max_lr else None
    return Bounds(
        base_lr,
        max_lr,
        answer.reason,
        constant_lr=None if max_lr is None else max_lr / CONSTANT_SHARE,
        seeds=len(alone),
        seed_base_lr=tuple(seed.base_lr for seed in alone),
        seed_max_lr=tuple(seed.max_lr for seed in alone),
        loss_rules=_loss_rules(lr, losses),
        caveats=(*((LOSS_ONLY,) if loss_only else ()), *answer.caveats),
    )


def _names(seeds: npt.ArrayLike | None, number: int) -> list[int]:
    """Return what so many seeds are called in caveats."""
    if seeds is None:
        return list(range(number))
    named = np.asarray(seeds)
    if named.shape != (number,):
        raise ValueError(f"seeds {named.shape}: need [seeds], here ({number},); leave them out to be called 0, 1, ...")
    return cast(list[int], named.tolist())


def _weighed(answer: _Answer, alone: list[_Answer], names: list[int]) -> _Answer:
    """Return the answer of the mean curve as far as the seeds bear it out, the odd ones named."""
    if answer.peak is None:
        return answer
    learning = [seed for seed in alone if seed.rise > _LEARNS_SHARE * answer.rise]
    if 2 * len(learning) <= len(alone):
        return replace(answer, reason=answer.reason or SEEDS_DISAGREE)
    peaks = np.array([seed.max_place for seed in alone])
    caveats = list(answer.caveats)
    spread = _error(peaks)
    if spread > _MAX_ERROR_DECADES and answer.reason is None:
        ends = f"{10 ** np.nanmin(peaks):.3g} to {10 ** np.nanmax(peaks):.3g}"
        return replace(answer, reason=f"{SEEDS_DISAGREE} (max_lr {ends})")
    middle = np.nanmedian(peaks) if np.isfinite(peaks).any() else np.nan
    for name, seed, place in zip(names, alone, peaks, strict=True):
        if seed.peak is None:
            caveats.append(NO_ANSWER_ALONE.format(seed=name))
        elif abs(place - middle) > _ODD_DECADES:
            caveats.append(ODD_SEED.format(seed=name, lr=10**place))
    onsets = np.array([np.nan if seed.base is None else seed.base.median for seed in alone])
    if answer.base is not None and _error(onsets) > _MAX_BASE_ERROR_DECADES:
        caveats.append(BASE_IN_DOUBT.format(decades=np.nanmax(onsets) - np.nanmin(onsets)))
        answer = replace(answer, base=None)
    return replace(answer, caveats=tuple(caveats))


def _error(places: DoubleArray) -> float:
    """Return the standard error of the median of these places; 0 where fewer than two are known."""
    known = places[np.isfinite(places)]
    if len(known) < 2:
        return 0.0
    # Of two the deviation is hardly known, and the median of many is not moved by one of them.
    deviation = known.std(ddof=1) if len(known) < 4 else 1.4826 * np.median(abs(known - np.median(known)))
    return float(1.25 * deviation / math.sqrt(len(known)))


def _answer(lr: DoubleArray, losses: DoubleArray, accuracies: DoubleArray, floor: Floor | None) -> _Answer:
    """Return the bounds of the mean curve of these seeds."""
    alive = np.logical_and.accumulate(np.isfinite(losses) & np.isfinite(accuracies), axis=1)
    points = int(alive.any(axis=0).sum())
    if len(lr) < MIN_POINTS:
        return _Answer(reason=TOO_FEW_POINTS)
    if points < MIN_POINTS:
        return _Answer(reason=_cause(losses, points))
    lowest = np.where(alive, accuracies, np.inf).min(axis=1, keepdims=True)
    lowest[np.isinf(lowest)] = lowest.min()
    mean = np.where(alive, accuracies, lowest).mean(axis=0)[:points]
    log_lr = np.log10(lr[:points])
    if points < len(lr):
        # A few points past the end make divergence a fall like any other; no rate need be known there.
        past = np.arange(1, max(3, points // 20) + 1)
        mean = np.append(mean, np.full(len(past), lowest.mean()))
        log_lr = np.append(log_lr, log_lr[-1] + past * (log_lr[-1] - log_lr[-2]))
    curve = Curve(log_lr, mean)
    top = float(curve.smooth[curve.top])
    if floor is not None and floor.rows and not floor.clears(top, looks=len(curve.smooth)):
        return _Answer(reason=FLAT)
    # Six standard errors: the range of the running mean of pure noise.
    clear = max(0.02, 6 * curve.noise / math.sqrt(curve.window))
    if curve.rise < clear or is_noise(curve.accuracy) or curve.top < 2:
        return _no_rise(curve, clear, float(np.median(losses[alive])), floor)
    place, stops = peak(curve)
    base = onset(curve)
    if base.median <= curve.log_lr[0]:
        return _Answer(None, place, None if stops else NEVER_STOPS, curve.rise, (BEFORE_FIRST,))
    return _Answer(base, place, None if stops else NEVER_STOPS, curve.rise)


def _cause(losses: DoubleArray, points: int) -> str:
    """Return why there are hardly any points: the loss of update 1 tells nothing of the rate."""
    first = losses[:, 0]
    if not np.isfinite(first).any():
        return NAN_FROM_START
    return LOSS_TOO_HIGH.format(loss=np.nanmedian(first)) if points < _DIVERGED_AT_ONCE else STARTS_DIVERGED


def _no_rise(curve: Curve, clear: float, loss: float, floor: Floor | None) -> _Answer:
    """Return why a curve that does not rise has no answer, or that it has one: what a trained network can bear."""
    high, low = float(curve.smooth[: curve.top + 1].max()), float(curve.smooth[curve.top :].min())
    falls = high - low > clear
    level = np.flatnonzero(curve.smooth < high - max(0.05 * (high - low), 3 * curve.noise / math.sqrt(curve.window)))
    begins = curve.log_lr[0]
    until = int(level[level > curve.top].min(initial=len(curve.smooth))) - 1
    if falls and curve.log_lr[until] - begins > 0.3 and until >= _LEVEL_POINTS and until < len(curve.smooth) - 1:
        known = float(curve.log_lr[until])
        return _Answer(None, Place(known, known, known), None, high - low, (ONLY_FALLS,))
    # -log(accuracy) is about the loss of guessing.
    guess = curve.floor if floor is None else floor.accuracy
    guessing = -math.log(float(np.clip(guess, 1e-3, 0.9)))
    return _Answer(reason=STARTS_DIVERGED if falls or loss > 2 * guessing else FLAT)


def _as_accuracy(lr: DoubleArray, losses: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Return rates and losses from where the mean loss begins its deepest fall, and in place of accuracy how far it fell.

    What lies before is a start-up transient of a smoothed loss, whose first points are lower than any that training reaches.
    """
    points = max(int(np.logical_and.accumulate(np.isfinite(losses).all(axis=0)).sum()), 1)
    mean = losses[:, :points].mean(axis=0)
    scale = np.log(np.clip(mean, 1e-9, None)) if (mean > 0).all() else mean
    from scipy import ndimage

    smooth = ndimage.uniform_filter1d(scale, max(3, points // 20 | 1), mode="nearest")
    highest = np.maximum.accumulate(smooth)
    low = int((highest - smooth).argmax())
    start = int(smooth[: low + 1].argmax())
    every = np.log(np.clip(losses, 1e-9, None)) if (mean > 0).all() else losses
    fallen = (smooth[start] - every) / max(smooth[start] - smooth[low], 1e-9)
    # The deepest fall of pure noise is none.
    clear = smooth[start] - smooth[low] > _CLEAR_FALL * noise_of(scale) / math.sqrt(max(3, points // 20 | 1))
    return lr[start:], losses[:, start:], (fallen[:, start:] * clear).clip(0, 1.2)


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
    from scipy import ndimage

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
