"""Whether a curve is the mean of all points so far, as progress bars show it, rather than of each point alone."""

from __future__ import annotations

import numpy as np

from clrbench.records import DoubleArray

HORIZONS = (48, 256)
"""So many points from the start are looked at: averages may start anew with each epoch, and epochs be short."""

MIN_POINTS = 40
_STEEPEST_RAW_SLOPE = -0.55
_LEAST_SIGN_CHANGES = 0.4


def looks_like_running_mean(values: DoubleArray) -> bool:
    """Return whether the jitter of a curve shrinks as 1 / k over its first points k, as that of a running mean does.

    The jitter of single mini-batches stays about as large as it is. A smooth curve, whose second differences seldom change
    their sign, has none to tell by.

    Args:
        values: float64[points]; what follows the first value that is not finite is left out.
    """
    finite = np.isfinite(values)
    points = len(values) if finite.all() else int(np.argmin(finite))
    if points < MIN_POINTS:
        return False
    return any(_is_mean(values[: min(points, horizon)]) for horizon in HORIZONS)


def _is_mean(start: DoubleArray) -> bool:
    # The jitter of a raw loss may shrink with the loss, and that of its logarithm then does not.
    scales = [start, np.log(start)] if (start > 0).all() else [start]
    return all(_shrinks(scale) for scale in scales)


def _shrinks(values: DoubleArray) -> bool:
    jitter = np.diff(values, 2)
    if np.mean(np.sign(jitter[1:]) != np.sign(jitter[:-1])) < _LEAST_SIGN_CHANGES:
        return False
    octaves = np.floor(np.log2(np.arange(2, len(jitter) + 2))).astype(int)
    sizes = np.array([np.median(abs(jitter[octaves == octave])) for octave in np.unique(octaves)])
    if not (sizes > 0).all():
        return False
    slope = np.polyfit(np.unique(octaves), np.log2(sizes), 1)[0]
    return bool(slope < _STEEPEST_RAW_SLOPE)
