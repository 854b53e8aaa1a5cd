"""Curves as plain text, for the terminal and for those who have it read to them."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clrbench.records import DoubleArray

_MARKERS = "*o+x#@%&"
_MAX_LISTED_PEAKS = 6


@dataclass(frozen=True)
class TextAxis:
    """What an axis shows: a quantity with its unit, if any; all its values must be > 0 on a log axis."""

    label: str
    log: bool = False


@dataclass(frozen=True)
class _Scale:
    """An axis from its lowest to its highest value."""

    axis: TextAxis
    low: float
    high: float

    def fraction(self, values: DoubleArray) -> DoubleArray:
        """Return how far along the axis values lie, in 0..1."""
        scaled, low, high = (np.log(v) if self.axis.log else v for v in (values, self.low, self.high))
        return np.asarray((scaled - low) / (high - low), np.float64)

    def value(self, fraction: npt.ArrayLike) -> DoubleArray:
        """Return the values at fractions of the way along the axis."""
        part = np.asarray(fraction, np.float64)
        if self.axis.log:
            return np.asarray(self.low * (self.high / self.low) ** part, np.float64)
        return self.low + (self.high - self.low) * part

    @property
    def title(self) -> str:
        return self.axis.label + (" (log scale)" if self.axis.log else "")

    def ticks(self, fractions: npt.ArrayLike) -> list[str]:
        """Return the values at fractions of the way, as they are written."""
        return [f"{value:.3g}" for value in self.value(fractions)]


def text_curve(
    x: npt.ArrayLike,
    y: Mapping[str, npt.ArrayLike],
    *,
    x_axis: TextAxis,
    y_axis: TextAxis,
    width: int = 72,
    height: int = 12,
) -> str:
    """Draw curves with characters, then say in words where each starts, peaks and ends; ASCII where the names are.

    `x` is float[points], ascending, and `y` has the float[points] of each curve by its name; a curve goes straight over
    entries that are nan. Lines have at most `width` characters (>= 40), but longer words are not broken; the plotting area
    has `height` lines (>= 3).
    """
    curves = {name: _finite_points(x, values) for name, values in y.items()}
    curves = {name: curve for name, curve in curves.items() if len(curve[0])}
    if not curves:
        return f"{y_axis.label}: no values"
    across = _scale(x_axis, [curve[0] for curve in curves.values()])
    up = _scale(y_axis, [curve[1] for curve in curves.values()])
    labelled_rows = np.array([0, height // 2, height - 1])
    labels = dict(zip(labelled_rows, up.ticks(1 - labelled_rows / (height - 1)), strict=True))
    margin = max(map(len, labels.values()))
    markers = {name: _MARKERS[i % len(_MARKERS)] for i, name in enumerate(curves)}
    cells = np.full((height, width - margin - 2), " ")
    for name, curve in curves.items():
        cells[_covered(curve, across, up, cells.shape)] = markers[name]
    lines = [
        up.title,
        *(f"{labels.get(row, ''):>{margin}} |{''.join(line)}".rstrip() for row, line in enumerate(cells)),
        f"{'':{margin}} +{'-' * cells.shape[1]}",
        f"{'':{margin}}  {_spread(across.ticks([0, 0.5, 1]), cells.shape[1])}",
        f"{'':{margin}}  {across.title:^{cells.shape[1]}}".rstrip(),
    ]
    for name, curve in curves.items():
        words = f"{markers[name]} {name}: {_in_words(*curve, x_axis.label)}"
        lines.append(textwrap.fill(words, width, subsequent_indent="  ", break_long_words=False))
    return "\n".join(lines)


def _finite_points(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[DoubleArray, DoubleArray]:
    across, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
    finite = np.isfinite(across) & np.isfinite(up)
    return across[finite], up[finite]


def _scale(axis: TextAxis, values: list[DoubleArray]) -> _Scale:
    """Return the scale that holds all values, with room about a single one."""
    low, high = float(min(map(np.min, values))), float(max(map(np.max, values)))
    room = (abs(low) / 2 or 1.0) if low == high else 0.0
    return _Scale(axis, low - room, high + room)


def _covered(
    curve: tuple[DoubleArray, DoubleArray], across: _Scale, up: _Scale, shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Return bool[height, columns]: the cells through which a curve goes, drawn straight from point to point."""
    height, columns = shape
    edges = across.value(np.arange(columns + 1) / columns)
    inside = edges[(edges > curve[0][0]) & (edges < curve[0][-1])]
    x = np.union1d(curve[0], inside)
    rows = np.rint((1 - up.fraction(np.interp(x, *curve))) * (height - 1))
    position = across.fraction(x) * columns
    covered = np.zeros(shape, np.bool_)
    for column in range(columns):
        # A point on the edge belongs to the columns on both sides, which joins them.
        here = rows[(position >= column - 1e-9) & (position <= column + 1 + 1e-9)].astype(int)
        if len(here):
            covered[here.min() : here.max() + 1, column] = True
    return covered


def _spread(ticks: list[str], width: int) -> str:
    """Return three ticks at the left, the middle and the right of a line."""
    line = f"{ticks[1]:^{width}}"
    return ticks[0] + line[len(ticks[0]) : width - len(ticks[2])] + ticks[2]


def _in_words(x: DoubleArray, y: DoubleArray, x_label: str) -> str:
    def named(index: int) -> str:
        return f"{y[index]:.4g} ({x_label} {x[index]:.4g})"

    if y.min() == y.max():
        return f"{y[0]:.4g} throughout ({x_label} {x[0]:.4g} to {x[-1]:.4g})"
    parts = [f"starts at {named(0)}"]
    peaks = _peaks(y)
    if len(peaks) > _MAX_LISTED_PEAKS:
        parts.append(f"has {len(peaks)} peaks, the highest at {named(max(peaks, key=lambda peak: float(y[peak])))}")
    elif peaks:
        parts.append(f"peaks at {', '.join(map(named, peaks))}")
    lowest = int(y.argmin())
    if y[lowest] < min(y[0], y[-1]):
        parts.append(f"is lowest at {named(lowest)}")
    return ", ".join([*parts, f"ends at {named(-1)}"])


def _peaks(y: DoubleArray) -> list[int]:
    """Return the first index of each value, or run of equal values, with lower ones on both sides."""
    starts = np.flatnonzero(np.diff(y, prepend=np.inf))
    runs = y[starts]
    higher = (runs[1:-1] > runs[:-2]) & (runs[1:-1] > runs[2:])
    return [int(start) for start in starts[1:-1][higher]]
