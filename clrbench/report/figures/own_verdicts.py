"""The forest plot of results of somebody's own: one row per comparison, its pairs, its mean and its interval."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrbench.analysis.own_verdicts import OwnJudgement, OwnVerdict
from clrbench.report.figures import style
from clrbench.report.figures.pair_rows import PairRow, dot_words
from clrbench.report.words import level_words

MAX_ROWS = 60
_ROW_INCHES, _REST_INCHES = 0.62, 1.2
_DOT_COLOUR = "#0072B2"
_NAME_CHARACTERS = 30


@style.house_style
def draw_own_verdicts(found: OwnJudgement) -> Figure:
    """Draw a row for each verdict, the first 60 of them."""
    rows, margin = found.verdicts[:MAX_ROWS], found.rules.margin or 0.0
    figure = style.new_figure(_REST_INCHES + _ROW_INCHES * len(rows))
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    if margin > 0:
        axes.axvspan(-margin, margin, color=style.BAND_COLOUR, linewidth=0, zorder=0, label="_margin")
    axes.axvline(0, color="#777777", linewidth=1, zorder=1)
    low, high = _span(found, rows, margin)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6))
    for y, row in enumerate(rows):
        if math.isfinite(row.mean_difference):
            _draw_row(axes, y, row, found)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axes.tick_params(axis="y", length=0)
    right = axes.twinx()
    right.grid(visible=False)
    right.set(ylim=axes.get_ylim())
    right.set_yticks(range(len(rows)), [row.verdict for row in rows])
    right.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    better = "above" if found.results.higher_is_better else "below"
    axes.set_xlabel(f"{_short(found.results.metric)}: candidate - baseline; {better} 0 the candidate is better")
    level = level_words(found.rules.alpha / found.rules.look)
    dots = dot_words(max(row.pairs for row in rows)) if found.results.paired else ""
    style.write_caption(
        figure,
        [dots, f"diamond and bar: mean difference and its {level} interval"],
    )
    return figure


def _draw_row(axes: Axes, y: int, row: OwnVerdict, found: OwnJudgement) -> None:
    same = (found.differences[["group", "candidate"]] == [row.group, row.candidate]).all(axis=1)
    dots = found.differences.loc[same, "difference"].to_numpy(np.float64)
    PairRow(row, dots).draw(axes, y, _DOT_COLOUR, size=5, alpha=0.55)


def _span(found: OwnJudgement, rows: tuple[OwnVerdict, ...], margin: float) -> tuple[float, float]:
    ends = [value for row in rows for value in (row.ci_low, row.ci_high, row.mean_difference)]
    values = np.array([*ends, *found.differences["difference"], 0.0, margin, -margin], np.float64)
    known = values[np.isfinite(values)]
    room = 0.06 * (float(np.ptp(known)) or 1.0)
    return float(known.min()) - room, float(known.max()) + room


def _label(row: OwnVerdict) -> str:
    group = f"{_short(row.group)}\n" if row.group else ""
    return f"{group}{_short(row.candidate)} -\n{_short(row.baseline)}"


def _short(name: str) -> str:
    """Return a name as it is shown: cut, and no mathematics of matplotlib's."""
    cut = name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"
    return cut.replace("$", r"\$")
