"""What `clrbench report` writes; only where that is to be done, matplotlib is imported."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd

from clrbench.analysis.glance import glance
from clrbench.analysis.looks import looked_at
from clrbench.analysis.results import Results
from clrbench.analysis.rulings import rulings
from clrbench.analysis.summary import has_answer
from clrbench.analysis.tables import analyse
from clrbench.commands.reported import Reported
from clrbench.commands.side_by_side import WARNING_COLUMN, WARNINGS_FILE
from clrbench.report.figures.range_test import range_test_pictures
from clrbench.report.figures.registry import draw_figures
from clrbench.report.figures.rendering import Render, rendering
from clrbench.report.page import page_content, render_page
from clrbench.report.terminal import LAYOUT_WIDTHS, answer_text
from clrbench.report.text import finding_warnings, findings_data, foldable_warnings
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

PAGE = "report.html"


def write_report(
    folder: ResultsFolder, spec: Spec, warnings: Sequence[str], *, details: bool
) -> tuple[Reported, list[str]]:
    """Write every table, every plot and the page of an experiment; return what they come to, and the names of the files."""
    with _uncollected(), rendering() as render:
        return _write(folder, spec, warnings, render, details=details)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no cyclic garbage meanwhile: there is hardly any, and looking through the objects of all runs takes long."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _write(
    folder: ResultsFolder, spec: Spec, warnings: Sequence[str], render: Render, *, details: bool
) -> tuple[Reported, list[str]]:
    results = looked_at(Results.read(folder, spec), folder)
    findings = analyse(results)
    answer = glance(findings)
    foldable = [*foldable_warnings(findings), *warnings]
    warnings = [*warnings, *finding_warnings(findings)]
    tables = {
        **findings.tables,
        WARNINGS_FILE.removesuffix(".csv"): pd.DataFrame({WARNING_COLUMN: warnings}, dtype=str),
    }
    for name, table in tables.items():
        folder.write_table(f"{name}.csv", table)
    figures = draw_figures(findings, render)
    for figure in figures:
        folder.write_bytes(f"plots/{figure.name}.png", figure.png)
    pictures = (*figures, *range_test_pictures(results.range_tests))
    folder.write_bytes(PAGE, render_page(page_content(findings, answer, foldable, pictures)).encode())
    reported = Reported(
        texts={
            str(width): answer_text(answer, findings, foldable, folder.root, width, details=details)
            for width in LAYOUT_WIDTHS
        },
        data={**findings_data(findings, warnings), "results": str(folder.root)},
        rulings=tuple(rulings(findings.tables["comparison"], findings.tables["evidence"], spec)),
        has_answer=has_answer(findings.tables["summary"]),
    )
    names = [PAGE, *(f"{name}.csv" for name in tables), *(f"plots/{figure.name}.png" for figure in figures)]
    return reported, names
