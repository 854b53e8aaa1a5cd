"""The figure of the LR range test: accuracy and loss against the learning rate, and the bounds read off them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrbench.records import DoubleArray
from clrbench.report import plot_style
from clrbench.report.plot_style import MEAN_WIDTH, house_style

_ACCURACY_COLOUR = "#0072B2"
_LOSS_COLOUR = "#D55E00"
_BOUND_COLOUR = "#00734F"
_SMOOTHED_FRACTION = 0.02
_HIGHEST_LOSS = 3.0
_REASON_CHARACTERS = 108


@house_style
def range_test_figure(curve: pd.DataFrame, bounds: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the range test of each backend: accuracy above, training loss below, bounds across both.

    Args:
        curve: The table curve.csv, a row an update; the validation columns are nan between evaluations.
        bounds: By backend: base_lr and max_lr, or None for both and the reason of the refusal.

    Returns:
        The figure; `plot_style.to_png` makes bytes of it.
    """
    backends = [str(backend) for backend in curve["backend"].unique()]
    metric = "train_accuracy" if curve["validation_accuracy"].isna().all() else "validation_accuracy"
    figure = plot_style.new_figure(5.4)
    panels = figure.subplots(2, len(backends), sharex=True, sharey="row", squeeze=False)
    losses = []
    for (accuracy_panel, loss_panel), backend in zip(panels.T, backends, strict=True):
        rows = curve[curve["backend"] == backend]
        _draw_curve(accuracy_panel, rows, metric, _ACCURACY_COLOUR)
        losses.append(_draw_curve(loss_panel, rows, "train_loss", _LOSS_COLOUR))
        accuracy_panel.set_title(_title(backend, bounds[backend], _REASON_CHARACTERS // len(backends)))
        loss_panel.set_xlabel("learning rate")
    exponential = _is_exponential(curve)
    if exponential:
        plot_style.log_scale(panels[0, 0], "x", plot_style.decades(curve["lr"]))
    panels[0, 0].set_xlim(curve["lr"].min(), curve["lr"].max())
    panels[0, 0].set_ylabel(f"{metric.replace('_', ' ')} (fraction)")
    panels[1, 0].set_ylabel("train loss (nats)")
    outside = _scale_loss(panels[1, 0], np.concatenate(losses), curve["train_loss"].to_numpy(np.float64))
    # Room for the label of base_lr above the curve.
    low, high = panels[0, 0].get_ylim()
    panels[0, 0].set_ylim(low, high + 0.15 * (high - low))
    for column, backend in zip(panels.T, backends, strict=True):
        if bounds[backend]["base_lr"] is not None:
            _draw_bounds(column, bounds[backend]["base_lr"], bounds[backend]["max_lr"])
    plot_style.write_caption(figure, [*_captions(curve, metric, exponential=exponential), outside])
    return figure


def _title(backend: str, found: Mapping[str, Any], characters: int) -> str:
    if found["base_lr"] is not None:
        return backend
    return f"{backend}\n" + textwrap.fill(f"no bounds: {found['reason']}", characters)


def _draw_curve(axes: Axes, rows: pd.DataFrame, metric: str, colour: str) -> DoubleArray:
    """Draw each seed of a backend faintly and the mean over the seeds, smoothed if raw; return the latter."""
    table = rows.pivot(index="step", columns="seed", values=metric).dropna(how="all")
    lr = rows.groupby("step")["lr"].first().loc[table.index]
    raw = metric.startswith("train")
    line = table.mean(axis=1).rolling(_window(rows) if raw else 1, center=True, min_periods=1).mean()
    if raw or table.shape[1] > 1:
        axes.plot(lr, table, color=colour, linewidth=0.4 if raw else 0.7, alpha=0.25 if raw else 0.4, label="_seed")
    axes.plot(lr, line, color=colour, linewidth=MEAN_WIDTH, label="mean")
    return line.to_numpy(np.float64)


def _window(curve: pd.DataFrame) -> int:
    """Return over how many steps raw values are smoothed: an odd number, 2 % of the ramp."""
    return 2 * round(_SMOOTHED_FRACTION * curve["step"].max() / 2) + 1


def _is_exponential(curve: pd.DataFrame) -> bool:
    """Tell whether the rate at half the steps is nearer the geometric than the arithmetic mean of the ends."""
    lr = curve.groupby("step")["lr"].first().to_numpy(np.float64)
    middle = float(np.interp((len(lr) - 1) / 2, np.arange(len(lr)), lr))
    return abs(np.log(middle / np.sqrt(lr[0] * lr[-1]))) < abs(np.log(middle / (lr[0] + lr[-1]) * 2))


def _scale_loss(axes: Axes, line: DoubleArray, losses: DoubleArray) -> str:
    """Scale the y axis to the smoothed line, up to a few times its start; say how many values lie outside."""
    line = line[np.isfinite(line)]
    low, high = 0.8 * line.min(), min(1.1 * line.max(), _HIGHEST_LOSS * line[0])
    if high > 10 * low:
        plot_style.log_scale(axes, "y", np.log10(high / low))
    axes.set_ylim(low, high)
    outside = int(((losses < low) | (losses > high)).sum())
    return f"not shown: {outside} of {np.isfinite(losses).sum()} losses outside the axis" if outside else ""


def _draw_bounds(column: np.typing.NDArray[np.object_], base_lr: float, max_lr: float) -> None:
    """Mark the bounds in both panels of a backend, and name them where the accuracy curve is not."""
    for axes in column:
        axes.axvspan(base_lr, max_lr, color=_BOUND_COLOUR, alpha=0.09, linewidth=0)
        for lr in (base_lr, max_lr):
            axes.axvline(lr, color=_BOUND_COLOUR, linewidth=1.3, label="_bound")
    axes = column[0]
    # Left of base_lr the accuracy is still low, under its peak at max_lr there is room.
    for lr, name, y, vertical in ((base_lr, "base_lr", 0.97, "top"), (max_lr, "max_lr", 0.04, "bottom")):
        position = axes.transAxes.inverted().transform(axes.transData.transform((lr, 0)))[0]
        left = position > 0.4
        axes.annotate(
            f"{name} {lr:.3g}",
            (lr, y),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va=vertical,
            color=_BOUND_COLOUR,
            fontweight="bold",
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
        )


def _captions(curve: pd.DataFrame, metric: str, *, exponential: bool) -> list[str]:
    seeds = list(curve["seed"].unique())
    # Not the last entry that is not nan, which groupby's own `last` would give.
    stopped = int(curve.groupby(["backend", "seed"])["train_loss"].apply(lambda losses: np.isnan(losses.iloc[-1])).sum())
    return [
        f"{'exponential' if exponential else 'linear'} ramp of {curve['step'].max()} steps",
        f"line: mean of {len(seeds)} seeds, faint: single seeds" if len(seeds) > 1 else f"the only seed ({seeds[0]})",
        f"{'accuracy and loss' if metric == 'train_accuracy' else 'loss'}: moving average of {_window(curve)} steps",
        f"{stopped} runs diverged before the end of the ramp" if stopped else "",
    ]
