"""An experiment on disk and the page of it, with text that means harm wherever text can stand."""

from pathlib import Path
from typing import Any

from runs_on_disk import findings_of, write_run
from specs import CONSTANT, make_spec

from clrbench.analysis.glance import glance
from clrbench.analysis.tables import Findings
from clrbench.report.figures.plot import DrawnPlot
from clrbench.report.figures.registry import draw_figures
from clrbench.report.page import PageContent, page_content
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

HOSTILE = '<script>alert("x")</script><img src="{address}">'


def sample_spec(**changes: Any) -> Spec:
    """Return the spec of six pairs on one backend, with a target that every run reaches and one that none does."""
    content = {
        "name": "sample",
        "duration": "12 epochs",
        "seeds": 6,
        "backends": ["torch"],
        "baseline": "constant",
        "arms": {"constant": CONSTANT, "clr": CONSTANT},
        "targets": {"test_accuracy": [0.5, 0.9]},
    }
    return make_spec(**{**content, **changes})


def sample_findings(root: Path, *, hostile: str = "") -> Findings:
    """Return the findings of six pairs on disk; `hostile` is the path of the data set and a version."""
    folder, spec = ResultsFolder(root), sample_spec()
    for seed in range(6):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7], version=f"2.0{hostile}")
        write_run(folder, "clr", seed, [0.6, 0.4, 0.8 + seed / 100], version=f"2.0{hostile}")
    if hostile:
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"dataset": f"{hostile}.npz"})})
    return findings_of(folder, spec)


def sample_content(root: Path, *, hostile: str = "", with_figures: bool = True) -> PageContent:
    """Return the page of six pairs; `hostile` is the path of the data set, a warning and a version."""
    findings = sample_findings(root, hostile=hostile)
    figures: tuple[DrawnPlot, ...] = draw_figures(findings) if with_figures else ()
    return page_content(findings, glance(findings), [hostile] if hostile else [], figures)
