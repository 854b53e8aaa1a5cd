"""`clrbench report`: the tables, plots and page of experiments, from their runs on disk."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clrbench.analysis.bounds import RangeTest, confirmation_table, curve_table, read_range_test, sweeps_table
from clrbench.analysis.summary import has_answer
from clrbench.answer import Answer, ExitCode
from clrbench.commands.exit_codes import FailIf, exit_code
from clrbench.commands.reported import Reported
from clrbench.commands.side_by_side import read_side
from clrbench.errors import ResultsError
from clrbench.planning.runs import range_test_of
from clrbench.report.range_test import range_tests_data, range_tests_text
from clrbench.report.side_by_side import sides_data, sides_text
from clrbench.report.text import untuned_sentence
from clrbench.spec import Spec, to_yaml
from clrbench.store import SPEC_FILE, ResultsFolder
from clrbench.store.bounds import bounds_to_json
from clrbench.store.stamp import Stamp

_STAMP = ".written.json"


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

    def text(width: int) -> str:
        return sides_text(sides, width, details=details)

    return Answer(text, sides_data(sides), code)


def report_experiment(folder: ResultsFolder, spec: Spec, warnings: Sequence[str], asked: Asked | None = None) -> Answer:
    """Write every table, every plot and the page of an experiment from its runs, and return what they say.

    Where they were written before, and nothing has changed since, they are not written again.
    """
    asked = asked or Asked()
    stamp = Stamp(folder, _STAMP, [to_yaml(spec), *warnings])
    if not asked.details and (kept := stamp.kept()) is not None:
        return _answer(Reported.read(kept), asked)
    from clrbench.commands.write_report import write_report

    with folder.tables_lock():
        reported, names = write_report(folder, spec, warnings, details=asked.details)
        if not asked.details:
            stamp.write(names, asdict(reported))
    return _answer(reported, asked)


def _answer(reported: Reported, asked: Asked) -> Answer:
    found = [
        replace(one, for_want_of_tuning=one.for_want_of_tuning and not asked.allow_untuned) for one in reported.rulings
    ]
    untuned = untuned_sentence(found) if asked.fail_if == "not-better" else ""

    def text(width: int) -> str:
        return "\n".join(filter(None, [reported.text(width), untuned]))

    code = exit_code(
        asked.fail_if,
        has_answer=reported.has_answer,
        are_worse=(ruling.verdict == "worse" for ruling in found),
        are_better=(ruling.is_better for ruling in found),
    )
    return Answer(text, reported.data, code)


def write_range_test(test: RangeTest) -> None:
    """Write the tables, the rates and the plot of a range test, unless nothing has changed; no sweep, no plot."""
    rates = bounds_to_json(test.bounds).decode()
    stamp = Stamp(test.folder, _STAMP, [rates])
    if stamp.kept() is not None:
        return
    from clrbench.report.figures.range_test import draw_range_test
    from clrbench.report.figures.style import to_png

    folder, curve, confirmation = test.folder, curve_table(test.sweeps), confirmation_table(test)
    names = ["curve.csv", "sweeps.csv", "confirmation.csv", "bounds.json"]
    with folder.tables_lock():
        folder.write_table("curve.csv", curve)
        folder.write_table("sweeps.csv", sweeps_table(test))
        folder.write_table("confirmation.csv", confirmation)
        folder.write_bounds(test.bounds)
        if len(curve):
            folder.write_bytes("range_test.png", to_png(draw_range_test(curve, confirmation, test.bounds)))
            names.append("range_test.png")
        else:
            folder.remove("range_test.png")
        stamp.write(names, {})


def range_tests_answer(tests: Sequence[RangeTest], next_command: str, *, details: bool = False) -> Answer:
    """Return what range tests come to, and what to try next where one gives no answer."""
    code = ExitCode.DONE if all(test.has_answer for test in tests) else ExitCode.NO_ANSWER

    def text(width: int) -> str:
        return range_tests_text(tests, next_command, width, details=details)

    return Answer(text, range_tests_data(tests), code)


def _rebuild(folder: ResultsFolder, asked: Asked) -> Answer:
    spec = folder.read_spec()
    if spec.arms:
        folder.check_has_runs()
    tested = {range_test_of(spec, arm): folder.range_test(arm) for arm in (None, *spec.arms)}
    tests = [read_range_test(test, spec, group) for group, test in tested.items() if test.has_runs()]
    for test in tests:
        write_range_test(test)
    if spec.arms:
        return report_experiment(folder, spec, folder.index().warnings or [], asked)
    if not tests:
        raise ResultsError(f"{folder.root}: there are no run files; run clrbench range-test first")
    advice = f"change range_test in {folder.root / SPEC_FILE}, then run clrbench range-test on it"
    return range_tests_answer(tests, advice, details=asked.details)
