"""The figures of one metric over the epochs."""

import math
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from clrbench.analysis.curves import ArmCurve
from clrbench.analysis.metrics import TRAIN_COLUMNS
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.report.figures import curves, style
from clrbench.report.figures.plot import Plot, sentences
from clrbench.report.words import capitalised, metric_label
from clrbench.spec import Metric


def metric_plot(metric: Metric, *, only_where_asked_for: bool = False) -> Plot:
    """Return the figure of a metric over the epochs; perhaps only where the spec names it, as a target or the like."""
    return Plot(
        name=metric,
        draw=lambda findings: (
            draw_metric(findings, metric) if _is_shown(findings, metric, only_where_asked_for) else None
        ),
        caption=lambda _: f"{capitalised(metric)} by epoch: mean, 95 % confidence interval, individual seeds",
        alt=lambda findings: sentences([*metric_clauses(findings, metric), *_published_clauses(findings, metric)]),
    )


def _is_shown(findings: Findings, metric: Metric, only_where_asked_for: bool) -> bool:
    """Return whether a metric has a figure: of a script, where it has written any."""
    if findings.spec.train is not None:
        return any(np.isfinite(curve.values).any() for curve in findings.curves[metric])
    return not only_where_asked_for or metric in findings.spec.named_metrics


@style.house_style
def draw_metric(findings: Findings, metric: str) -> Figure:
    """Draw a metric over the epochs: one panel per backend; a mean line, its band and faint seeds for each arm.

    Values published for an arm are drawn as dashed lines.
    """
    shown, arms, published = findings.curves[metric], findings.arms, findings.tables["published"]
    backends = curves.by_backend(shown)
    figure, panels = style.row_of_panels(4.2, len(backends))
    values: list[float] = []
    for axes, (backend, own_curves) in zip(panels, backends.items(), strict=True):
        for curve in own_curves:
            curves.draw_seeds(axes, curve, arms)
            curves.draw_mean(axes, curve, arms)
        rows = published[(published["backend"] == backend) & (published["metric"] == metric)]
        curves.draw_published(axes, rows, arms)
        values.extend(rows["value"])
        axes.set_title(backend)
        style.epoch_axis(axes, curves.last_epoch(findings))
    panels[0].set_ylabel(metric_label(metric, own=findings.spec.train is not None))
    curves.scale_values(panels[0], shown, metric, np.asarray(values, np.float64))
    runs = np.concatenate([curve.values.ravel() for curve in shown])
    outside = curves.outside_words(panels[0], runs, "value", metric)
    style.write_legend(figure, curves.arm_handles(findings.tables["summary"], arms))
    crosses = ", cross: where a run diverged" if curves.has_crosses(panels) else ""
    diverged = curves.divergence_note(findings.tables["summary"])
    begins = "epoch 0: the first mini-batch, before any update" if metric in TRAIN_COLUMNS else ""
    line = curves.line_caption(shown, with_seeds=True) + crosses
    dashed = "dashed: the value published for the arm of that colour" if values else ""
    style.write_caption(figure, [line, dashed, begins, diverged, outside, curves.band_words(panels[0], shown)])
    return figure


def metric_clauses(findings: Findings, metric: str) -> Iterator[str]:
    """Yield where the mean of each arm begins, is best and ends."""
    for curve in findings.curves[metric]:
        finite = np.flatnonzero(np.isfinite(curve.mean))
        start = f"{capitalised(metric)} of {curve.arm} ({curve.backend})"
        if not len(finite):
            yield f"{start}: no values"
            continue
        first, last = finite[0], finite[-1]
        best = finite[
            np.argmax(curve.mean[finite]) if findings.spec.higher_is_better(metric) else np.argmin(curve.mean[finite])
        ]
        places = [_at(curve, first), *([f"best {_at(curve, best)}"] if best not in (first, last) else [])]
        low, high = curve.low[last], curve.high[last]
        interval = f", 95 % interval {low:.4f} to {high:.4f}" if math.isfinite(low) else ""
        ended = (
            f"; {curve.diverged.sum()} of {counted(len(curve.seeds), 'run')} diverged" if curve.diverged.any() else ""
        )
        yield f"{start}: {', '.join(places)}, last {_at(curve, last)}{interval}{ended}"


def _at(curve: ArmCurve, row: np.intp) -> str:
    return f"{curve.mean[row]:.4f} (epoch {curve.epochs[row]:.4g})"


def _published_clauses(findings: Findings, metric: str) -> Iterator[str]:
    published = findings.tables["published"]
    rows = published.loc[published["metric"] == metric, ["arm", "value"]].drop_duplicates()
    for arm, value in rows.itertuples(index=False, name=None):
        yield f"A dashed line marks the value published for {arm}, {value:g}"
