"""The report of an experiment that lies on disk."""

from pathlib import Path

from clrbench.commands.range_test import RangeTests
from clrbench.errors import ResultsError, SpecError
from clrbench.report import Report, write_report
from clrbench.report.bounds import write_range_test
from clrbench.spec import Spec, load_spec
from clrbench.store import SPEC_FILE, ResultsFolder


def rebuild(root: Path) -> Report | RangeTests:
    """Write the tables and plots of an experiment anew from its run files, and return what they say.

    Returns:
        The report; or the range tests, where the spec has no arms.

    Raises:
        ResultsError: If there are no run files.
    """
    folder = ResultsFolder(root)
    spec = _read_spec(root)
    if spec.arms and not folder.has_runs():
        raise ResultsError(f"{root}: no folder runs/ lies there; run clrbench compare first")
    advice = f"change range_test in {root / SPEC_FILE}, then run clrbench range-test on it"
    tested = [folder.range_test(arm) for arm in (None, *spec.arms)]
    tests = RangeTests([write_range_test(test, spec, advice) for test in tested if test.has_runs()])
    if spec.arms:
        return write_report(folder, spec, folder.index().get("warnings", []))
    if not tests.reports:
        raise ResultsError(f"{root}: no run files lie there; run clrbench range-test first")
    return tests


def _read_spec(root: Path) -> Spec:
    if not (root / SPEC_FILE).is_file():
        raise ResultsError(
            f"{root}: no {SPEC_FILE} lies there; name the folder of an experiment, such as results/demo, or run "
            "clrbench compare first"
        )
    try:
        return load_spec(root / SPEC_FILE).spec
    except SpecError as err:
        raise ResultsError(f"damaged: {err}") from err
