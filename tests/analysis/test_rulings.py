"""What a verdict counts as where somebody acts on it."""

from typing import Any

import pandas as pd
import pytest
from runs_in_memory import make_spec
from specs import CONSTANT

from clrbench.analysis.comparison import COMPARISON_COLUMNS, EVIDENCE_COLUMNS
from clrbench.analysis.rulings import rulings

TUNED = {"schedule": {"name": "constant", "lr": [0.01, 0.1]}}


def tables(*rows: tuple[str, str, bool]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return comparison.csv and evidence.csv of clr against baselines, each with its word and whether it is untuned."""
    places = [{"backend": "torch", "metric": "test_accuracy", "candidate": "clr", "baseline": row[0]} for row in rows]
    words = [{**place, "verdict": word} for place, (_, word, _) in zip(places, rows, strict=True)]
    other = [{**row, "metric": "test_loss", "verdict": "worse"} for row in words]
    comparison = pd.DataFrame([*words, *other]).reindex(columns=list(COMPARISON_COLUMNS))
    evidence = pd.DataFrame([{**place, "untuned": row[2]} for place, row in zip(places, rows, strict=True)])
    return comparison, evidence.reindex(columns=list(EVIDENCE_COLUMNS))


@pytest.mark.parametrize(
    ("word", "untuned", "better", "wanting"),
    [
        ("better", False, True, False),
        ("better", True, False, True),
        ("worse", True, False, False),
        ("worse", False, False, False),
        ("equivalent", True, False, False),
        ("no difference shown", True, False, False),
        ("cannot tell", True, False, False),
    ],
)
def test_better_than_an_untuned_baseline_is_not_better(word: str, untuned: bool, better: bool, wanting: bool) -> None:
    (ruling,) = rulings(*tables(("constant", word, untuned)), make_spec())
    assert (ruling.verdict, ruling.is_better, ruling.for_want_of_tuning) == (word, better, wanting)


@pytest.mark.parametrize("word", ["better", "worse", "no difference shown"])
def test_the_rate_given_of_a_tuned_baseline_is_no_straw_man_as_the_tuned_one_stands_beside_it(word: Any) -> None:
    spec = make_spec(arms={"constant": TUNED, "clr": CONSTANT})
    found = rulings(*tables(("constant@0.01", "better", True), ("constant", word, False)), spec)
    assert [ruling.is_better for ruling in found] == [True, word == "better"]
