"""What the figures of a metric over the epochs share: its lines, its axis, its legend and its caption."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from clrbench.analysis.curves import ArmCurve
from clrbench.analysis.metrics import is_accuracy
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.records import DoubleArray
from clrbench.report.figures import style
from clrbench.report.words import divergence_caption, divergences, listed_seeds
from clrbench.spec.names import own_metric_is_higher

MAX_FAINT_LINES = 50
"""Runs of an arm that are drawn one by one; of more the picture shows no more, and grows."""
_LOG_LOSS_DECADES = 1.0
_SETTLED_FRACTION = 0.25
_CUT_ACCURACY = 0.5
_CUT_LOSS = 0.25
_WAY_UP = 10.0
"""How many times the loss of the untrained network stays in sight where runs diverged."""


def by_backend(curves: Sequence[ArmCurve]) -> dict[str, list[ArmCurve]]:
    """Return the curves of each backend, in their order."""
    found: dict[str, list[ArmCurve]] = {}
    for curve in curves:
        found.setdefault(curve.backend, []).append(curve)
    return found


def draw_mean(axes: Axes, curve: ArmCurve, arms: Sequence[str], line_style: style.LineStyle | None = None) -> None:
    """Draw the mean line of an arm, labelled with its name, and its band; a line style replaces the arm's own."""
    colour = style.arm_colours(arms)[curve.arm]
    axes.fill_between(curve.epochs, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    line = style.draw_line(axes, curve.epochs, curve.mean, curve.arm, arms, line_style)
    line.set_marker("o" if np.isfinite(curve.mean).sum() == 1 else "")


def last_epoch(findings: Findings) -> float:
    """Return where the axis of every metric ends: at the last evaluation of any arm."""
    return max(float(curve.epochs.max()) for drawn in findings.curves.values() for curve in drawn)


def draw_seeds(axes: Axes, curve: ArmCurve, arms: Sequence[str]) -> None:
    """Draw runs of an arm as faint lines, the first of many, with a cross where a run that diverged ends."""
    colour = style.arm_colours(arms)[curve.arm]
    if len(curve.seeds) > 1:
        lines = [np.column_stack([curve.epochs, values]) for values in curve.values.T[:MAX_FAINT_LINES]]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.6, alpha=0.35, zorder=1.5, label="_seed"))
    ends = [np.flatnonzero(np.isfinite(values))[-1:] for values in curve.values.T[curve.diverged]]
    places = [
        (curve.epochs[last[0]], values[last[0]])
        for last, values in zip(ends, curve.values.T[curve.diverged], strict=True)
        if len(last)
    ]
    if places:
        x, y = zip(*places[:MAX_FAINT_LINES], strict=True)
        axes.plot(x, y, "X", color=colour, ms=8, mec="white", label="_diverged")


def has_crosses(panels: Sequence[Axes]) -> bool:
    """Return whether a cross of `draw_seeds` is in sight: a loss that diverged may have left at the top."""
    lines = [(axes.get_ylim(), line) for axes in panels for line in axes.get_lines() if line.get_label() == "_diverged"]
    heights = [(low, high, np.asarray(line.get_ydata(), np.float64)) for (low, high), line in lines]
    return any(((low <= height) & (height <= high)).any() for low, high, height in heights)


def draw_published(axes: Axes, rows: pd.DataFrame, arms: Sequence[str]) -> None:
    """Draw a dashed line for each value published for an arm, the lowest labelled below it and the others above.

    A label stands on white, as curves and other lines may pass there.
    """
    for rank, (arm, value) in enumerate(sorted(zip(rows["arm"], rows["value"], strict=True), key=lambda row: row[1])):
        colour = style.arm_colours(arms)[arm]
        axes.axhline(value, color=colour, linewidth=1.1, linestyle=(0, (5, 3)), label="_published")
        below = rank == 0 and len(rows) > 1
        axes.annotate(
            f"published {value:.4g}",
            (0, value),
            xycoords=("axes fraction", "data"),
            xytext=(4, -2 if below else 2),
            textcoords="offset points",
            va="top" if below else "bottom",
            color=colour,
            fontsize=8,
            bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 0.8},
            zorder=3,
        )


def scale_values(axes: Axes, curves: Sequence[ArmCurve], metric: str, published: DoubleArray) -> None:
    """Scale the y axis to the settled values and the best ones of all; losses over more than a decade get a log axis.

    The bad end (low accuracy, high loss) is cut only where that leaves less than half the range of an accuracy or a
    quarter of that of a loss, so that the first epochs do not flatten the rest. Published values stay in sight. Of a loss
    that diverges the way up is shown, to ten times that of the untrained network.
    """
    if own_metric_is_higher(metric) is None:  # nobody knows its range
        return
    is_loss = not is_accuracy(metric)
    values = np.concatenate([curve.values.ravel() for curve in curves])
    log = is_loss and style.decades(values) > _LOG_LOSS_DECADES
    sign = -1.0 if is_loss else 1.0

    def goodness(parts: list[DoubleArray]) -> DoubleArray:
        array = np.concatenate([part.ravel() for part in parts])
        array = array[np.isfinite(array) & (array > (0 if log else -np.inf))]
        # The band may leave the fractions that an accuracy can be.
        better = -np.log10(array) if log else -array if is_loss else array.clip(0, 1)
        return np.asarray(better, np.float64)

    everything = goodness([_drawn(curve) for curve in curves] + [published])
    if not len(everything):
        return
    way_up = goodness([_way_up(curves) if is_loss else np.empty(0)])
    best, worst = everything.max(), max([everything.min(), *way_up])
    late = goodness([_settled(curve) for curve in curves])
    settled = min([*(np.quantile(late, [0.01]) if len(late) else late), *goodness([published])], default=worst)
    if not len(way_up) and best - settled < (_CUT_LOSS if is_loss else _CUT_ACCURACY) * (best - worst):
        worst = settled
    margin = 0.04 * (best - worst) or 0.01 * max(1.0, abs(best))
    low, high = sorted(sign * np.array([best + margin, worst - margin]))
    if log:
        style.log_scale(axes, "y", high - low)
        low, high = 10.0**low, 10.0**high
    axes.set_ylim(low if (values < 0).any() else max(low, 0.0), high)
    if is_loss:
        axes.set_ylim(top=_rounded(high, np.ceil))
    else:
        axes.set_ylim(bottom=_rounded(axes.get_ylim()[0], np.floor))


def outside_words(axes: Axes, values: DoubleArray, of: str, metric: str) -> str:
    """Return what to say in a caption about drawn values outside the axis; empty where all are in sight.

    Args:
        axes: A panel, scaled.
        values: What is drawn of all panels, nan where there is nothing.
        of: What one of them is, such as `value`.
        metric: Column name of the metric.
    """
    low, high = axes.get_ylim()
    outside = int(((values < low) | (values > high)).sum())
    edge = f"below {low:g}" if is_accuracy(metric) else f"above {high:g}"
    return f"not shown: {outside} of {counted(np.isfinite(values).sum(), of)}, {edge}" if outside else ""


def band_words(axes: Axes, curves: Sequence[ArmCurve]) -> str:
    """Return what a band is that reaches the lower edge of a logarithmic axis; empty where none does."""
    below = axes.get_yscale() == "log" and any((curve.low <= 0).any() for curve in curves)
    return "a band down to the edge ends below 0" if below else ""


def _rounded(value: float, to: np.ufunc) -> float:
    """Return a number rounded down or up (np.floor, np.ceil) to three digits, so that a caption can name it as it is."""
    if value == 0:
        return value
    digits = 2 - int(np.floor(np.log10(abs(value))))
    return float(np.round(to(value * 10.0**digits) / 10.0**digits, digits))


def arm_handles(counts: pd.DataFrame, arms: Sequence[str]) -> list[Line2D]:
    """Return a legend entry for each arm that has rows in a table of backend, arm and number of runs."""
    handles = []
    for arm, rows in ((arm, counts[counts["arm"] == arm]) for arm in arms):
        number = ", ".join(f"{n} {backend}" for backend, n in zip(rows["backend"], rows["runs"], strict=True))
        if rows["runs"].nunique() == 1:
            number = str(rows["runs"].iloc[0])
        if number:
            handles.append(arm_handle(arm, arms, f"{arm} (n = {number})"))
    return handles


def arm_handle(arm: str, arms: Sequence[str], label: str) -> Line2D:
    """Return the legend entry of an arm, under a label that names it."""
    colour, line_style = style.arm_colours(arms)[arm], style.arm_line_styles(arms)[arm]
    return Line2D([], [], color=colour, linewidth=2.2, linestyle=line_style, label=label)


def line_caption(curves: Sequence[ArmCurve], *, with_seeds: bool) -> str:
    """Return what line, band and faint lines are, and over which seeds."""
    many = any(len(curve.seeds) > MAX_FAINT_LINES for curve in curves)
    faint = (f", faint: the first {MAX_FAINT_LINES} seeds" if many else ", faint: single seeds") if with_seeds else ""
    all_seeds = {curve.seeds for curve in curves}
    if len(all_seeds) > 1:
        return "line: mean over the n seeds, band: 95 % interval of the mean" + faint
    seeds = next(iter(all_seeds))
    if len(seeds) == 1:
        return f"line: the only seed ({seeds[0]})"
    return (
        f"line: mean of {counted(len(seeds), 'seed')} ({listed_seeds(seeds)}), band: 95 % interval of the mean{faint}"
    )


def divergence_note(summary: pd.DataFrame) -> str:
    """Return which runs diverged, and that the mean line goes on without them where any is left; empty where none did."""
    some_left = any(not divergence.of_all for divergence in divergences(summary))
    return divergence_caption(summary, "the mean goes on without them" if some_left else "")


def _drawn(curve: ArmCurve) -> DoubleArray:
    """Return everything that a figure shows of a curve, float64[rows, seeds + 3]."""
    return np.column_stack([curve.values, curve.mean, curve.low, curve.high])


def _way_up(curves: Sequence[ArmCurve]) -> DoubleArray:
    """Return what a loss that diverges is shown to: one value where a run diverged and the untrained loss is known, or none."""
    starts = [curve.mean[0] for curve in curves if curve.epochs[0] == 0 and np.isfinite(curve.mean[0])]
    return _WAY_UP * np.array(starts[:1] if any(curve.diverged.any() for curve in curves) else [], np.float64)


def _settled(curve: ArmCurve) -> DoubleArray:
    """Return the part of that after the first quarter of the epochs, where arms are worth telling apart."""
    late = curve.epochs >= _SETTLED_FRACTION * curve.epochs.max()
    return np.asarray(_drawn(curve)[late], np.float64)
