"""An experiment as the tables in its folder tell it, to be set beside others."""

from pathlib import Path

from clrbench.analysis.comparison import COMPARISON_COLUMNS
from clrbench.report.side_by_side import Side
from clrbench.store import ResultsFolder

WARNINGS_FILE, WARNING_COLUMN = "warnings.csv", "warning"
"""What a report warned of, before training and after it: one row per warning."""
_KEYS = ("backend", "candidate", "baseline")
_EVIDENCE_COLUMNS = ("untuned", "adjusted_p_value", "comparisons", "rows", "alpha")
_SUMMARY_COLUMNS = ("backend", "arm", "runs", "diverged")


def read_side(root: Path) -> Side:
    """Return an experiment by the tables in its folder.

    Raises:
        ResultsError: If a table is not there, or cannot be read.
    """
    folder = ResultsFolder(root)
    spec = folder.read_spec()
    comparison = folder.read_table("comparison.csv", COMPARISON_COLUMNS)
    summary = folder.read_table("summary.csv", (*_SUMMARY_COLUMNS, f"{spec.verdict.metric}_mean"))
    primary = comparison[comparison["metric"] == spec.verdict.metric].reset_index(drop=True)
    evidence = folder.read_table("evidence.csv", (*_KEYS, *_EVIDENCE_COLUMNS))
    # Before scripts could be compared, all runs were pairs and no column said so.
    evidence = evidence.assign(paired=evidence.get("paired", True))
    behind = primary[list(_KEYS)].merge(evidence[[*_KEYS, *_EVIDENCE_COLUMNS, "paired"]], on=list(_KEYS), how="left")
    warnings = folder.read_table(WARNINGS_FILE, (WARNING_COLUMN,))[WARNING_COLUMN]
    return Side(root, spec, primary, behind, summary, [str(warning) for warning in warnings])
