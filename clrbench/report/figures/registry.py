"""Every figure of an experiment: a new one is a module with a `Plot`, and a line in `FIGURES`."""

from clrbench.analysis.tables import Findings
from clrbench.report.figures.cost import COST
from clrbench.report.figures.differences import DIFFERENCES
from clrbench.report.figures.metrics import metric_plot
from clrbench.report.figures.overview import OVERVIEW
from clrbench.report.figures.plot import DrawnPlot, drawn
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


def draw_figures(findings: Findings) -> tuple[DrawnPlot, ...]:
    """Return the figures of an experiment in the order of `FIGURES`, those of a script's own metrics last.

    Those with nothing to show are left out.
    """
    own = (metric_plot(metric) for metric in findings.curves if metric not in METRICS)
    figures = ((plot, plot.draw(findings)) for plot in (*FIGURES, *own))
    return tuple(drawn(plot, figure, findings) for plot, figure in figures if figure is not None)
