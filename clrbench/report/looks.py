"""What earlier looks at a verdict do to it, in words."""

from collections.abc import Iterator

from clrbench.analysis.comparison import Comparison, Evidence, read_rows
from clrbench.analysis.tables import Findings
from clrbench.report import words


def look_sentences(row: Comparison, evidence: Evidence, findings: Findings) -> Iterator[str]:
    """Yield why there is no verdict, and at which level it is judged where it was looked at before, a sentence each."""
    if evidence.num_missing_runs:
        yield f"There is no verdict yet: {unfinished_words(findings)}."
    if evidence.left_out_seeds:
        yield (
            f"There is no verdict while {left_out_words(evidence)}: put them back, or give the experiment a new name."
        )
    if evidence.looks > 1:
        alpha = findings.spec.verdict.alpha
        yield (
            f"This is look {evidence.looks} at the verdict on {row.backend}: the level is {alpha:g} / {evidence.looks}, and over "
            f"all looks the risk of a false better or worse is at most about {evidence.risk_over_looks:.2g}."
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
    return f"{missing} of {words.counted(findings.num_runs, 'run')} {'is' if missing == 1 else 'are'} not finished"


def left_out_words(evidence: Evidence) -> str:
    """Return which seeds were looked at and are left out, as a clause."""
    seeds = [int(seed) for seed in evidence.left_out_seeds.split()]
    were, are = ("were", "are") if len(seeds) > 1 else ("was", "is")
    return f"{words.seeds_words(seeds)} {were} looked at before and {are} left out now"
