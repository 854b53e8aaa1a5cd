"""The figure of what accuracy costs: the metric of the verdict over all updates, those that found the rates among them."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clrbench.analysis.costs import given_steps
from clrbench.analysis.metrics import is_accuracy
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.report.figures import style
from clrbench.report.figures.curves import arm_handle, divergence_note
from clrbench.report.figures.plot import Plot, sentences
from clrbench.report.words import capitalised, listed, metric_label, plain


@style.house_style
def draw_cost(findings: Findings) -> Figure | None:
    """Draw the mean of the metric of the verdict over the updates spent, one panel per backend.

    An arm begins where the search for its rates ended; None where no arm had to find its rates.
    """
    if "cost_curve" not in findings.tables:
        return None
    curve, metric, arms = findings.tables["cost_curve"], findings.spec.verdict.metric, findings.arms
    backends = list(curve["backend"].unique())
    figure = style.new_figure(4.0)
    panels = figure.subplots(1, len(backends), sharey=True, squeeze=False)[0]
    for axes, backend in zip(panels, backends, strict=True):
        here = curve[curve["backend"] == backend]
        for arm, rows in here.groupby("arm", sort=False):
            line = style.draw_line(axes, rows["total_step"], rows["mean"], str(arm), arms)
            line.set_marker("o" if len(rows) == 1 else "")
        axes.set_title(backend)
        axes.set_xlabel("updates, search included")
        axes.set_xlim(0, here["total_step"].max() * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel(metric_label(metric, own=findings.spec.train is not None))
    if not is_accuracy(metric) and style.decades(curve["mean"]) > 1:
        style.log_scale(panels[0], "y", style.decades(curve["mean"]))
    style.write_legend(figure, [arm_handle(arm, arms, arm) for arm in arms if (curve["arm"] == arm).any()])
    n = len(findings.spec.seeds)
    shifted = f"line: mean over n = {counted(n, 'seed')}; an arm begins after the updates that found its rates"
    missing = "" if np.isfinite(curve["mean"]).all() else "a line ends where every run has diverged"
    style.write_caption(figure, [shifted, _unknown(findings), divergence_note(findings.tables["summary"]), missing])
    return figure


def _unknown(findings: Findings) -> str:
    """Return which arms have no line, as nobody knows what finding their rates took; empty for none."""
    drawn = set(findings.tables["cost_curve"]["arm"])
    unknown = [arm for arm in findings.arms if arm not in drawn and math.isnan(given_steps(findings.spec, arm))]
    return f"no line: {listed(unknown)}, as the updates that found the rates are not known" if unknown else ""


def _clauses(curve: pd.DataFrame, metric: str) -> Iterator[str]:
    for (backend, arm), rows in curve.groupby(["backend", "arm"], sort=False):
        known = rows.dropna(subset=["mean"])
        ends = known.iloc[[0, -1]] if len(known) else known
        points = zip(ends["mean"], ends["total_step"], strict=True)
        places = [f"{mean:.4f} after {counted(total_step, 'update', '.0f')}" for mean, total_step in points]
        yield f"{capitalised(metric)} of {arm} ({backend}): {', last '.join(places) or 'no values'}"


COST = Plot(
    name="cost",
    draw=draw_cost,
    caption=lambda findings: (
        f"Cost: {plain(findings.spec.verdict.metric)} over all updates, including those that found the rates"
    ),
    alt=lambda findings: sentences(_clauses(findings.tables["cost_curve"], findings.spec.verdict.metric)),
)
