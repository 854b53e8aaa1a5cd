"""Every figure of an experiment: a new one is a module with a `Plot`, and a line in `FIGURES`."""

from clrbench.analysis.tables import Findings
from clrbench.report.figures.cost import COST
from clrbench.report.figures.differences import DIFFERENCES
from clrbench.report.figures.metrics import metric_plot
from clrbench.report.figures.overview import OVERVIEW
from clrbench.report.figures.plot import DrawnPlot
from clrbench.report.figures.rendering import Render, Sheet, render
from clrbench.report.figures.schedule import LR_SCHEDULE
from clrbench.report.figures.time_to_target import TIME_TO_TARGET
from clrbench.spec import METRICS

FIGURES = (
    OVERVIEW,
    DIFFERENCES,
    TIME_TO_TARGET,
    metric_plot("test_accuracy"),
    metric_plot("test_balanced_accuracy", only_where_asked_for=True),
    metric_plot("test_loss"),
    metric_plot("train_loss"),
    LR_SCHEDULE,
    COST,
)


def draw_figures(findings: Findings, render: Render = render) -> tuple[DrawnPlot, ...]:
    """Return the figures of an experiment in the order of `FIGURES`, those of a script's own metrics last.

    Those with nothing to show are left out.
    """
    own = (metric_plot(metric) for metric in findings.curves if metric not in METRICS)
    drawn = ((plot, plot.draw(findings)) for plot in (*FIGURES, *own))
    shown = [(plot, Sheet(plot.name, figure, plot.on_page)) for plot, figure in drawn if figure is not None]
    rendered = render([sheet for _, sheet in shown])
    return tuple(
        DrawnPlot(plot.name, one.svg, plot.caption(findings), plot.alt(findings), one.png)
        for (plot, _), one in zip(shown, rendered, strict=True)
    )
