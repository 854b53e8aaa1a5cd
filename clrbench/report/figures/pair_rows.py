"""A row of a plot of paired differences: one dot per pair, the interval as a bar, and a diamond at the mean."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes

from clrbench.records import DoubleArray

MAX_DOTS = 100
"""Of a comparison; of more the picture shows no more, and grows."""


class Estimate(Protocol):
    """What a comparison came to: the mean difference and its interval."""

    @property
    def mean_difference(self) -> float:
        """Candidate - baseline."""

    @property
    def ci_low(self) -> float:
        """The lower end of the interval; -inf where it has none."""

    @property
    def ci_high(self) -> float:
        """The upper end; inf where it has none."""


@dataclass(frozen=True, eq=False)
class PairRow:
    """One comparison, and the difference of each of its pairs, float64[pairs]; none where runs are not paired."""

    estimate: Estimate
    differences: DoubleArray

    def draw(self, axes: Axes, y: int, colour: str, *, size: float, alpha: float) -> None:
        """Draw it at height `y`; size is the diameter of a dot in points."""
        dots = shown_dots(self.differences)
        # Multiples of the golden ratio keep dots of equal value apart, the same way every time.
        offsets = (np.arange(len(dots)) * 0.618 % 1 - 0.5) * 0.5
        axes.plot(dots, y + offsets, "o", color=colour, ms=size, alpha=alpha, mew=0, label="_pairs")
        left, right = axes.get_xlim()
        axes.hlines(y, max(self.estimate.ci_low, left), min(self.estimate.ci_high, right), color="black", linewidth=2)
        axes.plot(self.estimate.mean_difference, y, "D", color="black", markersize=5.5, label="_mean")


def shown_dots(differences: DoubleArray) -> DoubleArray:
    """Return the differences of pairs that are drawn as dots; of many, those at equal distances in their order of size."""
    if len(differences) <= MAX_DOTS:
        return differences
    ranks = np.linspace(0, len(differences) - 1, MAX_DOTS).round().astype(np.int64)
    return np.asarray(np.sort(differences)[ranks], np.float64)


def dot_words(pairs: int) -> str:
    """Return what a dot is, for a caption, where no comparison has more pairs than these."""
    return f"dot: one of {MAX_DOTS} pairs at equal ranks" if pairs > MAX_DOTS else "dot: one pair of runs"
