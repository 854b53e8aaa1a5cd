"""An experiment on disk and the page of it, with text that means harm wherever text can stand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runs_on_disk import write_run

from clrbench.analysis.tables import Tables, make_tables
from clrbench.report.difference_plot import difference_figure
from clrbench.report.page import PageContent, page_content
from clrbench.report.plot_style import to_png
from clrbench.report.plots import metric_figure
from clrbench.report.target_plot import target_figure
from clrbench.report.verdict import verdict_text
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

CONSTANT = {"schedule": {"name": "constant", "lr": 0.1}}
PAIRS = [("clr", "constant")]
HOSTILE = '<script>alert("x")</script><img src="{address}">'


def make_spec(**changes: Any) -> Spec:
    content = {
        "name": "sample",
        "data": {"dataset": "mnist"},
        "model": {"name": "mlp"},
        "batch_size": 100,
        "duration": "12 epochs",
        "seeds": 6,
        "backends": ("torch",),
        "baseline": "constant",
        "arms": {"constant": CONSTANT, "clr": CONSTANT},
        "targets": {"test_accuracy": (0.5, 0.9)},
    }
    return Spec.model_validate({**content, **changes})


def sample_content(root: Path, *, hostile: str = "", with_figures: bool = True) -> PageContent:
    """Return the page of six pairs; `hostile` is the path of the data set, a warning and a version."""
    folder, spec = ResultsFolder(root), make_spec()
    for seed in range(6):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7], version=f"2.0{hostile}")
        write_run(folder, "clr", seed, [0.6, 0.4, 0.8 + seed / 100], version=f"2.0{hostile}")
    if hostile:
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"dataset": f"{hostile}.npz"})})
    runs = folder.indexed_runs()
    tables = make_tables(spec, runs, PAIRS)
    figures = dict(_plots(spec, tables)) if with_figures else {}
    warnings = [hostile] if hostile else []
    return page_content(spec, runs, dict(tables.files()), figures, verdict_text(spec, tables, []), warnings)


def _plots(spec: Spec, tables: Tables) -> Iterator[tuple[str, bytes]]:
    arms, verdict = list(spec.arms), spec.verdict
    paired = (tables.differences, tables.comparison, arms, verdict.metric, verdict.margin)
    figures = {
        "test_accuracy": metric_figure(tables.metrics, "test_accuracy", arms),
        "differences": difference_figure(*paired),
        "time_to_target": target_figure(tables.targets, tables.metrics, arms),
    }
    for name, figure in figures.items():
        assert figure is not None
        yield name, to_png(figure)
