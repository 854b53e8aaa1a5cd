"""The figure of the time to target: the share of runs that have got there, over the epochs."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.records import DoubleArray
from clrbench.report.figures import style
from clrbench.report.figures.curves import arm_handles
from clrbench.report.figures.plot import Plot, sentences
from clrbench.report.words import capital, divergence_caption, seeds_words, target_words
from clrbench.spec import Spec

_ROW_INCHES = 2.1
_REST_INCHES = 1.0
_DASH, _DOT = 2.5, 1.0
"""Lengths of a dash and a dot, in line widths."""
_SUSTAINED = "_sustained"


@dataclass(frozen=True)
class _Goal:
    """A target on a backend: in words, and the rows of targets.csv that say when each run reached it."""

    backend: str
    words: str
    runs: pd.DataFrame


def _goals(targets: pd.DataFrame, spec: Spec) -> Iterator[_Goal]:
    for (backend, metric, _), runs in targets.groupby(["backend", "metric", "target"], sort=False):
        higher = spec.higher_is_better(str(metric))
        yield _Goal(str(backend), target_words(str(metric), runs["target"].iloc[0], higher=higher), runs)


@style.house_style
def draw_time_to_target(findings: Findings) -> Figure | None:
    """Draw which share of the runs has reached each target by when; None where there are no targets.

    Each backend has a column, each of its targets a panel there. Every arm is a step function that ends with its
    training; a run that misses the target never counts.
    """
    targets, metrics, arms = findings.tables["targets"], findings.tables["metrics"], findings.arms
    columns: dict[str, list[_Goal]] = {}
    for goal in _goals(targets, findings.spec):
        columns.setdefault(goal.backend, []).append(goal)
    if not columns:
        return None
    num_rows = max(map(len, columns.values()))
    figure = style.new_figure(_REST_INCHES + _ROW_INCHES * num_rows)
    panels = figure.subplots(num_rows, len(columns), sharex=True, sharey=True, squeeze=False)
    last_epoch = metrics.groupby(["backend", "arm"])["epoch"].max()
    for goals, column in zip(columns.values(), panels.T, strict=True):
        lowest = column[len(goals) - 1]
        lowest.set_xlabel("epoch")
        lowest.tick_params(labelbottom=True)
        for axes in column[len(goals) :]:
            axes.set_axis_off()
        for goal, axes in zip(goals, column, strict=False):
            for arm in arms:
                runs = goal.runs[goal.runs["arm"] == arm]
                if not runs.empty:
                    _draw_arm(axes, runs, float(last_epoch[goal.backend, arm]), arms)
            axes.set_title(f"{goal.backend}: {goal.words}")
    corner = panels[0, 0]
    style.epoch_axis(corner, last_epoch.max())
    corner.set(xlabel="epoch" if num_rows == 1 else "", ylim=(-3, 103), yticks=range(0, 101, 25))
    for axes in panels[:, 0]:
        axes.set_ylabel("reached (%)")
    runs = targets.drop_duplicates(["backend", "arm", "seed"])
    counts = runs.groupby(["backend", "arm"], sort=False).size().reset_index(name="runs")
    style.write_legend(figure, arm_handles(counts, arms))
    diverged = divergence_caption(findings.tables["summary"], "diverged runs never stay there")
    style.write_caption(figure, [*_captions(targets, equals=_has_equals(panels.flat)), diverged])
    return figure


def _draw_arm(axes: Axes, runs: pd.DataFrame, last_epoch: float, arms: Sequence[str]) -> None:
    """Draw both crossings of an arm."""
    arm = str(runs["arm"].iloc[0])
    for column, label, width, dash, own in (
        ("first_epoch", arm, style.MEAN_WIDTH, _DASH, style.arm_line_styles(arms)[arm]),
        ("sustained_epoch", _SUSTAINED, 1.2, _DOT, (0.0, (_DOT, 1.5 * _DOT))),
    ):
        epochs = np.sort(runs[column].to_numpy(np.float64))
        reached = epochs[np.isfinite(epochs)]
        share = 100 * np.arange(len(reached) + 1) / len(epochs)
        line = np.array([[0.0, *reached, last_epoch], [*share, share[-1]]])
        below = _equals(axes, line, label)
        # Gaps in the later of equal lines let the earlier ones be seen.
        gaps = (dash * below, (dash, dash * (below + 1)))
        axes.step(
            line[0],
            line[1],
            where="post",
            color=style.arm_colours(arms)[arm],
            linestyle=gaps if below else own,
            linewidth=width,
            label=label,
        )


def _equals(axes: Axes, line: DoubleArray, label: str) -> int:
    """Return how many lines of other arms, of the same kind, lie exactly where a line, float64[2, points], goes."""
    others = [other for other in axes.get_lines() if (other.get_label() == _SUSTAINED) == (label == _SUSTAINED)]
    return sum(np.array_equal(line, np.array([other.get_xdata(), other.get_ydata()])) for other in others)


def _has_equals(panels: Iterable[Axes]) -> bool:
    """Return whether lines of two arms lie exactly on each other."""
    drawn = [
        (axes, line.get_label() == _SUSTAINED, np.asarray(line.get_xydata(), np.float64).tobytes())
        for axes in panels
        for line in axes.get_lines()
    ]
    return len(set(drawn)) < len(drawn)


def _captions(targets: pd.DataFrame, *, equals: bool) -> list[str]:
    missed = int(np.isinf(targets["first_epoch"]).sum())
    lost = int(np.isinf(targets["sustained_epoch"]).sum()) - missed
    return [
        f"line: share of the n runs ({seeds_words(targets['seed'])}) that have reached the target at least once",
        "dotted: that stay there until the end",
        "dashes: lines overlap" if equals else "",
        f"{missed} of {len(targets)} times a run never got there" if missed else "",
        f"{lost} of {len(targets)} times a run got there but did not stay" if lost else "",
    ]


def _clauses(targets: pd.DataFrame, spec: Spec) -> Iterator[str]:
    for goal in _goals(targets, spec):
        arms = [_crossings(str(arm), runs) for arm, runs in goal.runs.groupby("arm", sort=False)]
        yield f"{capital(goal.words)} ({goal.backend}): {'; '.join(arms)}"


def _crossings(arm: str, runs: pd.DataFrame) -> str:
    reached, stayed = (int(np.isfinite(runs[name]).sum()) for name in ("first_epoch", "sustained_epoch"))
    middle = np.median(runs["first_epoch"])
    typical = f", the median run at epoch {middle:.4g}" if math.isfinite(middle) else ""
    return f"{reached} of {counted(len(runs), 'run')} of {arm} reach it{typical}, {stayed} stay there"


TIME_TO_TARGET = Plot(
    name="time_to_target",
    draw=draw_time_to_target,
    caption=lambda _: "Time to target: the share of runs that have reached it, and (dotted) that stay there",
    alt=lambda findings: sentences(_clauses(findings.tables["targets"], findings.spec)),
)
