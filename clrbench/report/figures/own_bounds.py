"""The figure of a range test that somebody's own loop made: accuracy where it is known, the loss, and the bounds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrbench.analysis.own_bounds import OwnBounds
from clrbench.counted import counted
from clrbench.report.figures import style

_COLOURS = {"accuracy": "#0072B2", "loss": "#D55E00"}
_HIGHEST_LOSS = 3.0


@style.house_style
def draw_own_bounds(found: OwnBounds) -> Figure:
    """Draw the curves against the learning rate, single seeds faintly, and the rates that they suggest across all panels."""
    shown = ("accuracy", "loss") if found.has_accuracy else ("loss",)
    figure = style.new_figure(2.9 * len(shown))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for panel, name in zip(panels, shown, strict=True):
        _draw(panel, found.curve, name)
        panel.set_ylabel(name)
    lr = found.curve["lr"].to_numpy(np.float64)
    if style.decades(lr) > 1.5:
        style.log_scale(panels[0], "x", style.decades(lr))
    panels[-1].set_xlabel("learning rate")
    rates = found.rates
    for name in ("base_lr", "constant_lr", "max_lr"):
        _mark(panels, name, getattr(rates, name))
    panels[0].set_title(f"no rates: {rates.reason.partition(':')[0]}" if rates.reason else "LR range test")
    seeds = found.curve["seed"].nunique()
    line = (
        f"line: moving median, mean of {counted(seeds, 'seed')}; faint: single seeds, raw"
        if seeds > 1
        else "line: moving median; faint: raw"
    )
    style.write_caption(figure, [line, "" if rates.confirmed or rates.reason else "constant_lr is not confirmed"])
    return figure


def _draw(axes: Axes, curve: pd.DataFrame, name: str) -> None:
    by_seed = {kind: curve.pivot(index="point", columns="seed", values=kind) for kind in (name, f"smoothed_{name}")}
    raw, smooth = by_seed[name], by_seed[f"smoothed_{name}"].mean(axis=1)
    lr = curve.groupby("point")["lr"].first()  # two points may have the same one
    axes.plot(lr, raw, color=_COLOURS[name], linewidth=0.5, alpha=0.3, label="_seed")
    axes.plot(lr, smooth, color=_COLOURS[name], linewidth=style.MEAN_WIDTH, label="mean")
    known = smooth.dropna()
    if name == "loss" and len(known):
        low, high = float(known.min()), float(min(known.max(), _HIGHEST_LOSS * max(known.iloc[0], known.min())))
        if high > low:
            axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _mark(panels: np.ndarray[tuple[int], np.dtype[np.object_]], name: str, lr: float | None) -> None:
    if lr is None:
        return
    dashes = (0, (2, 2)) if name == "constant_lr" else "-"
    for axes in panels:
        axes.axvline(lr, color=style.BOUND_COLOUR, linewidth=1.2, linestyle=dashes, label="_bound")
    heights = {"base_lr": 0.95, "constant_lr": 0.5, "max_lr": 0.05}
    panels[0].annotate(
        f"{name} {lr:.3g}",
        (lr, heights[name]),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=style.BOUND_COLOUR,
        fontweight="bold",
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
    )
