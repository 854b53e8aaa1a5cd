"""The figure of an experiment at a glance: learning rate, train loss, the metric of the verdict, its differences."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from clrbench.analysis.tables import Findings
from clrbench.report.figures import curves, style
from clrbench.report.figures.differences import PrimaryDifferences, difference_clauses
from clrbench.report.figures.metrics import metric_clauses
from clrbench.report.figures.pair_rows import dot_words
from clrbench.report.figures.plot import Plot, sentences
from clrbench.report.figures.schedule import backends_that_differ, draw_rates, scale_rates
from clrbench.report.words import divergence_rule, metric_label, plain, unit_label

_GREY = "#444444"


@style.house_style
def draw_overview(findings: Findings) -> Figure:
    """Draw four panels; backends differ by line style, arms by colour."""
    metric, primary = findings.spec.verdict.metric, PrimaryDifferences.of(findings)
    shown = findings.curves[metric]
    backends = list(curves.by_backend(shown))
    # Every row of differences has a label of two lines.
    extra_inches = max(0.0, 0.36 * len(primary.rows) - 2)
    figure = style.new_figure(6.2 + extra_inches)
    # Rows of their own: the labels of the differences must not part the panels above.
    (upper,), (lower,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(2, 2 + extra_inches))
    lr_panel, loss_panel = upper.subplots(1, 2)
    metric_panel, difference_panel = lower.subplots(1, 2)
    _draw_rates_panel(lr_panel, findings, backends)
    notes = [
        note
        for axes, name in ((loss_panel, "train_loss"), (metric_panel, metric))
        for note in _draw_metric_panel(axes, findings, name, backends)
    ]
    _draw_differences_panel(difference_panel, findings, primary)
    handles = curves.arm_handles(findings.tables["summary"], findings.arms)
    if len(backends) > 1:
        for backend in backends:
            line_style = _backend_style(backend, backends)
            handles.append(Line2D([], [], color=_GREY, linewidth=1.5, linestyle=line_style or "-", label=backend))
    style.write_legend(figure, handles, title=findings.spec.name)
    line, diverged = curves.line_caption(shown, with_seeds=False), curves.divergence_note(findings.tables["summary"])
    rule = divergence_rule(metric, own=findings.spec.train is not None) if diverged else ""
    style.write_caption(figure, [line, *_pairs_caption(primary), diverged, rule, *dict.fromkeys(notes)])
    return figure


def _backend_style(backend: str, backends: Sequence[str]) -> style.LineStyle | None:
    """Return the line style of a backend; of the only one None, as arms have their own there."""
    return style.LINE_STYLES[backends.index(backend) % len(style.LINE_STYLES)] if len(backends) > 1 else None


def _draw_rates_panel(axes: Axes, findings: Findings, backends: Sequence[str]) -> None:
    schedule = findings.tables["schedule"]
    differing = backends_that_differ(schedule)
    for backend in differing:
        line_style = _backend_style(backend, backends) if len(differing) > 1 else None
        draw_rates(axes, schedule[schedule["backend"] == backend], findings.arms, line_style)
    scale_rates(axes, schedule)
    style.epoch_axis(axes, schedule["epoch"].max())
    axes.set_title("learning rate")


def _draw_metric_panel(axes: Axes, findings: Findings, metric: str, backends: Sequence[str]) -> tuple[str, str]:
    """Draw the mean of each arm, and return what to say about means outside the axis and bands at its edge."""
    shown = findings.curves[metric]
    for curve in shown:
        curves.draw_mean(axes, curve, findings.arms, _backend_style(curve.backend, backends))
    style.epoch_axis(axes, curves.last_epoch(findings))
    axes.set_title(metric_label(metric, own=findings.spec.train is not None))
    curves.scale_values(axes, shown, metric, np.empty(0))
    means = np.concatenate([curve.mean for curve in shown])
    outside = curves.outside_words(axes, means, f"mean {plain(metric)} value", metric)
    return outside, curves.band_words(axes, shown)


def _draw_differences_panel(axes: Axes, findings: Findings, primary: PrimaryDifferences) -> None:
    """Draw a row for each backend and candidate, the first on top."""
    axes.grid(axis="y", visible=False)
    axes.set_title(f"difference in {plain(findings.spec.verdict.metric)}")
    if not primary.rows:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no pairs to compare", ha="center", transform=axes.transAxes)
        return
    axes.axvline(0, color="#777777", linewidth=1)
    baselines = list(dict.fromkeys(row.baseline for row in primary.rows))
    axes.set(xlim=primary.span(margin=0), ylim=(len(primary.rows) - 0.4, -0.6))
    labels = []
    for y, row in enumerate(primary.rows):
        colour = style.arm_colours(findings.arms)[row.candidate]
        primary.draw_row(axes, y, colour, size=4.5, alpha=0.5)
        versus = f" - {row.baseline}" if len(baselines) > 1 else ""
        labels.append(f"{row.candidate}{versus}, {row.backend}\n{row.verdict}")
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    unit = unit_label(findings.spec.verdict.metric, own=findings.spec.train is not None)
    axes.set_xlabel(f"candidate - {baselines[0] if len(baselines) == 1 else 'baseline'}{unit}")


def _pairs_caption(primary: PrimaryDifferences) -> Iterator[str]:
    if primary.rows:
        unbounded = any(np.isinf(row.ci_high) for row in primary.rows)
        dot = dot_words(max(row.pairs for row in primary.rows))
        yield f"{dot}, bar: mean difference and {primary.interval_words}" + (
            " (from edge to edge: unbounded)" * unbounded
        )
        yield primary.adjusted_words


OVERVIEW = Plot(
    name="overview",
    draw=draw_overview,
    caption=lambda findings: (
        f"Overview: learning rate, train loss, {plain(findings.spec.verdict.metric)}, and its paired differences"
    ),
    alt=lambda findings: sentences(
        [
            *difference_clauses(findings),
            *metric_clauses(findings, findings.spec.verdict.metric),
            "Learning rate and train loss: see their own plots",
        ]
    ),
    on_page=False,
)
