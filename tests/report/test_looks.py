"""Looks in words: why there is no verdict, and at which level it is judged."""

from typing import Any

import pytest
from answers import flowing
from runs_in_memory import results_of, stored_run

from clrbench.analysis.results import LookedAt, Results
from clrbench.analysis.tables import Findings, analyse
from clrbench.report.looks import look_warnings, unfinished_words
from clrbench.report.text import finding_warnings, findings_data
from clrbench.store import RunKey


def results(asked: Any, pairs: int = 7, **looked: Any) -> Results:
    runs = [stored_run(arm, seed, {10: end}) for seed in range(pairs) for arm, end in (("constant", 0.7), ("clr", 0.8))]
    return results_of(runs, seeds=asked).with_looks({"torch": LookedAt(**looked)})


def findings(*arguments: Any, **looked: Any) -> Findings:
    return analyse(results(*arguments, **looked))


def verdict(found: Findings) -> str:
    """Return the verdict in words, and what belongs to it."""
    return flowing(found).partition("Verdict ")[2].partition(" torch test accuracy")[0]


def test_a_first_look_at_a_finished_experiment_is_not_spoken_of() -> None:
    found = findings(7)
    assert verdict(found) == "torch: clr beats constant (untuned)."
    assert list(look_warnings(found)) == []
    (row,) = findings_data(found, [])["verdicts"]
    assert (row["looks"], row["left_out_seeds"], row["num_missing_runs"], row["risk_over_looks"]) == (1, "", 0, 0.05)


def test_another_look_says_its_level_and_what_all_looks_risk() -> None:
    assert verdict(findings(7, index=2)) == (
        "torch: clr beats constant (untuned). Interim look 2: judged at alpha 0.05 / 2; the risk of a false verdict over all "
        "looks is at most about 0.07."
    )


@pytest.mark.parametrize(
    ("seeds", "missing"), [(8, "2 of 16 runs are"), (10, "6 of 20 runs are"), ((*range(6), 9), "2 of 14 runs are")]
)
def test_an_unfinished_experiment_has_no_verdict_and_says_why_first(seeds: Any, missing: str) -> None:
    found = findings(seeds)
    assert unfinished_words(found) == f"{missing} not finished"
    assert verdict(found).startswith(
        f"torch: cannot tell clr from constant (untuned). No verdict yet: {missing} not finished."
    )
    assert "would take" not in flowing(found)
    assert "No verdict on" not in flowing(found)
    assert f"{missing} not finished; run `clrbench compare` again to make them" in list(finding_warnings(found))


def test_a_single_missing_run_is_one() -> None:
    whole = results(7)
    short = Results(whole.spec, whole.runs[1:], whole.search)
    assert unfinished_words(analyse(short)) == "1 of 14 runs is not finished"


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({7, 8, 9}, "seeds 7 to 9 were part of an earlier look and are missing now; add them back"),
        ({12}, "seed 12 was part of an earlier look and is missing now; add it back"),
        ({8, 3, 11}, "seeds 8, 11 were part of an earlier look and are missing now; add them back"),
    ],
)
def test_seeds_that_are_left_out_are_named_first_and_warned_about(shown: set[int], words: str) -> None:
    found = findings(7, seeds=frozenset(shown))
    assert verdict(found) == (
        f"torch: no difference shown between clr and constant (untuned). No verdict: {words} to "
        "`seeds`, or rename the experiment."
    )
    assert list(look_warnings(found)) == [f"torch: no verdict: {words} to `seeds`, or rename the experiment"]


def test_too_few_pairs_beside_seeds_that_are_left_out_cannot_tell() -> None:
    found = findings(5, pairs=5, seeds=frozenset({7}))
    assert verdict(found).startswith("torch: cannot tell clr from constant (untuned). No verdict: seed 7 was ")
    assert "A verdict would take at least 6 seeds." in verdict(found)


def test_finished_pairs_that_the_spec_does_not_ask_for_are_warned_about() -> None:
    whole = results(7)
    stored = frozenset(RunKey("torch", arm, seed) for arm in ("constant", "clr") for seed in range(10))
    found = analyse(Results(whole.spec, whole.runs, whole.search, {}, stored))
    assert list(finding_warnings(found)) == [
        "torch: finished runs with seeds 7 to 9 are here but not in the spec; add them back to `seeds` if their "
        "results were ever looked at"
    ]
    assert verdict(found) == (
        "torch: clr beats constant (untuned). Finished runs with seeds 7 to 9 are here but not in the spec; add "
        "them back to `seeds` if their results were ever looked at."
    )
