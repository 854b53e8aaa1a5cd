"""Curves of a metric by backend and arm: read off the table, drawn, scaled and put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from clrbench.records import DoubleArray
from clrbench.report import plot_style
from clrbench.report.plot_style import MEAN_WIDTH, LineStyle, arm_colours, arm_line_styles
from clrbench.spec import METRICS
from clrbench.stats import mean_band

_LOG_LOSS_DECADES = 1.0
_SETTLED_FRACTION = 0.25
_CUT_ACCURACY = 0.5
_CUT_LOSS = 0.25
_LISTED_SEEDS = 8


@dataclass(frozen=True)
class ArmCurves:
    """One metric of all runs of an arm on a backend.

    Attributes:
        backend: Name of the backend.
        arm: Name of the arm.
        seeds: Seed of each run, ascending.
        epochs: float64[rows], when the metric was taken, ascending; may be fractional.
        values: float64[rows, seeds], nan after a divergence.
        diverged: bool[seeds], which of the runs diverged.
    """

    backend: str
    arm: str
    seeds: tuple[int, ...]
    epochs: DoubleArray
    values: DoubleArray
    diverged: np.typing.NDArray[np.bool_]

    @property
    def band(self) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Mean over the seeds and its 95 % interval, float64[rows] each."""
        return mean_band(self.values, axis=1)

    @property
    def drawn(self) -> DoubleArray:
        """Everything that a figure shows of it, float64[rows, seeds + 3]."""
        return np.column_stack([self.values, *self.band])

    @property
    def settled(self) -> DoubleArray:
        """The part of `drawn` after the first quarter of the epochs, where arms are worth telling apart."""
        late = self.epochs >= _SETTLED_FRACTION * self.epochs.max()
        return np.asarray(self.drawn[late], np.float64)


def arm_curves(metrics: pd.DataFrame, metric: str, arms: Sequence[str]) -> list[ArmCurves]:
    """Return the curves of a metric, by backend in the order of the table and by arm in the order given."""
    curves = []
    for backend in metrics["backend"].unique():
        for arm in arms:
            rows = metrics[(metrics["backend"] == backend) & (metrics["arm"] == arm)]
            if rows.empty:
                continue
            table = rows.pivot(index="epoch", columns="seed", values=metric)
            values = table.to_numpy(np.float64, copy=True)
            values[~np.isfinite(values)] = np.nan
            seeds = tuple(int(seed) for seed in table.columns)
            diverged = np.isin(seeds, rows.loc[rows["status"] == "diverged", "seed"])
            curves.append(ArmCurves(str(backend), arm, seeds, table.index.to_numpy(np.float64), values, diverged))
    return curves


def bands_table(metrics: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Return what the figures draw of every metric: mean and 95 % interval over the seeds, a row an evaluation."""
    tables = []
    for metric in METRICS:
        for curve in arm_curves(metrics, metric, arms):
            mean, low, high = curve.band
            runs = np.isfinite(curve.values).sum(axis=1)
            values = {"epoch": curve.epochs, "runs": runs, "mean": mean, "ci_low": low, "ci_high": high}
            names = {"backend": curve.backend, "arm": curve.arm, "metric": metric}
            tables.append(pd.DataFrame({**names, **values}))
    return pd.concat(tables, ignore_index=True)


def metric_unit(metric: str) -> str:
    """Return the unit of a metric by its column name."""
    return "nats" if metric.endswith("loss") else "fraction"


def metric_label(metric: str) -> str:
    """Return the name of a metric with its unit, for an axis."""
    return f"{metric.replace('_', ' ')} ({metric_unit(metric)})"


def draw_mean(axes: Axes, curve: ArmCurves, arms: Sequence[str], line_style: LineStyle | None = None) -> None:
    """Draw the mean line of an arm, labelled with its name, and its band.

    Args:
        axes: The panel.
        curve: What to draw.
        arms: Arms in the order of the spec, for the colours.
        line_style: Style in place of the arm's own.
    """
    colour = arm_colours(arms)[curve.arm]
    mean, low, high = curve.band
    style = line_style or arm_line_styles(arms)[curve.arm]
    axes.fill_between(curve.epochs, low, high, color=colour, alpha=0.2, linewidth=0)
    marker = "o" if len(curve.epochs) == 1 else ""
    axes.plot(curve.epochs, mean, color=colour, linewidth=MEAN_WIDTH, linestyle=style, marker=marker, label=curve.arm)


def draw_seeds(axes: Axes, curve: ArmCurves, arms: Sequence[str]) -> None:
    """Draw each run of an arm as a faint line, with a cross where a run that diverged ends."""
    colour = arm_colours(arms)[curve.arm]
    if len(curve.seeds) > 1:
        axes.plot(curve.epochs, curve.values, color=colour, linewidth=0.6, alpha=0.35, zorder=1.5, label="_seed")
    for values in curve.values.T[curve.diverged]:
        last = np.flatnonzero(np.isfinite(values))[-1:]
        axes.plot(
            curve.epochs[last],
            values[last],
            "X",
            color=colour,
            markersize=8,
            markeredgecolor="white",
            label="_diverged",
        )


def draw_published(axes: Axes, rows: pd.DataFrame, arms: Sequence[str]) -> None:
    """Draw a dashed line for each value published for an arm, the lowest labelled below it and the others above."""
    for rank, (arm, value) in enumerate(sorted(zip(rows["arm"], rows["value"], strict=True), key=lambda row: row[1])):
        colour = arm_colours(arms)[arm]
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
        )


def scale_values(axes: Axes, curves: Sequence[ArmCurves], metric: str, published: DoubleArray) -> str:
    """Scale the y axis to the settled values and the best ones of all; losses over more than a decade get a log axis.

    The bad end (low accuracy, high loss) is cut only where that leaves less than half the range of an accuracy or a
    quarter of that of a loss, so that the first epochs do not flatten the rest.

    Args:
        axes: The panel; those that share its y axis follow.
        curves: What is drawn.
        metric: Its name.
        published: float64[n], further values to keep in sight.

    Returns:
        What to say about values outside the axis; empty when there are none.
    """
    is_loss = metric.endswith("loss")
    values = np.concatenate([curve.values.ravel() for curve in curves])
    log = is_loss and plot_style.decades(values) > _LOG_LOSS_DECADES
    sign = -1.0 if is_loss else 1.0

    def goodness(parts: list[DoubleArray]) -> DoubleArray:
        array = np.concatenate([part.ravel() for part in parts])
        array = array[np.isfinite(array) & (array > (0 if log else -np.inf))]
        # The band may leave the fractions that an accuracy can be.
        better = -np.log10(array) if log else -array if is_loss else array.clip(0, 1)
        return np.asarray(better, np.float64)

    everything = goodness([curve.drawn for curve in curves] + [published])
    if not len(everything):
        return ""
    best, worst = everything.max(), everything.min()
    late = goodness([curve.settled for curve in curves])
    settled = min([*np.quantile(late, [0.01] if len(late) else []), *goodness([published])], default=worst)
    if best - settled < (_CUT_LOSS if is_loss else _CUT_ACCURACY) * (best - worst):
        worst = settled
    margin = 0.04 * (best - worst) or 0.01 * max(1.0, abs(best))
    low, high = sorted(sign * np.array([best + margin, worst - margin]))
    if log:
        plot_style.log_scale(axes, "y", high - low)
        low, high = 10.0**low, 10.0**high
    axes.set_ylim(max(low, 0.0), high)
    outside = int(((values < low) | (values > high)).sum())
    edge = f"above {high:.3g}" if is_loss else f"below {low:.3g}"
    return f"not shown: {outside} of {np.isfinite(values).sum()} values, {edge}" if outside else ""


def arm_handles(curves: Sequence[ArmCurves], arms: Sequence[str]) -> list[Line2D]:
    """Return a legend entry for each arm that has curves, with how many runs it has."""
    handles = []
    for arm in arms:
        counts = {curve.backend: len(curve.seeds) for curve in curves if curve.arm == arm}
        if len(set(counts.values())) == 1:
            number = str(next(iter(counts.values())))
        else:
            number = ", ".join(f"{count} {backend}" for backend, count in counts.items())
        if counts:
            handles.append(arm_handle(arm, arms, f"{arm} (n = {number})"))
    return handles


def arm_handle(arm: str, arms: Sequence[str], label: str) -> Line2D:
    """Return the legend entry of an arm."""
    style = arm_line_styles(arms)[arm]
    return Line2D([], [], color=arm_colours(arms)[arm], linewidth=2.2, linestyle=style, label=label)


def line_caption(curves: Sequence[ArmCurves], *, with_seeds: bool) -> str:
    """Say what line, band and faint lines are, and over which seeds."""
    faint = ", faint: single seeds" if with_seeds else ""
    all_seeds = {curve.seeds for curve in curves}
    if len(all_seeds) > 1:
        return "line: mean over the n seeds, band: 95 % interval of the mean" + faint
    seeds = next(iter(all_seeds))
    if len(seeds) == 1:
        return f"line: the only seed ({seeds[0]})"
    listed = ", ".join(map(str, seeds))
    if seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        listed = f"{seeds[0]} to {seeds[-1]}"
    elif len(seeds) > _LISTED_SEEDS:
        listed = f"between {seeds[0]} and {seeds[-1]}"
    return f"line: mean of {len(seeds)} seeds ({listed}), band: 95 % interval of the mean" + faint


def divergence_caption(curves: Sequence[ArmCurves]) -> str:
    """Count the runs that diverged, by arm and backend, and say what that does to the lines; empty when none did."""
    several = len({curve.backend for curve in curves}) > 1
    counts = [
        f"{curve.diverged.sum()} of {len(curve.seeds)} runs of {curve.arm} diverged" + f" ({curve.backend})" * several
        for curve in curves
        if curve.diverged.any()
    ]
    some_left = any(0 < curve.diverged.sum() < len(curve.seeds) for curve in curves)
    return ", ".join(counts) + (", the mean goes on without them" if some_left else "")
