"""`clrbench report`: the tables, plots and page of experiments, from their runs on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from clrbench.analysis.bounds import RangeTest, confirmation_table, curve_table, read_range_test, sweeps_table
from clrbench.analysis.glance import glance
from clrbench.analysis.looks import looked_at
from clrbench.analysis.results import Results
from clrbench.analysis.rulings import Ruling, rulings
from clrbench.analysis.summary import has_answer
from clrbench.analysis.tables import Findings, analyse
from clrbench.answer import Answer, ExitCode
from clrbench.errors import ResultsError
from clrbench.planning.runs import range_test_of
from clrbench.report.figures.range_test import draw_range_test, range_test_pictures
from clrbench.report.figures.registry import draw_figures
from clrbench.report.figures.style import to_png
from clrbench.report.page import page_content, render_page
from clrbench.report.range_test import range_tests_data, range_tests_text
from clrbench.report.side_by_side import WARNING_COLUMN, WARNINGS_FILE, read_side, sides_data, sides_text
from clrbench.report.terminal import answer_text
from clrbench.report.text import finding_warnings, findings_data, foldable_warnings, untuned_sentence
from clrbench.spec import Spec
from clrbench.store import SPEC_FILE, ResultsFolder

FailIf: TypeAlias = Literal["worse", "not-better"]


@dataclass(frozen=True)
class Asked:
    """How an experiment is reported.

    Attributes:
        fail_if: The condition that exit code 4 stands for; where there is no answer, 3 goes before it.
        allow_untuned: Whether better than an untuned baseline is better for that condition.
        details: Whether the text holds every table and note behind the answer.
    """

    fail_if: FailIf | None = None
    allow_untuned: bool = False
    details: bool = False


def report(roots: Sequence[Path], *, details: bool = False) -> Answer:
    """Write the tables, plots and page of an experiment anew; or set several experiments side by side, writing nothing."""
    if len(roots) == 1:
        return _rebuild(ResultsFolder(roots[0]), Asked(details=details))
    sides = [read_side(root) for root in roots]
    code = ExitCode.DONE if all(has_answer(side.summary) for side in sides) else ExitCode.NO_ANSWER
    return Answer(sides_text(sides), sides_data(sides), code)


def report_experiment(folder: ResultsFolder, spec: Spec, warnings: Sequence[str], asked: Asked | None = None) -> Answer:
    """Write every table, every plot and the page of an experiment from its runs, and return what they say."""
    asked = asked or Asked()
    with folder.tables_lock():
        results = looked_at(Results.read(folder, spec), folder)
        findings = analyse(results)
        found = glance(findings)
        foldable = [*warnings, *foldable_warnings(findings)]
        warnings = [*warnings, *finding_warnings(findings)]
        figures = draw_figures(findings)
        folder.write_table(WARNINGS_FILE, pd.DataFrame({WARNING_COLUMN: warnings}, dtype=str))
        for name, table in findings.tables.items():
            folder.write_table(f"{name}.csv", table)
        for figure in figures:
            folder.write_bytes(f"plots/{figure.name}.png", figure.png)
        pictures = (*figures, *range_test_pictures(results.range_tests))
        page = render_page(page_content(findings, found, foldable, pictures))
        folder.write_bytes("report.html", page.encode())
    ruled = rulings(findings.tables["comparison"], findings.tables["evidence"], spec, allow_untuned=asked.allow_untuned)
    untuned = untuned_sentence(ruled) if asked.fail_if == "not-better" else ""

    def text(width: int) -> str:
        shown = answer_text(found, findings, foldable, folder.root, width, details=asked.details)
        return "\n".join(filter(None, [shown, untuned]))

    data = {**findings_data(findings, warnings), "results": str(folder.root)}
    return Answer(text, data, _exit_code(findings, ruled, asked.fail_if))


def write_range_test(test: RangeTest) -> None:
    """Write the tables, the rates and the plot of a range test; there is no plot where it has no sweep."""
    folder, curve, confirmation = test.folder, curve_table(test.sweeps), confirmation_table(test)
    with folder.tables_lock():
        folder.write_table("curve.csv", curve)
        folder.write_table("sweeps.csv", sweeps_table(test))
        folder.write_table("confirmation.csv", confirmation)
        folder.write_bounds(test.bounds)
        if len(curve):
            folder.write_bytes("range_test.png", to_png(draw_range_test(curve, confirmation, test.bounds)))
        else:
            folder.remove("range_test.png")


def range_tests_answer(tests: Sequence[RangeTest], next_command: str) -> Answer:
    """Return what range tests come to, and what to try next where one gives no answer."""
    code = ExitCode.DONE if all(test.has_answer for test in tests) else ExitCode.NO_ANSWER
    return Answer(range_tests_text(tests, next_command), range_tests_data(tests), code)


def _rebuild(folder: ResultsFolder, asked: Asked) -> Answer:
    spec = folder.read_spec()
    if spec.arms and not folder.has_runs():
        raise ResultsError(f"{folder.root}: there is no folder runs/; run clrbench compare first")
    tested = {range_test_of(spec, arm): folder.range_test(arm) for arm in (None, *spec.arms)}
    tests = [read_range_test(test, spec, group) for group, test in tested.items() if test.has_runs()]
    for test in tests:
        write_range_test(test)
    if spec.arms:
        return report_experiment(folder, spec, folder.index().warnings or [], asked)
    if not tests:
        raise ResultsError(f"{folder.root}: there are no run files; run clrbench range-test first")
    advice = f"change range_test in {folder.root / SPEC_FILE}, then run clrbench range-test on it"
    return range_tests_answer(tests, advice)


def _exit_code(findings: Findings, found: Sequence[Ruling], fail_if: FailIf | None) -> ExitCode:
    if not has_answer(findings.tables["summary"]):
        return ExitCode.NO_ANSWER
    fails = {
        None: False,
        "worse": any(ruling.verdict == "worse" for ruling in found),
        "not-better": not all(ruling.is_better for ruling in found),
    }
    return ExitCode.CONDITION_HOLDS if fails[fail_if] else ExitCode.DONE
