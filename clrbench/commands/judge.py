"""`clrbench judge`: a verdict on results that any trainer wrote."""

from collections.abc import Sequence
from pathlib import Path

from clrbench.analysis.own_results import Asked, read_own_results
from clrbench.analysis.own_verdicts import OwnJudgement, Rules, judge_results
from clrbench.answer import Answer
from clrbench.commands.exit_codes import FailIf, exit_code
from clrbench.report.figures.own_verdicts import draw_own_verdicts
from clrbench.report.figures.plot import DrawnPlot
from clrbench.report.figures.style import to_png
from clrbench.report.figures.svg import to_svg
from clrbench.report.own_verdicts import verdict_sentence, verdicts_data, verdicts_page, verdicts_text
from clrbench.store.files import disk_errors, write_file
from clrbench.store.own_table import OwnTable, read_own_table
from clrbench.store.run import to_csv


def judge(paths: Sequence[Path], asked: Asked, rules: Rules, *, out: Path, fail_if: FailIf | None = None) -> Answer:
    """Return the verdict on the results in files; write tables, plot and page into a folder.

    Args:
        paths: CSV, TSV or JSON lines, one or more.
        asked: Which columns hold what, as far as that is said.
        rules: How the verdict is made.
        out: The folder, which is made where it is missing.
        fail_if: The condition that exit code 4 stands for; where there is no answer, 3 goes before it.

    Raises:
        SpecError: If a file cannot be read, or lacks what is asked for.
        ResultsError: If the disk refuses what is to be written.
    """
    found = judged([read_own_table(path) for path in paths], asked, rules)
    write_judgement(found, out)
    text = f"{verdicts_text(found)}\n\nTables, plot and page: {out}"
    words = [row.verdict for row in found.verdicts]
    code = exit_code(
        fail_if,
        has_answer=found.has_answer,
        are_worse=(word == "worse" for word in words),
        are_better=(word == "better" for word in words),
    )
    return Answer(text, {**verdicts_data(found), "results": str(out)}, code)


def judged(tables: Sequence[OwnTable], asked: Asked, rules: Rules) -> OwnJudgement:
    """Return the verdicts on the results in tables."""
    return judge_results(read_own_results(tables, asked), rules)


def write_judgement(found: OwnJudgement, folder: Path) -> None:
    """Write comparison.csv, summary.csv, differences.csv, plots/differences.png and report.html."""
    with disk_errors(folder):
        (folder / "plots").mkdir(parents=True, exist_ok=True)
    tables = {"comparison": found.comparison, "summary": found.summary, "differences": found.differences}
    for name, table in tables.items():
        write_file(folder / f"{name}.csv", to_csv(table))
    alt = " ".join(verdict_sentence(row, found) for row in found.verdicts)
    figure = draw_own_verdicts(found)
    plot = DrawnPlot(
        "differences", to_svg(figure, "differences"), f"Differences in {found.results.metric}", alt, to_png(figure)
    )
    write_file(folder / "plots" / "differences.png", plot.png)
    write_file(folder / "report.html", verdicts_page(found, plot).encode())
