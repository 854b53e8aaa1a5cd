"""`clrbench bounds`: rates from the curves that any trainer wrote."""

from collections.abc import Sequence
from pathlib import Path

from clrbench.analysis.own_curves import CurveColumns, read_own_bounds
from clrbench.answer import Answer, ExitCode
from clrbench.report.own_bounds import own_bounds_data, own_bounds_text, write_own_bounds
from clrbench.store.own_table import read_own_table


def bounds(paths: Sequence[Path], columns: CurveColumns, out: Path) -> Answer:
    """Read curves, each file or each seed in one a seed; write rates, curve and plot into a folder, and return the rates."""
    found = read_own_bounds([read_own_table(path) for path in paths], columns)
    write_own_bounds(found, out)
    code = ExitCode.DONE if found.rates.reason is None else ExitCode.NO_ANSWER
    text = f"{own_bounds_text(found)}\n\nRates, curve and plot: {out}"
    return Answer(text, {**own_bounds_data(found), "results": str(out)}, code)
