"""`clrbench bounds`: rates from the curves that any trainer wrote."""

from collections.abc import Sequence
from pathlib import Path

from clrbench.analysis.own_bounds import OwnBounds
from clrbench.analysis.own_curves import CurveColumns, read_own_bounds
from clrbench.answer import Answer, ExitCode
from clrbench.report.own_bounds import own_bounds_data, own_bounds_file, own_bounds_text
from clrbench.store.files import disk_errors, write_file
from clrbench.store.own_table import read_own_table

FILES = ("bounds.json", "curve.csv", "range_test.png")


def bounds(paths: Sequence[Path], columns: CurveColumns, out: Path) -> Answer:
    """Read curves, each file or each seed in one a seed; write rates, curve and plot into a folder, and return the rates."""
    found = read_own_bounds([read_own_table(path) for path in paths], columns)
    write_own_bounds(found, out)
    code = ExitCode.DONE if found.rates.reason is None else ExitCode.NO_ANSWER
    text = f"{own_bounds_text(found)}\n\nRates, curve and plot: {out}"
    return Answer(text, {**own_bounds_data(found), "results": str(out)}, code)


def write_own_bounds(found: OwnBounds, folder: Path) -> None:
    """Write rates, curves and plot into a folder, which is made where it is missing."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        write_file(folder / name, own_bounds_file(found, Path(name).suffix))
