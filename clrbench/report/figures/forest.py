"""The forest plot of the page: a row for each arm and backend, its difference to the baseline and the interval."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrbench.analysis.comparison import Comparison
from clrbench.analysis.glance import Glance
from clrbench.analysis.metrics import is_accuracy
from clrbench.analysis.tables import Findings
from clrbench.report.details import interval_words
from clrbench.report.figures import style
from clrbench.report.figures.differences import PrimaryDifferences
from clrbench.report.figures.plot import sentences
from clrbench.report.values import verdict_values

_WIDTH_INCHES = 5.6
_ROW_INCHES = 0.27
_REST_INCHES = 0.75


@style.house_style
def draw_forest(answer: Glance, findings: Findings) -> Figure | None:
    """Draw one dot per pair, a bar for the interval and a diamond for the mean; None where nothing is compared."""
    rows = forest_rows(answer)
    if not rows:
        return None
    metric, margin = answer.spec.verdict.metric, answer.spec.verdict.margin or 0.0
    primary = PrimaryDifferences.of(findings).only(rows)
    figure = Figure(figsize=(_WIDTH_INCHES, _REST_INCHES + _ROW_INCHES * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    if margin > 0:
        axes.axvspan(-margin, margin, color=style.BAND_COLOUR, linewidth=0, zorder=0)
    axes.axvline(0, color="#777777", linewidth=1, zorder=1)
    axes.set(xlim=primary.span(margin), ylim=(len(rows) - 0.4, -0.6))
    for y, row in enumerate(rows):
        primary.draw_row(axes, y, style.arm_colours(findings.arms)[row.candidate], size=3.5, alpha=0.55)
    several = len({row.baseline for row in rows}) > 1
    labels = [_label(row, baseline=several, backend=len(answer.backends) > 1) for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    values = verdict_values(answer)
    scale = 100 if is_accuracy(metric) else 1
    axes.xaxis.set_major_formatter(lambda value, _: f"{np.round(scale * value, 6):+g}" if value else "0")
    better = "right" if answer.spec.higher_is_better(metric) else "left"
    whose = "its" if several else "the"
    # In the middle of a plot beside long names it would stand out over the edge.
    axes.set_xlabel(f"difference in {values.difference_heading}; {better} of 0 beats {whose} baseline", loc="right")
    return figure


def _label(row: Comparison, *, baseline: bool, backend: bool) -> str:
    arms = f"{row.candidate} - {row.baseline}" if baseline else row.candidate
    return f"{arms}, {row.backend}" if backend else arms


def forest_rows(answer: Glance) -> list[Comparison]:
    """Return the comparisons that the tables of the answer show, and that have a pair."""
    found = [one.comparison for backend in answer.backends for one in backend.standings]
    return [row for row in found if row is not None and row.pairs]


def forest_alt(answer: Glance) -> str:
    """Return the forest plot in words."""
    return sentences(_clauses(answer))


def _clauses(answer: Glance) -> Iterator[str]:
    values = verdict_values(answer)
    for row in forest_rows(answer):
        ends = interval_words(row.ci_low, row.ci_high, values)
        start = f"{row.candidate} - {row.baseline} ({row.backend})"
        yield f"{start}: {values.difference(row.mean_difference)} {values.unit}, interval {ends}; {row.verdict}"
