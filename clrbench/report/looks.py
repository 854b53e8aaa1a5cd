"""What earlier looks at a verdict do to it, in words."""

from collections.abc import Collection, Iterator, Sequence

from clrbench.analysis.comparison import Evidence, read_rows
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.report import words


def look_remarks(evidence: Sequence[Evidence], findings: Findings) -> Iterator[str]:
    """Yield why a backend has no verdict, and at which level it is judged where it was looked at before, a sentence each."""
    if any(row.num_missing_runs for row in evidence):
        yield f"No verdict yet: {unfinished_words(findings)}."
    yield from dict.fromkeys(f"{words.capital(left_out_words(row))}." for row in evidence if row.left_out_seeds)
    alpha = findings.spec.verdict.alpha
    for looks, risk in dict.fromkeys((row.looks, row.risk_over_looks) for row in evidence if row.looks > 1):
        yield (
            f"Interim look {looks}: judged at alpha {alpha:g} / {looks}; the risk of a false verdict over all looks is at most "
            f"about {risk:.2g}."
        )


def look_warnings(findings: Findings) -> Iterator[str]:
    """Yield which seeds the verdicts leave out: those that were looked at, and those that only lie in the folder."""
    evidence = read_rows(Evidence, findings.tables["evidence"])
    yield from dict.fromkeys(f"{row.backend}: {left_out_words(row)}" for row in evidence if row.left_out_seeds)
    for backend, seeds in findings.unasked_seeds.items():
        yield f"{backend}: {unasked_words(seeds)}"


def unfinished_words(findings: Findings) -> str:
    """Return how many of the runs are not finished, such as `3 of 20 runs are not finished`."""
    missing = findings.num_missing_runs
    return f"{missing} of {counted(findings.num_runs, 'run')} {'is' if missing == 1 else 'are'} not finished"


def left_out_words(evidence: Evidence) -> str:
    """Return that there is no verdict without the seeds that were looked at and are left out, and what to do, as a clause."""
    seeds = [int(seed) for seed in evidence.left_out_seeds.split()]
    were, are, them = ("were", "are", "them") if len(seeds) > 1 else ("was", "is", "it")
    return (
        f"no verdict: {words.seeds_words(seeds)} {were} part of an earlier look and {are} missing now; add {them} back to "
        "`seeds`, or rename the experiment"
    )


def unasked_words(seeds: Collection[int]) -> str:
    """Return that finished runs with these seeds lie in the folder without being asked for, and what to do, as a clause."""
    them = "them" if len(set(seeds)) > 1 else "it"
    return (
        f"finished runs with {words.seeds_words(seeds)} are here but not in the spec; add {them} back to `seeds` if "
        "their results were ever looked at"
    )
