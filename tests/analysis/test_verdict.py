"""The word for what differences show, and for what failed runs leave."""

from dataclasses import replace

import numpy as np
import pytest

from clrbench.analysis.collapse import Collapsed
from clrbench.analysis.questions import Question
from clrbench.analysis.unpaired_contests import sample_word
from clrbench.analysis.verdict import Divergence, compared, supported_verdict, verdict_word


@pytest.mark.parametrize(
    ("differences", "margin", "word"),
    [
        ([0.01] * 5, 0.001, "cannot tell"),
        ([0.01, 0.02, 0.03, 0.01, 0.02, 0.03], 0.001, "better"),
        ([-0.01, -0.02, -0.03, -0.01, -0.02, -0.03], 0.001, "worse"),
        ([0.01, -0.02, 0.03, -0.01, 0.02, -0.03], 0.001, "no difference shown"),
        ([0.0001, -0.0002, 0.0003, -0.0001, 0.0002, -0.0003], 0.001, "equivalent"),
        ([0.0001, -0.0002, 0.0003, -0.0001, 0.0002, -0.0003], None, "no difference shown"),
        ([0.0004] * 6, 0.001, "equivalent"),
        # A difference as large as the margin is not inside it, however it was rounded.
        ([0.001] * 6, 0.001, "better"),
        ([0.971 - 0.97, 0.981 - 0.98, 0.961 - 0.96, 0.991 - 0.99, 0.951 - 0.95, 0.941 - 0.94], 0.001, "better"),
        ([-0.01, 0.0, 0.0, 0.01, 0.0, 0.0], 0.01, "no difference shown"),
        ([-0.01, 0.0, 0.0, 0.01, 0.0, 0.0], 0.011, "equivalent"),
        ([0.0] * 6, 0.0, "no difference shown"),
    ],
)
def test_verdict_words(differences: list[float], margin: float | None, word: str) -> None:
    question = Question(0.05, margin, higher_is_better=True)
    p_value = compared(np.array(differences), question).p_value
    assert verdict_word(np.array(differences), p_value, question) == word


@pytest.mark.parametrize(("margin", "word"), [(0.001, "better"), (0.0011, "equivalent")])
def test_a_difference_of_two_samples_as_large_as_the_margin_is_not_inside_it(margin: float, word: str) -> None:
    question = Question(0.05, margin, higher_is_better=True)
    candidate, baseline = np.full(6, 0.813), np.full(6, 0.812)
    assert sample_word(candidate, baseline, 2 / 924, question) == word
    shared = replace(question, comparisons=2)
    assert sample_word(candidate, baseline, 4 / 924, shared) == word


def test_a_lower_loss_is_better() -> None:
    question = Question(0.05, None, higher_is_better=False)
    assert verdict_word(np.full(6, -0.1), 0.03, question) == "better"


def test_equivalence_shares_the_risk_too() -> None:
    differences = np.array([0.0003, -0.0002, 0.0003, -0.0001, 0.0002, 0.0013, 0.0001, 0.0002])
    alone, shared = (Question(0.05, 0.001, higher_is_better=True, comparisons=n) for n in (1, 6))
    assert verdict_word(differences, 0.5, alone) == "equivalent"
    assert verdict_word(differences, 0.5, shared) == "no difference shown"


@pytest.mark.parametrize(
    ("word", "metric", "divergence", "collapsed", "supported"),
    [
        ("better", "test_loss", (1, 0), (1, 0), False),
        ("better", "test_loss", (0, 1), (1, 2), True),
        ("worse", "test_loss", (0, 1), (0, 1), False),
        ("worse", "test_loss", (1, 0), (2, 1), True),
        ("equivalent", "test_loss", (0, 1), (0, 1), False),
        ("equivalent", "test_loss", (0, 0), (0, 0), True),
        ("equivalent", "test_loss", (0, 0), (0, 1), False),
        ("better", "test_accuracy", (1, 1), (2, 2), True),
        ("worse", "test_accuracy", (0, 0), (3, 0), True),
        ("equivalent", "test_accuracy", (0, 0), (1, 1), False),
        ("equivalent", "test_accuracy", (1, 1), (1, 1), False),
        ("equivalent", "validation_accuracy", (0, 0), (1, 0), False),
        ("equivalent", "test_accuracy", (0, 0), (0, 0), True),
        ("no difference shown", "test_loss", (1, 1), (2, 2), True),
    ],
)
def test_no_verdict_rests_on_what_failed_runs_do_not_show(
    word: str, metric: str, divergence: tuple[int, int], collapsed: tuple[int, int], supported: bool
) -> None:
    found = supported_verdict(word, metric, Divergence(*divergence), Collapsed(*collapsed), guesses_known=True)
    assert found == (word if supported else "cannot tell")
