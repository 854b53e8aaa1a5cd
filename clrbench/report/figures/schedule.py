"""The figure of the learning rates."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrbench.records import DoubleArray
from clrbench.report.figures import style
from clrbench.report.figures.curves import arm_handle
from clrbench.report.figures.plot import Plot, sentences

_LOG_LR_DECADES = 1.5
_SAME_LR = 1e-3
"""Relative difference of rates that nobody can see."""


@style.house_style
def draw_schedules(schedule: pd.DataFrame, arms: Sequence[str]) -> Figure:
    """Draw schedule.csv, the learning rate of every arm over the epochs: one panel, or one a backend where they differ."""
    backends = backends_that_differ(schedule)
    figure, panels = style.row_of_panels(3.4, len(backends))
    for axes, backend in zip(panels, backends, strict=True):
        draw_rates(axes, schedule[schedule["backend"] == backend], arms)
        axes.set_title(backend if len(backends) > 1 else "")
        style.epoch_axis(axes, schedule["epoch"].max())
    scale_rates(panels[0], schedule)
    panels[0].set_ylabel("learning rate")
    style.write_legend(figure, [arm_handle(arm, arms, arm) for arm in arms if (schedule["arm"] == arm).any()])
    cut = list(dict.fromkeys(schedule.loc[schedule["lr"].isna(), "arm"]))
    if cut:
        style.write_caption(figure, [f"every run of {', '.join(cut)} diverged: the line ends where the first one did"])
    return figure


def backends_that_differ(schedule: pd.DataFrame) -> list[str]:
    """Return the backends of schedule.csv, or only the first of them where all have the same schedules."""
    tables = {
        str(backend): rows[["arm", "epoch", "lr"]].reset_index(drop=True)
        for backend, rows in schedule.groupby("backend", sort=False)
    }
    backends = list(tables)
    return backends if any(not tables[backends[0]].equals(table) for table in tables.values()) else backends[:1]


def draw_rates(
    axes: Axes, schedule: pd.DataFrame, arms: Sequence[str], line_style: style.LineStyle | None = None
) -> None:
    """Draw the learning rate of each arm of one backend, labelled with its name."""
    drawn: list[DoubleArray] = []
    for arm in arms:
        line = schedule.loc[schedule["arm"] == arm, ["epoch", "lr"]].to_numpy(np.float64).T
        if not line.size:
            continue
        # The rate of the first update is that from the start on.
        line = np.insert(line, 0, [0.0, line[1, 0]], axis=1)
        # Gaps in the later of two equal schedules let the earlier one be seen.
        gaps = (0, (3, 3)) if any(_is_equal(line, other) for other in drawn) else None
        style.draw_line(axes, line[0], line[1], arm, arms, gaps or line_style)
        drawn.append(line)


def _is_equal(line: DoubleArray, other: DoubleArray) -> bool:
    """Return whether two schedules, float64[2, points] of epochs and rates, are one line; their points may differ."""
    if line[0, -1] != other[0, -1]:
        return False
    epochs = np.union1d(line[0], other[0])
    first, second = (np.interp(epochs, *points) for points in (line, other))
    return bool(np.allclose(first, second, rtol=_SAME_LR, atol=0, equal_nan=True))


def scale_rates(axes: Axes, schedule: pd.DataFrame) -> None:
    """Scale the y axis to all rates; those over more than a decade and a half get a log axis."""
    span = style.decades(schedule["lr"])
    if span > _LOG_LR_DECADES:
        style.log_scale(axes, "y", span)
    else:
        axes.set_ylim(0, schedule["lr"].max() * 1.06)


def _clauses(schedule: pd.DataFrame) -> Iterator[str]:
    for (backend, arm), rows in schedule.groupby(["backend", "arm"], sort=False):
        lr = rows["lr"].dropna().to_numpy(np.float64)
        start = f"Learning rate of {arm} ({backend})"
        if lr.min() == lr.max():
            yield f"{start} stays at {lr[0]:.3g}"
        else:
            yield f"{start} goes from {lr[0]:.3g} to {lr[-1]:.3g}, between {lr.min():.3g} and {lr.max():.3g}"


LR_SCHEDULE = Plot(
    name="lr_schedule",
    draw=lambda findings: draw_schedules(findings.tables["schedule"], findings.arms),
    caption=lambda _: "Learning rate by epoch",
    alt=lambda findings: sentences(_clauses(findings.tables["schedule"])),
)
