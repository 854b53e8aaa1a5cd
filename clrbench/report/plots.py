"""The figures of a comparison: metrics over the epochs, learning rates, and the overview of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from clrbench.report import plot_style
from clrbench.report.arm_curves import (
    arm_curves,
    arm_handle,
    arm_handles,
    divergence_caption,
    draw_mean,
    draw_published,
    draw_seeds,
    line_caption,
    metric_label,
    metric_unit,
    scale_values,
)
from clrbench.report.plot_style import (
    LINE_STYLES,
    MEAN_WIDTH,
    LineStyle,
    arm_colours,
    arm_line_styles,
    house_style,
)

_LOG_LR_DECADES = 1.5
_GREY = "#444444"


@house_style
def metric_figure(
    metrics: pd.DataFrame, metric: str, arms: Sequence[str], published: pd.DataFrame | None = None
) -> Figure:
    """Draw a metric over the epochs: a panel a backend; a mean line, its band and faint seeds for each arm.

    Args:
        metrics: The table metrics.csv.
        metric: Its column to draw: a loss or an accuracy.
        arms: Arms in the order of the spec, which decides their colours.
        published: Values reported elsewhere, drawn as dashed lines: backend, arm, metric, value.

    Returns:
        The figure; `plot_style.to_png` makes bytes of it.
    """
    curves = arm_curves(metrics, metric, arms)
    backends = list(dict.fromkeys(curve.backend for curve in curves))
    figure, panels = _row_of_panels(4.2, len(backends))
    values: list[float] = []
    for axes, backend in zip(panels, backends, strict=True):
        for curve in (curve for curve in curves if curve.backend == backend):
            draw_seeds(axes, curve, arms)
            draw_mean(axes, curve, arms)
        if published is not None:
            rows = published[(published["backend"] == backend) & (published["metric"] == metric)]
            draw_published(axes, rows, arms)
            values.extend(rows["value"])
        axes.set_title(backend)
        plot_style.epoch_axis(axes, max(curve.epochs.max() for curve in curves))
    panels[0].set_ylabel(metric_label(metric))
    outside = scale_values(panels[0], curves, metric, np.asarray(values, np.float64))
    plot_style.write_legend(figure, arm_handles(curves, arms))
    ended = any(np.isfinite(curve.values[:, curve.diverged]).any() for curve in curves)
    crosses = ", cross: where a run diverged" if ended else ""
    line = line_caption(curves, with_seeds=True) + crosses
    plot_style.write_caption(figure, [line, divergence_caption(curves), outside])
    return figure


@house_style
def schedule_figure(schedule: pd.DataFrame, arms: Sequence[str]) -> Figure:
    """Draw the learning rate of every arm over the epochs: one panel, or one a backend where they differ.

    Args:
        schedule: Points of each arm's LR table: backend, arm, epoch, step, lr.
        arms: Arms in the order of the spec, which decides their colours.

    Returns:
        The figure; `plot_style.to_png` makes bytes of it.
    """
    backends = _backends_that_differ(schedule)
    figure, panels = _row_of_panels(3.4, len(backends))
    for axes, backend in zip(panels, backends, strict=True):
        _draw_schedule(axes, schedule[schedule["backend"] == backend], arms)
        axes.set_title(backend if len(backends) > 1 else "")
        plot_style.epoch_axis(axes, schedule["epoch"].max())
    _scale_lr(panels[0], schedule)
    panels[0].set_ylabel("learning rate")
    present = [arm for arm in arms if (schedule["arm"] == arm).any()]
    plot_style.write_legend(figure, [arm_handle(arm, arms, arm) for arm in present])
    cut = list(dict.fromkeys(schedule.loc[schedule["lr"].isna(), "arm"]))
    if cut:
        words = f"every run of {', '.join(cut)} diverged: the line ends where the first one did"
        plot_style.write_caption(figure, [words])
    return figure


@house_style
def overview_figure(
    metrics: pd.DataFrame,
    schedule: pd.DataFrame,
    comparison: pd.DataFrame,
    differences: pd.DataFrame,
    arms: Sequence[str],
    metric: str = "test_accuracy",
) -> Figure:
    """Draw an experiment at a glance: learning rate, train loss, the metric, and its paired differences.

    Backends differ by line style, arms by colour.

    Args:
        metrics: The table metrics.csv.
        schedule: Points of each arm's LR table: backend, arm, epoch, step, lr.
        comparison: The table comparison.csv; may be empty.
        differences: backend, candidate, baseline, metric, seed, difference: a row a pair; may be empty.
        arms: Arms in the order of the spec, which decides their colours.
        metric: The primary metric, by its column in `metrics`.

    Returns:
        The figure; `plot_style.to_png` makes bytes of it.
    """
    comparison = comparison[comparison["metric"] == metric].reset_index(drop=True)
    # Every row of differences has a label of two lines.
    extra_inches = max(0.0, 0.36 * len(comparison) - 2)
    figure = plot_style.new_figure(6.2 + extra_inches)
    (lr_panel, loss_panel), (metric_panel, difference_panel) = figure.subplots(
        2, 2, height_ratios=(2, 2 + extra_inches)
    )
    backends = list(metrics["backend"].unique())
    lr_backends = _backends_that_differ(schedule)
    for backend in lr_backends:
        style = _backend_style(backend, backends) if len(lr_backends) > 1 else None
        _draw_schedule(lr_panel, schedule[schedule["backend"] == backend], arms, style)
    _scale_lr(lr_panel, schedule)
    plot_style.epoch_axis(lr_panel, schedule["epoch"].max())
    lr_panel.set_title("learning rate")
    captions = []
    for axes, name in ((loss_panel, "train_loss"), (metric_panel, metric)):
        curves = arm_curves(metrics, name, arms)
        for curve in curves:
            draw_mean(axes, curve, arms, _backend_style(curve.backend, backends))
        plot_style.epoch_axis(axes, max(curve.epochs.max() for curve in curves))
        axes.set_title(metric_label(name))
        outside = scale_values(axes, curves, name, np.empty(0))
        captions.append(outside.replace("values", f"{name.replace('_', ' ')} values"))
    _draw_differences(difference_panel, comparison, differences[differences["metric"] == metric], arms)
    difference_panel.set_title(f"difference in {metric.replace('_', ' ')}")
    handles = arm_handles(curves, arms)
    if len(backends) > 1:
        styles = [(backend, _backend_style(backend, backends)) for backend in backends]
        handles += [Line2D([], [], color=_GREY, linewidth=1.5, linestyle=style, label=name) for name, style in styles]
    plot_style.write_legend(figure, handles, title=str(metrics["experiment"].iloc[0]))
    pairs = "dot: one pair of runs, bar: mean difference and its interval" if len(comparison) else ""
    if np.isinf(comparison["ci_high"]).any():
        pairs += " (from edge to edge: unbounded)"
    line = line_caption(curves, with_seeds=False)
    plot_style.write_caption(figure, [line, pairs, divergence_caption(curves), *captions])
    return figure


def _row_of_panels(height_inches: float, number: int) -> tuple[Figure, list[Axes]]:
    figure = plot_style.new_figure(height_inches)
    return figure, list(figure.subplots(1, number, sharex=True, sharey=True, squeeze=False)[0])


def _backend_style(backend: str, backends: Sequence[str]) -> LineStyle:
    return LINE_STYLES[backends.index(backend) % len(LINE_STYLES)]


def _backends_that_differ(schedule: pd.DataFrame) -> list[str]:
    """Return the backends, or only the first of them where all have the same schedules."""
    tables = {
        str(backend): rows[["arm", "epoch", "lr"]].reset_index(drop=True)
        for backend, rows in schedule.groupby("backend", sort=False)
    }
    backends = list(tables)
    return backends if any(not tables[backends[0]].equals(table) for table in tables.values()) else backends[:1]


def _draw_schedule(
    axes: Axes, schedule: pd.DataFrame, arms: Sequence[str], line_style: LineStyle | None = None
) -> None:
    """Draw the LR of each arm of one backend, labelled with its name."""
    drawn: list[pd.DataFrame] = []
    for arm in arms:
        points = schedule.loc[schedule["arm"] == arm, ["epoch", "lr"]].reset_index(drop=True)
        # Gaps in the later of two equal schedules let the earlier one be seen.
        gaps = (0, (3, 3)) if any(points.equals(other) for other in drawn) else None
        style = gaps or line_style or arm_line_styles(arms)[arm]
        colour = arm_colours(arms)[arm]
        axes.plot(points["epoch"], points["lr"], color=colour, linewidth=MEAN_WIDTH, linestyle=style, label=arm)
        drawn.append(points)


def _scale_lr(axes: Axes, schedule: pd.DataFrame) -> None:
    span = plot_style.decades(schedule["lr"])
    if span > _LOG_LR_DECADES:
        plot_style.log_scale(axes, "y", span)
    else:
        axes.set_ylim(0, schedule["lr"].max() * 1.06)


def _draw_differences(axes: Axes, comparison: pd.DataFrame, differences: pd.DataFrame, arms: Sequence[str]) -> None:
    """Draw a row for each backend and candidate, the first on top: a dot a pair, the mean and its interval."""
    axes.grid(axis="y", visible=False)
    if comparison.empty:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no pairs to compare", ha="center", transform=axes.transAxes)
        return
    shown = np.concatenate([differences["difference"], comparison[["ci_low", "ci_high"]].to_numpy().ravel(), [0.0]])
    shown = shown[np.isfinite(shown)]
    margin = 0.08 * np.ptp(shown) or 0.01
    left, right = shown.min() - margin, shown.max() + margin
    axes.axvline(0, color="#777777", linewidth=1)
    grouped = differences.groupby(["backend", "candidate", "baseline"])["difference"]
    pairs = {key: values.to_numpy(np.float64) for key, values in grouped}
    baselines = comparison["baseline"].unique()
    labels = []
    for y, row in enumerate(comparison.to_dict("records")):
        colour = arm_colours(arms)[row["candidate"]]
        dots = pairs.get((row["backend"], row["candidate"], row["baseline"]), np.empty(0))
        # Multiples of the golden ratio keep dots of equal value apart, the same way every time.
        offsets = (np.arange(len(dots)) * 0.618 % 1 - 0.5) * 0.5
        axes.plot(dots, y + offsets, "o", color=colour, markersize=4.5, alpha=0.5, markeredgewidth=0, label="_pairs")
        axes.hlines(y, max(row["ci_low"], left), min(row["ci_high"], right), color="black", linewidth=2)
        axes.plot(row["mean_difference"], y, "D", color="black", markersize=5.5, label="_mean")
        versus = f" - {row['baseline']}" if len(baselines) > 1 else ""
        labels.append(f"{row['candidate']}{versus}, {row['backend']}\n{row['verdict']}")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=(left, right), ylim=(len(labels) - 0.4, -0.6))
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    unit = metric_unit(str(comparison["metric"].iloc[0]))
    axes.set_xlabel(f"candidate - {baselines[0] if len(baselines) == 1 else 'baseline'} ({unit})")
