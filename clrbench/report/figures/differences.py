"""The figure of the paired differences: one dot per seed, the mean and its interval, zero and the margin."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrbench.analysis.comparison import Comparison, read_rows
from clrbench.analysis.pairs import Contest
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.records import DoubleArray
from clrbench.report import words
from clrbench.report.figures import style
from clrbench.report.figures.pair_rows import PairRow, dot_words
from clrbench.report.figures.plot import Plot, sentences

_ROW_INCHES = 0.55
_REST_INCHES = 1.35
_SEEN = 0.005
"""Part of the axis from which on a margin is more than the line at zero."""


@dataclass(frozen=True)
class PrimaryDifferences:
    """The rows of comparison.csv and of differences.csv in the metric of the verdict."""

    rows: list[Comparison]
    pairs: pd.DataFrame
    evidence: pd.DataFrame

    @classmethod
    def of(cls, findings: Findings) -> Self:
        """Return the comparisons and pairs of an experiment."""
        comparison, differences = (findings.tables[name] for name in ("comparison", "differences"))
        metric = findings.spec.verdict.metric
        rows = read_rows(Comparison, comparison[comparison["metric"] == metric])
        return cls(rows, differences[differences["metric"] == metric], findings.tables["evidence"])

    def is_paired(self, row: Comparison) -> bool:
        """Return whether the runs of a comparison are pairs; those of a script may be two samples."""
        return "paired" not in self.evidence or bool(_rows_of(row, self.evidence)["paired"].all())

    def only(self, rows: Sequence[Comparison]) -> Self:
        """Return some of the rows, with their pairs."""
        keys = {row.contest for row in rows}
        kept = [key in keys for key in zip(*(self.pairs[name] for name in Contest._fields), strict=True)]
        return type(self)(list(rows), self.pairs[kept], self.evidence)

    @property
    def interval_words(self) -> str:
        """What the bars are, such as `its 95 % interval`; a later look has wider ones."""
        return f"its {words.level_words(self.evidence['alpha'].min())} interval"

    @property
    def adjusted_words(self) -> str:
        """Why a verdict may say less than its interval, for a caption; empty where each stands alone."""
        number = self.evidence["comparisons"].max()
        return f"verdicts: Holm-adjusted over {counted(number, 'comparison')}, intervals are not" if number > 1 else ""

    def dots(self, row: Comparison) -> DoubleArray:
        """Return the difference of each pair of a comparison, float64[pairs]."""
        return _rows_of(row, self.pairs)["difference"].to_numpy(np.float64)

    def span(self, margin: float) -> tuple[float, float]:
        """Return the ends of an axis: all that is finite, zero and some room; the margin where it is not far wider."""
        ends = [end for row in self.rows for end in (row.ci_low, row.ci_high)]
        shown = np.concatenate([self.pairs["difference"], ends, [0.0]])
        shown = shown[np.isfinite(shown)]
        if margin <= 2 * np.ptp(shown):
            shown = np.append(shown, [-margin, margin])
        room = 0.08 * float(np.ptp(shown)) or 0.01
        return float(shown.min()) - room, float(shown.max()) + room

    def draw_row(self, axes: Axes, y: int, colour: str, *, size: float, alpha: float) -> None:
        """Draw comparison `y`: one dot per pair (diameter in points), the interval as a bar, and a diamond at the mean."""
        row = self.rows[y]
        PairRow(row, self.dots(row)).draw(axes, y, colour, size=size, alpha=alpha)


def _rows_of(row: Comparison, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that belong to a comparison."""
    return table[(table[list(Contest._fields)] == list(row.contest)).all(axis=1)]


@style.house_style
def draw_differences(findings: Findings) -> Figure | None:
    """Draw a row of paired differences for each backend, candidate and baseline; None where nothing is compared."""
    primary, verdict = PrimaryDifferences.of(findings), findings.spec.verdict
    metric, margin = verdict.metric, verdict.margin or 0.0
    if not primary.rows:
        return None
    figure = style.new_figure(_REST_INCHES + _ROW_INCHES * len(primary.rows))
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    if margin > 0:
        axes.axvspan(-margin, margin, color=style.BAND_COLOUR, linewidth=0, zorder=0, label="_margin")
    axes.axvline(0, color="#777777", linewidth=1, zorder=1)
    axes.set(xlim=primary.span(margin), ylim=(len(primary.rows) - 0.4, -0.6))
    for y, row in enumerate(primary.rows):
        if row.pairs:
            primary.draw_row(axes, y, style.arm_colours(findings.arms)[row.candidate], size=5, alpha=0.55)
            _draw_arrows(axes, y, row)
    _label_rows(axes, primary)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    better = "above" if findings.spec.higher_is_better(metric) else "below"
    own = findings.spec.train is not None
    difference = f"{words.plain(metric)}: candidate - baseline{words.unit_label(metric, own=own)}"
    axes.set_xlabel(f"{difference}; {better} 0 the candidate is better")
    diverged = words.divergence_caption(findings.tables["summary"], words.divergence_rule(metric, own=own))
    style.write_caption(figure, [*_captions(primary, margin), diverged])
    return figure


def difference_clauses(findings: Findings) -> Iterator[str]:
    """Yield what each comparison in the metric of the verdict came to."""
    for row in PrimaryDifferences.of(findings).rows:
        start, said = f"{row.candidate} - {row.baseline} ({row.backend})", words.comparison_words(row)
        if row.pairs:
            yield f"{start}: mean {said.difference}, interval {said.ends}, {said.pairs}: {said.counts}; {row.verdict}"
        else:
            yield f"{start}: no pair of runs"


def _margin_clauses(findings: Findings) -> Iterator[str]:
    margin = findings.spec.verdict.margin
    if margin and PrimaryDifferences.of(findings).rows:
        yield f"Differences between {-margin:g} and {margin:+g} do not matter"


def _draw_arrows(axes: Axes, y: int, row: Comparison) -> None:
    """Draw an arrow at each end of an interval that has none."""
    for bound, at, arrow in ((row.ci_low, 0.012, "<"), (row.ci_high, 0.988, ">")):
        if math.isinf(bound):
            axes.plot(at, y, arrow, color="black", markersize=7, transform=axes.get_yaxis_transform(), label="_endless")


def _label_rows(axes: Axes, primary: PrimaryDifferences) -> None:
    """Write to the left of each row what is compared, and to the right what came out."""
    rows = primary.rows
    axes.set_yticks(range(len(rows)), [f"{row.candidate} -\n{row.baseline}, {row.backend}" for row in rows])
    axes.tick_params(axis="y", length=0)
    right = axes.twinx()
    right.grid(visible=False)
    right.set_yticks(range(len(rows)), [_outcome(row, paired=primary.is_paired(row)) for row in rows])
    right.tick_params(axis="y", length=0)
    right.set_ylim(axes.get_ylim())


def _outcome(row: Comparison, *, paired: bool) -> str:
    if not row.pairs:
        return "no pair of runs"
    said = words.comparison_words(row)
    ends = said.ends if math.isfinite(row.ci_low) else f"interval {said.ends}"
    return f"{said.difference} ({ends})\n{row.verdict}; {said.counts if paired else 'not paired'}"


def _captions(primary: PrimaryDifferences, margin: float) -> list[str]:
    low, high = primary.span(margin)
    number = {row.pairs for row in primary.rows}
    pairs = f"n = {min(number)}" if len(number) == 1 else f"n = {min(number)} to {max(number)}"
    unbounded = any(math.isinf(row.ci_low) for row in primary.rows if row.pairs)
    seeds = words.seeds_words(primary.pairs["seed"])
    return [
        f"{dot_words(max(number, default=0))} ({pairs} a row{seeds and ', '}{seeds})",
        f"diamond and bar: mean difference and {primary.interval_words}" + " (arrow: unbounded)" * unbounded,
        primary.adjusted_words,
        f"grey band: differences up to {margin:g} do not matter" if margin >= _SEEN * (high - low) else "",
    ]


DIFFERENCES = Plot(
    name="differences",
    draw=draw_differences,
    caption=lambda findings: (
        f"Paired differences in {words.plain(findings.spec.verdict.metric)}: one dot per seed, the mean, its "
        f"{words.level_words(findings.tables['evidence']['alpha'].min())} interval, and the margin"
    ),
    alt=lambda findings: sentences([*difference_clauses(findings), *_margin_clauses(findings)]),
    on_page=False,
)
