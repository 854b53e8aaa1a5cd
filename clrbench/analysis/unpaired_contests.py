"""Two arms whose runs do not start alike, seed by seed: the exact test of two samples, and the word for what it shows."""

from __future__ import annotations

from clrbench.analysis.questions import Question
from clrbench.records import DoubleArray
from clrbench.stats import PairedComparison
from clrbench.unpaired import UnpairedComparison, compare_unpaired, smallest_unpaired_p


def compared_samples(candidate: DoubleArray, baseline: DoubleArray, question: Question) -> PairedComparison:
    """Return what two samples show, taken alone; nothing is won or lost, as there are no pairs.

    `pairs` is the size of the smaller sample.
    """
    found = compare_unpaired(candidate, baseline, alpha=question.alpha)
    pairs = min(len(candidate), len(baseline))
    return PairedComparison(
        pairs, found.difference, found.ci_low, found.ci_high, found.p_value, wins=0, ties=0, losses=0
    )


def sample_word(
    candidate: DoubleArray,
    baseline: DoubleArray,
    p_value: float,
    question: Question,
    alone: UnpairedComparison | None = None,
) -> str:
    """Return what two samples show, as `verdict_word` does for pairs; their exact p is adjusted for the family.

    What they show taken alone, where that is known already, saves counting it again.
    """
    if question.comparisons * smallest_unpaired_p(len(candidate), len(baseline)) > question.alpha:
        return "cannot tell"
    share = question.share
    found = (
        alone if alone is not None and share == question else compare_unpaired(candidate, baseline, alpha=share.alpha)
    )
    return question.word(found.difference, (found.ci_low, found.ci_high), p_value)
