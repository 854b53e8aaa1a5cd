"""Draw the pictures of the committed results anew from the committed tables: a change of a figure needs no training."""

import argparse
from pathlib import Path

from clrbench.analysis.tables import TABLES, Findings
from clrbench.report.figures.range_test import draw_range_test
from clrbench.report.figures.registry import draw_figures
from clrbench.report.figures.style import to_png
from clrbench.store import ResultsFolder

COMMITTED = Path(__file__).parents[1] / "results"


def main() -> None:
    """Draw those of every experiment, or of the ones named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="experiments; all of them if none is named")
    names = parser.parse_args().names or sorted(path.parent.name for path in COMMITTED.glob("*/spec.yaml"))
    for name in names:
        redraw(ResultsFolder(COMMITTED / name))
        print(name, flush=True)


def redraw(folder: ResultsFolder) -> None:
    """Draw the pictures of one experiment, and those of its range tests."""
    spec = folder.read_spec()
    if spec.arms:
        names = [table.name for table in TABLES if (folder.root / f"{table.name}.csv").exists()]
        findings = Findings(spec, {name: folder.read_table(f"{name}.csv", []) for name in names})
        for figure in draw_figures(findings):
            folder.write_bytes(f"plots/{figure.name}.png", figure.png)
    for path in sorted(folder.root.glob("range-test/**/curve.csv")):
        test = ResultsFolder(path.parent)
        curve, confirmation = (test.read_table(name, []) for name in ("curve.csv", "confirmation.csv"))
        test.write_bytes("range_test.png", to_png(draw_range_test(curve, confirmation, test.bounds())))


if __name__ == "__main__":
    main()
