"""The report of an experiment that lies on disk."""

from pathlib import Path

from clrbench.errors import ResultsError
from clrbench.report import SPEC_FILE, Report, write_report
from clrbench.report.bounds import write_range_test
from clrbench.spec import load_spec
from clrbench.store import ResultsFolder


def rebuild(root: Path) -> Report:
    """Write the tables and plots of an experiment anew from its run files, and return what they say.

    Raises:
        ResultsError: If there are no run files.
    """
    folder = ResultsFolder(root)
    if not (root / SPEC_FILE).is_file() or not folder.has_runs():
        raise ResultsError(
            f"{root}: no spec.yaml and runs/ lie there; name the folder of an experiment, such as results/demo, or run "
            "clrbench compare first"
        )
    spec = load_spec(root / SPEC_FILE).spec
    for arm in (None, *spec.arms):
        tested = folder.range_test(arm)
        if tested.has_runs():
            write_range_test(tested, f"change range_test in {root / SPEC_FILE}, then run clrbench range-test on it")
    return write_report(folder, spec, folder.index().get("warnings", []))
