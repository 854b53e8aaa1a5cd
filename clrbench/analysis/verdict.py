"""What the differences of pairs show, in a word, and whether failed runs leave anything to rest it on."""

from dataclasses import dataclass

import numpy as np

from clrbench.analysis.collapse import Collapsed
from clrbench.analysis.metrics import is_accuracy
from clrbench.analysis.questions import Question
from clrbench.records import DoubleArray
from clrbench.stats import PairedComparison, compare_paired, pairs_needed


def compared(differences: DoubleArray, question: Question) -> PairedComparison:
    """Return what the differences of one comparison show, taken alone."""
    nothing = np.zeros_like(differences)
    return compare_paired(differences, nothing, alpha=question.alpha, higher_is_better=question.higher_is_better)


def verdict_word(
    differences: DoubleArray, p_value: float, question: Question, alone: PairedComparison | None = None
) -> str:
    """Return what differences candidate - baseline, float64[pairs], show; their exact p is adjusted for the family.

    What they show taken alone, where that is known already, saves counting it again.
    """
    if len(differences) < pairs_needed(question.alpha, question.comparisons):
        return "cannot tell"
    share = question.share
    found = alone if alone is not None and share == question else compared(differences, share)
    return question.word(found.mean_difference, (found.ci_low, found.ci_high), p_value)


def shown_margin(margin: float | None, resolution: float) -> float | None:
    """Return a margin where it is no finer than the difference that one row makes, else None: so few rows cannot show it."""
    return None if margin is None or margin < resolution else margin


@dataclass(frozen=True)
class Divergence:
    """In how many pairs of a comparison the run of one arm diverged and that of the other did not."""

    of_candidate: int
    of_baseline: int


def supported_verdict(
    word: str, metric: str, divergence: Divergence, collapsed: Collapsed, *, guesses_known: bool
) -> str:
    """Return the verdict of the pairs that count, or `cannot tell` where it rests on what failed runs do not show.

    The pairs that a diverged run leaves without a loss are those in which its arm failed: without them no verdict is in its
    favour. Arms of which a run collapsed are not equivalent: what they come to depends on how often they collapse.
    In accuracy a diverged run counts as a blind guess, where it is known what that reaches.
    """
    one_sided = {"better": divergence.of_candidate, "worse": divergence.of_baseline}
    flattered = {} if is_accuracy(metric) and guesses_known else one_sided
    shows_nothing = {"equivalent": sum(collapsed), **flattered}
    return "cannot tell" if shows_nothing.get(word) else word
