"""The figure of what an arm's accuracy costs: the metric over all updates, those that found its rates among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrbench.report import plot_style
from clrbench.report.arm_curves import arm_handle, metric_label
from clrbench.report.plot_style import MEAN_WIDTH, arm_colours, arm_line_styles, house_style


@house_style
def cost_figure(curve: pd.DataFrame, metric: str, arms: Sequence[str], num_seeds: int, divergence: str = "") -> Figure:
    """Draw the mean of a metric over the updates spent, a panel a backend; an arm begins where its search ended.

    Args:
        curve: The table cost_curve.csv.
        metric: What its column `mean` holds, by its name in metrics.csv.
        arms: Arms in the order of the spec, which decides their colours.
        num_seeds: Over how many seeds the means are taken.
        divergence: How many runs diverged, for the caption; empty where none did.

    Returns:
        The figure; `plot_style.to_png` makes bytes of it.
    """
    backends = list(curve["backend"].unique())
    figure = plot_style.new_figure(4.0)
    panels = figure.subplots(1, len(backends), sharey=True, squeeze=False)[0]
    for axes, backend in zip(panels, backends, strict=True):
        here = curve[curve["backend"] == backend]
        for arm, rows in here.groupby("arm", sort=False):
            colour, style = arm_colours(arms)[str(arm)], arm_line_styles(arms)[str(arm)]
            steps, mean = rows["total_step"].to_numpy(), rows["mean"].to_numpy()
            marker = "o" if len(rows) == 1 else ""
            axes.plot(steps, mean, color=colour, linewidth=MEAN_WIDTH, linestyle=style, marker=marker, label=str(arm))
        axes.set_title(backend)
        axes.set_xlabel("updates, search included")
        axes.set_xlim(0, here["total_step"].max() * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel(metric_label(metric))
    if metric.endswith("loss") and plot_style.decades(curve["mean"]) > 1:
        plot_style.log_scale(panels[0], "y", plot_style.decades(curve["mean"]))
    present = [arm for arm in arms if (curve["arm"] == arm).any()]
    plot_style.write_legend(figure, [arm_handle(arm, arms, arm) for arm in present])
    shifted = f"line: mean over n = {num_seeds} seeds; an arm begins after the updates that found its rates"
    missing = "" if np.isfinite(curve["mean"]).all() else "a line ends where no run is left that did not diverge"
    plot_style.write_caption(figure, [shifted, divergence, missing])
    return figure
