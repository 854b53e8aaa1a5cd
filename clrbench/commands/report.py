"""`clrbench report`: the tables, plots and page of experiments that lie on disk."""

from collections.abc import Sequence
from pathlib import Path

from clrbench.answer import Answer, ExitCode
from clrbench.commands.compare import report_answer
from clrbench.commands.range_test import range_tests_answer
from clrbench.errors import ResultsError, SpecError
from clrbench.report import write_report
from clrbench.report.bounds import write_range_test
from clrbench.report.side_by_side import side_by_side
from clrbench.spec import Spec, load_spec
from clrbench.store import SPEC_FILE, ResultsFolder


def report(roots: Sequence[Path]) -> Answer:
    """Write the tables and plots of an experiment anew from its runs; or set several side by side, writing nothing.

    Args:
        roots: The folders of the experiments, at least one.

    Raises:
        ResultsError: If there are no runs, or no tables of several, or a file is damaged.
    """
    if len(roots) == 1:
        return _rebuild(roots[0])
    found = side_by_side(roots)
    return Answer(found.text, found.data, ExitCode.DONE if found.has_answer else ExitCode.NO_ANSWER)


def _rebuild(root: Path) -> Answer:
    folder = ResultsFolder(root)
    spec = _read_spec(root)
    if spec.arms and not folder.has_runs():
        raise ResultsError(f"{root}: there is no folder runs/; run clrbench compare first")
    advice = f"change range_test in {root / SPEC_FILE}, then run clrbench range-test on it"
    tested = [folder.range_test(arm) for arm in (None, *spec.arms)]
    tests = [write_range_test(test, spec, advice) for test in tested if test.has_runs()]
    if spec.arms:
        return report_answer(write_report(folder, spec, folder.index().warnings or []))
    if not tests:
        raise ResultsError(f"{root}: there are no run files; run clrbench range-test first")
    return range_tests_answer(tests)


def _read_spec(root: Path) -> Spec:
    if not (root / SPEC_FILE).is_file():
        raise ResultsError(
            f"{root}: there is no {SPEC_FILE}; name the folder of an experiment, such as results/demo, or run "
            "clrbench compare first"
        )
    try:
        return load_spec(root / SPEC_FILE).spec
    except SpecError as err:
        raise ResultsError(f"damaged: {err}") from err
