"""What earlier looks at a verdict do to it, in words."""

from collections.abc import Iterator, Sequence

from clrbench.analysis.comparison import Evidence, read_rows
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.report import words


def look_remarks(evidence: Sequence[Evidence], findings: Findings) -> Iterator[str]:
    """Yield why a backend has no verdict, and at which level it is judged where it was looked at before, a sentence each."""
    if any(row.num_missing_runs for row in evidence):
        yield f"No verdict yet: {unfinished_words(findings)}."
    left_out = [row for row in evidence if row.left_out_seeds]
    for seeds in dict.fromkeys(left_out_words(row) for row in left_out):
        yield f"No verdict while {seeds}."
    if left_out:
        yield "Put them back, or give the experiment a new name."
    alpha = findings.spec.verdict.alpha
    for looks, risk in dict.fromkeys((row.looks, row.risk_over_looks) for row in evidence if row.looks > 1):
        yield (
            f"Interim look {looks}: judged at alpha {alpha:g} / {looks}; the risk of a false verdict over all looks is at most "
            f"about {risk:.2g}."
        )


def look_warnings(findings: Findings) -> Iterator[str]:
    """Yield which seeds the verdicts leave out: those that were looked at, and those that only lie in the folder."""
    evidence = read_rows(Evidence, findings.tables["evidence"])
    yield from dict.fromkeys(
        f"{row.backend}: no verdict while {left_out_words(row)}" for row in evidence if row.left_out_seeds
    )
    for backend, seeds in findings.unasked_seeds.items():
        yield (
            f"{backend}: finished runs with {words.seeds_words(seeds)} lie here that the spec does not ask for; if their numbers "
            "were ever seen, the verdict is worth nothing without them: put them back"
        )


def unfinished_words(findings: Findings) -> str:
    """Return how many of the runs are not finished, such as `3 of 20 runs are not finished`."""
    missing = findings.num_missing_runs
    return f"{missing} of {counted(findings.num_runs, 'run')} {'is' if missing == 1 else 'are'} not finished"


def left_out_words(evidence: Evidence) -> str:
    """Return which seeds were looked at and are left out, as a clause."""
    seeds = [int(seed) for seed in evidence.left_out_seeds.split()]
    were, are = ("were", "are") if len(seeds) > 1 else ("was", "is")
    return f"{words.seeds_words(seeds)} {were} looked at before and {are} left out now"
