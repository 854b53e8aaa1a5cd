"""Which arm an experiment speaks for."""

from collections.abc import Iterable

from clrbench.analysis.comparison import Comparison


def winner(rows: Iterable[Comparison]) -> tuple[str | None, str]:
    """Return the arm that won, and why none did.

    A candidate wins that is better than its baseline, whichever rate this is taken at; a baseline wins that every candidate is
    worse than. Where several win there is no winner.

    Args:
        rows: The verdicts in the metric of the verdict, on one backend.
    """
    rows = list(rows)
    candidates = {row.candidate: {other.verdict for other in rows if other.candidate == row.candidate} for row in rows}
    ahead = [name for name, verdicts in candidates.items() if verdicts == {"better"}]
    if len(ahead) == 1:
        return ahead[0], ""
    if ahead:
        return None, f"several arms are better than their baseline ({', '.join(ahead)})"
    baselines = {row.baseline for row in rows}
    if len(baselines) == 1 and all(row.verdict == "worse" for row in rows):
        return baselines.pop(), ""
    return None, "no arm won" if rows else "there is nothing to compare"


def rows_on(rows: Iterable[Comparison], metric: str, backend: str) -> list[Comparison]:
    """Return the verdicts in a metric on a backend."""
    return [row for row in rows if row.metric == metric and row.backend == backend]
