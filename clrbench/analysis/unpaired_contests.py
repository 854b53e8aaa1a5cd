"""Two arms whose runs do not start alike, seed by seed: the exact test of two samples, and the word for what it shows."""

from __future__ import annotations

from clrbench.analysis.questions import Question
from clrbench.records import DoubleArray
from clrbench.stats import PairedComparison
from clrbench.unpaired import compare_unpaired, smallest_unpaired_p


def compared_samples(candidate: DoubleArray, baseline: DoubleArray, question: Question) -> PairedComparison:
    """Return what two samples show, taken alone; nothing is won or lost, as there are no pairs.

    `pairs` is the size of the smaller sample.
    """
    found = compare_unpaired(candidate, baseline, alpha=question.alpha)
    pairs = min(len(candidate), len(baseline))
    return PairedComparison(
        pairs, found.difference, found.ci_low, found.ci_high, found.p_value, wins=0, ties=0, losses=0
    )


def sample_word(candidate: DoubleArray, baseline: DoubleArray, p_value: float, question: Question) -> str:
    """Return what two samples show, as `verdict_word` does for pairs; their exact p is adjusted for the family."""
    if question.comparisons * smallest_unpaired_p(len(candidate), len(baseline)) > question.alpha:
        return "cannot tell"
    share = compare_unpaired(candidate, baseline, alpha=question.alpha / question.comparisons)
    margin = question.margin or 0.0
    if -margin < share.ci_low and share.ci_high < margin:
        return "equivalent"
    if p_value > question.alpha:
        return "no difference shown"
    difference = float(candidate.mean() - baseline.mean())
    return "better" if (difference > 0) == question.higher_is_better else "worse"
