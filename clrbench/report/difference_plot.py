"""The figure of the paired differences: a dot a seed, the mean and its interval, zero and the margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrbench.analysis.metrics_table import is_accuracy
from clrbench.records import DoubleArray
from clrbench.report import plot_style
from clrbench.report.arm_curves import metric_unit
from clrbench.report.figure_words import seeds_in_words
from clrbench.report.plot_style import arm_colours, house_style

_ROW_INCHES = 0.55
_REST_INCHES = 1.35
_MARGIN_COLOUR = "#ececec"


@house_style
def difference_figure(
    differences: pd.DataFrame,
    comparison: pd.DataFrame,
    arms: Sequence[str],
    metric: str,
    margin: float,
    divergence: str = "",
) -> Figure | None:
    """Draw the paired differences of a metric: a row for each backend, candidate and baseline, the first on top.

    Args:
        differences: The table differences.csv.
        comparison: The table comparison.csv.
        arms: Arms in the order of the spec, which decides their colours.
        metric: Which metric's differences.
        margin: Differences up to this size do not matter, in the unit of the metric; 0 draws no band.
        divergence: How many runs diverged and what they count as, for the caption; empty where none did.

    Returns:
        The figure; None where there is nothing to compare.
    """
    rows = comparison[comparison["metric"] == metric].to_dict("records")
    if not rows:
        return None
    differences = differences[differences["metric"] == metric]
    figure = plot_style.new_figure(_REST_INCHES + _ROW_INCHES * len(rows))
    axes = figure.subplots()
    axes.grid(axis="y", visible=False)
    left, right = _span(differences, comparison[comparison["metric"] == metric], margin)
    if margin > 0:
        axes.axvspan(-margin, margin, color=_MARGIN_COLOUR, linewidth=0, zorder=0, label="_margin")
    axes.axvline(0, color="#777777", linewidth=1, zorder=1)
    axes.set(xlim=(left, right), ylim=(len(rows) - 0.4, -0.6))
    for y, row in enumerate(rows):
        _draw_row(axes, y, row, _dots(differences, row), arm_colours(arms)[row["candidate"]])
    _label_rows(axes, rows)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    better = "above" if is_accuracy(metric) else "below"
    unit = metric_unit(metric)
    name = metric.replace("_", " ")
    axes.set_xlabel(f"{name}: candidate - baseline ({unit}); {better} 0 the candidate is better")
    plot_style.write_caption(figure, [*_captions(differences, rows, margin), divergence])
    return figure


def _dots(differences: pd.DataFrame, row: Mapping[Any, Any]) -> DoubleArray:
    keys = ["backend", "candidate", "baseline"]
    chosen = (differences[keys] == [row[key] for key in keys]).all(axis=1)
    return differences.loc[chosen, "difference"].to_numpy(np.float64)


def _span(differences: pd.DataFrame, comparison: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Return the ends of the axis: all that is finite, zero and some room; the margin where it is not far wider."""
    shown = np.concatenate([differences["difference"], comparison[["ci_low", "ci_high"]].to_numpy().ravel(), [0.0]])
    shown = shown[np.isfinite(shown)]
    if margin <= 2 * np.ptp(shown):
        shown = np.append(shown, [-margin, margin])
    room = 0.08 * float(np.ptp(shown)) or 0.01
    return float(shown.min()) - room, float(shown.max()) + room


def _draw_row(axes: Axes, y: int, row: Mapping[Any, Any], dots: DoubleArray, colour: str) -> None:
    if not len(dots):
        return
    # Multiples of the golden ratio keep dots of equal value apart, the same way every time.
    offsets = (np.arange(len(dots)) * 0.618 % 1 - 0.5) * 0.5
    axes.plot(dots, y + offsets, "o", color=colour, markersize=5, alpha=0.55, markeredgewidth=0, label="_pairs")
    left, right = axes.get_xlim()
    axes.hlines(y, max(row["ci_low"], left), min(row["ci_high"], right), color="black", linewidth=2)
    for bound, at, arrow in ((row["ci_low"], 0.012, "<"), (row["ci_high"], 0.988, ">")):
        if math.isinf(bound):
            axes.plot(at, y, arrow, color="black", markersize=7, transform=axes.get_yaxis_transform(), label="_endless")
    axes.plot(row["mean_difference"], y, "D", color="black", markersize=5.5, label="_mean")


def _label_rows(axes: Axes, rows: Sequence[Mapping[Any, Any]]) -> None:
    """Write to the left of each row what is compared, and to the right what came out."""
    axes.set_yticks(range(len(rows)), [f"{row['candidate']} -\n{row['baseline']}, {row['backend']}" for row in rows])
    axes.tick_params(axis="y", length=0)
    right = axes.twinx()
    right.grid(visible=False)
    right.set_yticks(range(len(rows)), [_outcome(row) for row in rows])
    right.tick_params(axis="y", length=0)
    right.set_ylim(axes.get_ylim())


def _outcome(row: Mapping[Any, Any]) -> str:
    if not row["pairs"]:
        return "no pair of runs"
    interval = (
        f"{row['ci_low']:+.4f} to {row['ci_high']:+.4f}" if math.isfinite(row["ci_low"]) else "interval unbounded"
    )
    counts = f"{row['wins']} won, {row['ties']} tied, {row['losses']} lost"
    return f"{row['mean_difference']:+.4f} ({interval})\n{row['verdict']}; {counts}"


def _captions(differences: pd.DataFrame, rows: Sequence[Mapping[Any, Any]], margin: float) -> list[str]:
    number = {row["pairs"] for row in rows}
    pairs = f"n = {number.pop()}" if len(number) == 1 else f"n = {min(number)} to {max(number)}"
    unbounded = any(math.isinf(row["ci_low"]) for row in rows if row["pairs"])
    seeds = seeds_in_words(differences["seed"])
    return [
        f"dot: one pair of runs ({pairs} a row{seeds and ', '}{seeds})",
        "diamond and bar: mean difference and its interval" + " (arrow: unbounded)" * unbounded,
        f"grey band: differences up to {margin:g} do not matter" if margin else "",
    ]
