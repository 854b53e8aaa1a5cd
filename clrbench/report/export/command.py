"""The command that exports an arm, for the answer of those that train."""

import shlex
from pathlib import Path

from clrbench.analysis.comparison import Comparison, read_rows
from clrbench.analysis.tables import Findings
from clrbench.analysis.winner import rows_on, winner
from clrbench.planning.tuning import labelled_arm


def export_line(root: Path, findings: Findings) -> str:
    """Return how to have the schedule of an arm, that of the winner where there is one, as code for one's own script."""
    metric, rows = findings.spec.verdict.metric, read_rows(Comparison, findings.tables["comparison"])
    won = [winner(rows_on(rows, metric, backend))[0] for backend in dict.fromkeys(row.backend for row in rows)]
    same = won[0] if won and len(set(won)) == 1 else None
    only = next(iter(findings.spec.arms)) if len(findings.spec.arms) == 1 else None
    arm = labelled_arm(findings.spec, same) if same else only or "NAME"
    return f"as code: clrbench export {shlex.quote(str(root))} --arm {arm} --to torch"
