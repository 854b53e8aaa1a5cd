"""What is said of findings whose numbers are known, in words and as plain data."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from answers import ending, flowing, shown
from runs_in_memory import results_of, stored_run
from script_runs import script_results
from specs import CONSTANT

from clrbench.analysis.results import LookedAt
from clrbench.analysis.tables import Findings, analyse
from clrbench.rates import Rates
from clrbench.report.answer import NOTHING_TO_COMPARE
from clrbench.report.text import finding_warnings, findings_data

NAN = math.nan
FOUND = {"schedule": {"name": "constant", "lr": {"value": 0.1, "steps": 9}}}
MID_CYCLE = {
    "constant": CONSTANT,
    "clr": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "2 steps"}},
}
ENDS = [0.72, 0.71, 0.74, 0.7, 0.71, 0.75]


def against_constant(clr: Sequence[float], constant: float = 0.7, **changes: Any) -> Findings:
    """Return the findings of clr with these ends, beside a constant rate that always has the same."""
    runs = [*ending("constant", [constant] * len(clr)), *ending("clr", clr)]
    return analyse(results_of(runs, **{"seeds": len(clr), **changes}))


# The verdict.


def test_the_answer_stands_first_and_its_numbers_in_a_table() -> None:
    lines = shown(against_constant([0.71, 0.74, 0.72, 0.75, 0.73, 0.76])).splitlines()
    assert lines == [
        "test: mlp on mnist, 100 rows, sgd, batch 100, 4 epochs, 6 seeds; accuracy in %, mean +- sd",
        "Rates     torch: as given in the spec; no search was run",
        "Verdict   torch: clr beats constant (untuned).",
        "",
        "torch     test accuracy  difference, 95 % CI  p      verdict",
        "clr       73.5 +- 1.9    +3.5 [+1.0, +6.0]    0.031  + better",
        "constant  70.0 +- 0.0    (baseline)",
        "",
        "Use it    torch: clr: constant(lr=0.1), 5 updates",
        "          as code: clrbench export results/demo --arm clr --to torch",
        "Page      results/demo/report.html",
    ]


@pytest.mark.parametrize(
    ("ends", "answer"),
    [
        ([0.8] * 6, "clr beats {}"),
        ([0.6] * 6, "{} beats clr"),
        ([0.7] * 6, "clr and {} are equivalent"),
        ([0.6, 0.8] * 3, "no difference shown between clr and {}"),
        ([0.8] * 5, "cannot tell clr from {}"),
    ],
)
def test_every_verdict_has_its_answer_and_says_untuned_in_it(ends: list[float], answer: str) -> None:
    verdict = {"margin": 0.01}
    text = flowing(against_constant(ends, verdict=verdict))
    assert f"Verdict torch: {answer.format('constant (untuned)')}." in text
    arms = {"constant": FOUND, "clr": CONSTANT}
    text = flowing(against_constant(ends, arms=arms, verdict=verdict))
    assert f"Verdict torch: {answer.format('constant')}." in text


def test_arms_whose_rates_were_found_at_a_cost_that_nobody_states_are_named_once() -> None:
    line = "No totals for {} whose rates have no `steps`: {}."
    both = flowing(against_constant(ENDS), details=True)
    assert both.count(line.format("2 arms", "constant and clr")) == 1
    one = flowing(against_constant(ENDS, arms={"constant": FOUND, "clr": CONSTANT}), details=True)
    assert line.format("1 arm", "clr") in one
    found = against_constant(ENDS, arms=dict.fromkeys(["constant", "clr"], FOUND))
    assert "No totals" not in flowing(found, details=True)


def test_caveats_of_a_range_test_are_warnings() -> None:
    caveat = "confirmed over only 80 of the arms' 200 updates"
    plain = Rates(0.01, 0.1, 0.03, 0.01)
    bounds = {("torch", None): replace(plain, caveats=(caveat,)), ("torch", "own"): plain}
    findings = replace(against_constant([0.8]), bounds=bounds)
    assert list(finding_warnings(findings)) == [f"torch, range test: {caveat}"]
    own = replace(findings, bounds={("keras", "own"): replace(plain, caveats=(caveat,))})
    assert list(finding_warnings(own)) == [f"keras, range test of own: {caveat}"]


def test_a_caveat_that_backends_and_arms_share_is_said_once() -> None:
    plain = Rates(0.01, 0.1, 0.03, 0.01)
    here, there = replace(plain, caveats=("here",)), replace(plain, caveats=("there", "here"))
    of_arms = {("keras", "a"): here, ("torch", "a"): there, ("keras", "b"): here, ("torch", "b"): here}
    findings = replace(against_constant([0.8]), bounds={("keras", None): here, ("torch", None): here, **of_arms})
    assert list(finding_warnings(findings)) == [
        "keras, torch, range test: here",
        "keras, torch, range test of a, b: here",
        "torch, range test of a: there",
    ]


def test_a_low_baseline_is_warned_about_after_training_only_where_it_was_not_known_before() -> None:
    rates = {"constant": 0.01, "clr": 0.1}

    def found(**arms: Any) -> list[str]:
        runs = [
            run for arm, rate in rates.items() for run in ending(arm, [0.7], schedule={"name": "constant", "lr": rate})
        ]
        spec = {"constant": CONSTANT, "clr": CONSTANT, **arms}
        return list(finding_warnings(analyse(results_of(runs, arms=spec, seeds=1))))

    assert found() == []
    ranged = {"schedule": {"name": "constant", "lr": "range_test"}}
    assert found(constant=ranged) == found(clr=ranged)
    assert found(constant=ranged) == [
        "torch: baseline constant trains at a mean rate of 0.01, more than half a decade below clr (0.1, 10 times as high): it "
        "may lose by its rate alone; tune it (lr: [...]), or give it a higher rate"
    ]


def test_where_adjusting_undoes_what_an_interval_alone_would_show_it_is_said() -> None:
    said = "Verdicts are adjusted for multiple comparisons; intervals are not."
    gains = [-0.001, -0.002, 0.01, 0.011, 0.012, 0.013, 0.014, 0.015]
    runs = [*ending("constant", [0.7] * 8), *ending("clr", [0.7 + gain for gain in gains])]
    alone = analyse(results_of(runs, seeds=8))
    assert said not in flowing(alone)
    arms = dict.fromkeys(["constant", "clr", "triangular", "cosine"], CONSTANT)
    runs += [*ending("triangular", [0.69, 0.71] * 4), *ending("cosine", [0.71, 0.69] * 4)]
    together = analyse(results_of(runs, arms=arms, seeds=8))
    verdicts = [found.tables["comparison"].iloc[0]["verdict"] for found in (alone, together)]
    assert verdicts == ["better", "no difference shown"]
    assert said in flowing(together)


def test_what_follows_from_a_verdict_stands_behind_it() -> None:
    equivalent = flowing(against_constant([0.7] * 6, verdict={"margin": 0.01}), details=True)
    assert "Equivalent: the whole interval lies within the margin 0.01." in equivalent
    detectable = shown(against_constant([0.6, 0.8] * 3), 200, details=True)
    assert re.search(r"MDE\n.* \d\d\.\d$", detectable, flags=re.MULTILINE)


def test_few_pairs_have_no_interval_and_take_more_seeds() -> None:
    findings = against_constant([0.8] * 2)
    text = flowing(findings)
    assert "+10.0 [unbounded] 0.5 ? cannot tell" in text
    assert "A verdict would take at least 6 seeds." in text
    data = json.loads(json.dumps(findings_data(findings, []), allow_nan=False))
    (verdict,) = data["verdicts"]
    assert (verdict["verdict"], verdict["ci_low"], verdict["pairs"]) == ("cannot tell", None, 2)


def test_data_holds_what_was_asked_the_tables_and_the_warnings() -> None:
    data = findings_data(against_constant(ENDS), ["a warning"])
    assert {key: data[key] for key in ("experiment", "metric", "alpha", "margin", "warnings", "chosen")} == {
        "experiment": "test",
        "metric": "test_accuracy",
        "alpha": 0.05,
        "margin": 0.001,
        "warnings": ["a warning"],
        "chosen": [],
    }
    (verdict,) = data["verdicts"]
    assert (verdict["pairs_left_out"], verdict["looks"], verdict["rows"]) == (0, 1, 400)
    assert [row["arm"] for row in data["summary"]] == ["constant", "clr"]
    assert (data["summary"][0]["validation_loss_mean"], data["published"]) == (None, [])
    assert [(row["arm"], row["collapsed"]) for row in data["collapse"]] == [("constant", 0), ("clr", 0)]
    assert (verdict["far_seeds"], verdict["candidate_collapsed"]) == ("", 0)


def test_one_arm_alone_has_nothing_to_compare() -> None:
    findings = analyse(results_of(ending("constant", [0.7]), arms={"constant": CONSTANT}))
    text = shown(findings)
    assert f"Verdict   torch: {NOTHING_TO_COMPARE}" in text
    assert "\ntorch     test accuracy\nconstant  70.0\n" in text


def test_several_comparisons_are_allowed_for() -> None:
    arms = dict.fromkeys(["constant", "clr", "third"], CONSTANT)
    runs = [run for arm, end in zip(arms, (0.7, 0.8, 0.9), strict=True) for run in ending(arm, [end] * 7)]
    findings = analyse(results_of(runs, arms=arms, seeds=7))
    assert "torch: clr, third beat constant (untuned)." in flowing(findings)
    assert "Holm p" in shown(findings)
    assert "Verdicts on a backend are Holm-adjusted over 2 comparisons." in flowing(findings, details=True)


def test_a_comparison_at_the_end_of_a_cycle_says_so() -> None:
    text = flowing(against_constant([0.5] * 6, arms=MID_CYCLE))
    assert "Compared at epoch 2, the end of the last whole cycle: training ends mid-cycle." in text


def test_a_second_look_is_judged_at_its_own_level() -> None:
    first = results_of([*ending("constant", [0.7] * 7), *ending("clr", [*ENDS, 0.73])], seeds=7)
    text = flowing(analyse(first.with_looks({"torch": LookedAt(2)})))
    assert "Interim look 2: judged at alpha 0.05 / 2;" in text
    assert "difference, 97.5 % CI" in text
    assert "95 % CI" not in flowing(analyse(first.with_looks({"torch": LookedAt(2)})), details=True)


def test_runs_that_are_no_pairs_are_counted_by_side_and_show_nothing_that_only_pairs_have() -> None:
    found = against_constant([0.71, 0.72, 0.71, 0.73, 0.72, 0.4])
    evidence = found.tables["evidence"].assign(paired=False, detectable_difference=NAN)
    comparison = found.tables["comparison"].assign(wins=0, losses=0)
    summary = found.tables["summary"]
    summary = summary.assign(diverged=summary["arm"].map({"clr": 1, "constant": 0}))
    tables = {**found.tables, "evidence": evidence, "comparison": comparison, "summary": summary}
    lines = shown(replace(found, tables=tables), details=True).splitlines()
    row = lines[next(number for number, line in enumerate(lines) if "won, tied, lost" in line) + 1]
    assert re.search(r"5 against 6 runs +- +- +-( +-)?$", row)
    assert "far from the rest" not in " ".join(lines)


def test_scope_and_sampling_error_are_named() -> None:
    text = flowing(against_constant(ENDS), details=True)
    assert "Scope: mlp on mnist, this split and these settings." in text
    assert "Seeds vary only initial weights and batch order." in text
    assert "The 400 test rows are a sample too: the CI with test rows allows for that." in text
    train = flowing(against_constant(ENDS, verdict={"metric": "train_accuracy"}), details=True)
    assert "are a sample too" not in train


@pytest.mark.parametrize(
    ("ends", "changes"), [(ENDS, {"verdict": {"metric": "test_loss"}}), (ENDS[:2], {}), (ENDS, {"arms": MID_CYCLE})]
)
def test_an_interval_with_rows_is_spoken_of_only_where_there_is_one(ends: list[float], changes: dict[str, Any]) -> None:
    assert "CI with test rows" in flowing(against_constant(ENDS), details=True)
    text = flowing(against_constant(ends, **changes), details=True)
    assert "won, tied, lost median MDE" in text
    assert "are a sample too" not in text


def test_published_values_are_set_beside_the_runs() -> None:
    arms = {"clr": {**CONSTANT, "published": {"test_accuracy": 0.85}}}

    def text_of(ends: list[float]) -> str:
        return flowing(analyse(results_of(ending("clr", ends), arms=arms)), details=True)

    start = "torch clr test accuracy, % 85.00"
    assert f"{start} 2 of 3 80.00 70.00 90.00" in text_of([0.7, 0.8, 0.9])
    assert f"{start} 1 of 1 70.00 70.00 70.00" in text_of([0.7, NAN])
    assert f"{start} every run diverged - - -" in text_of([NAN])


# Runs that diverged.


def test_runs_that_diverged_are_named_with_what_they_count_as() -> None:
    accuracy = flowing(against_constant([NAN, *[0.7] * 5]))
    assert "1 of 6 runs of clr diverged; in accuracy they count as a blind guess." in accuracy
    loss = flowing(against_constant([NAN, *[0.7] * 5], verdict={"metric": "test_loss"}))
    assert "1 of 6 runs of clr diverged; their pairs are left out of the difference." in loss


def test_an_arm_of_which_every_run_diverged_has_no_mean() -> None:
    text = flowing(against_constant([NAN] * 2, verdict={"metric": "test_loss"}))
    assert "clr all diverged no pair ? cannot tell" in text
    assert "2 of 2 runs of clr diverged; their pairs are left out of the difference." in text


@pytest.mark.parametrize("ends", [[0.8] * 7 + [NAN], [0.8] * 6 + [NAN] * 2])
def test_no_verdict_rests_on_the_pairs_that_a_divergence_leaves(ends: list[float]) -> None:
    findings = against_constant(ends, verdict={"metric": "test_loss"})
    text = flowing(findings)
    assert "No verdict on clr: runs diverged in other pairs, so the remaining pairs cannot support a verdict." in text
    (row,) = findings_data(findings, [])["verdicts"]
    assert row["pairs_left_out"] == sum(map(math.isnan, ends))


@pytest.mark.parametrize(("metric", "left_out"), [("test_loss", 1), ("test_accuracy", 0)])
def test_pairs_left_out_are_those_of_which_a_run_diverged(metric: str, left_out: int) -> None:
    (row,) = findings_data(against_constant([0.8] * 7 + [NAN], verdict={"metric": metric}), [])["verdicts"]
    assert row["pairs_left_out"] == left_out


@pytest.mark.parametrize(
    ("high", "seed_is_used", "left_out", "why"),
    [
        (
            [0.6] * 6 + [NAN],
            True,
            1,
            "No verdict on high: runs diverged in other pairs, so the remaining pairs cannot support a verdict.",
        ),
        (
            [0.6] * 7,
            False,
            0,
            "No verdict on high: all seeds show the same difference, as if a single run per arm were repeated.",
        ),
        ([NAN] * 7, False, 7, "A verdict would take at least 6 seeds."),
        ([0.6] * 5 + [NAN] * 2, True, 2, "A verdict would take at least 6 seeds."),
    ],
)
def test_why_a_script_has_no_verdict(high: list[float], seed_is_used: bool, left_out: int, why: str) -> None:
    findings = analyse(script_results({"low": [0.5] * 7, "high": high}, "f1", "higher", seed_is_used=seed_is_used))
    (row,) = findings_data(findings, [])["verdicts"]
    assert (row["verdict"], row["pairs_left_out"]) == ("cannot tell", left_out)
    text = flowing(findings)
    assert why in text
    assert "collapsed" not in text


# Collapse, and pairs far from the rest.


def test_a_collapsed_arm_is_named_with_what_a_blind_guess_reaches() -> None:
    found = against_constant([0.25, 0.3, NAN, 0.7, 0.7, 0.7])
    # A quarter and three standard errors of 400 rows.
    said = "3 of 6 runs of clr collapsed (1 diverged): no better than the majority class (31.5 %, incl. error)."
    assert said in flowing(found)
    left = "No other run collapsed; 6 runs of an arm cannot rule out a collapse rate of up to 39 %."
    assert flowing(found, details=True).count(left) == 1


def test_what_runs_without_a_collapse_leave_possible_is_said_once_behind_the_answer() -> None:
    found = against_constant([*ENDS, 0.7, 0.7, 0.7, 0.7])
    said = "No run collapsed; 10 runs of an arm cannot rule out a collapse rate of up to 26 %."
    assert flowing(found, details=True).count(said) == 1
    assert "collaps" not in flowing(found)


def test_an_arm_whose_collapsed_runs_all_diverged_is_named_as_diverging() -> None:
    text = flowing(against_constant([NAN, *[0.8] * 5]))
    assert "runs of clr collapsed" not in text
    assert "1 of 6 runs of clr diverged" in text


def test_where_every_arm_collapsed_nothing_is_said_of_others() -> None:
    text = flowing(against_constant([0.2] * 6, constant=0.25), details=True)
    assert "6 of 6 runs of constant collapsed: no better" in text
    assert "No other run" not in text


def test_arms_that_a_collapse_keeps_from_being_equivalent_say_why() -> None:
    text = flowing(against_constant([0.2] * 6, constant=0.2, verdict={"margin": 0.01}))
    assert "cannot tell clr from constant (untuned)." in text
    assert "No verdict on clr: its interval lies within the margin, but a run collapsed." in text


def test_a_pair_far_from_the_rest_is_named() -> None:
    one = flowing(against_constant([0.71, 0.72, 0.71, 0.73, 0.72, 0.4]), details=True)
    assert "torch, clr - constant: seed 5 lies far from the rest and dominates the mean." in one
    two = flowing(against_constant([0.4, 0.72, 0.71, 0.73, 0.72, 0.71, 0.4]), details=True)
    assert "seeds 0, 6 lie far from the rest and dominate the mean." in two
    assert "far from the rest" not in flowing(against_constant(ENDS), details=True)


# Warnings.


def test_arms_that_give_one_class_to_every_row_are_warned_about() -> None:
    ends = [*([0.113] * 6), *([0.113] * 3), *([0.9] * 3)]
    classes = np.repeat(np.arange(3, dtype=np.int32), [113, 500, 387])
    hits = [classes == 0 if end < 0.5 else np.arange(1000) % 10 > 0 for end in ends]
    arms = ["constant"] * 6 + ["clr"] * 6
    runs = [
        stored_run(arm, number % 6, {5: end}, hits=right, classes=classes)
        for number, (arm, end, right) in enumerate(zip(arms, ends, hits, strict=True))
    ]
    assert list(finding_warnings(analyse(results_of(runs, seeds=6)))) == [
        "torch: every run of constant predicts class 0 for all test rows (test accuracy 11.3 %, that class's share)",
        "torch: 3 of 6 runs of clr predict class 0 for all test rows (test accuracy 11.3 %, that class's share)",
    ]
    assert "Every run of constant predicts class 0 for all test rows" in flowing(analyse(results_of(runs, seeds=6)))


def test_the_answer_may_be_in_balanced_accuracy() -> None:
    runs = [stored_run("constant", seed, {5: 0.9}, balanced=[0.5]) for seed in range(6)]
    runs += [stored_run("clr", seed, {5: 0.8}, balanced=[0.7 + seed / 100]) for seed in range(5)]
    runs += [stored_run("clr", 5, {5: NAN})]
    text = flowing(analyse(results_of(runs, seeds=6, verdict={"metric": "test_balanced_accuracy"})))
    # The diverged run is a blind guess among four classes.
    assert "no difference shown between clr and constant (untuned). 1 of 6 runs of clr diverged" in text
    assert "torch test balanced accuracy difference" in text
    assert re.search(r"clr 72\.0 \+- \d\.\d \+14\.2 \[", text)


def test_missing_runs_and_pairs_of_two_versions_are_warned_about() -> None:
    runs = [*ending("constant", [0.7]), *ending("clr", [0.8], made_with={"versions": {"torch": "2"}})]
    assert list(finding_warnings(analyse(results_of(runs, seeds=3)))) == [
        "mixed provenance: torch, seed 0: clr and constant were trained with different versions, so this pair is left out; "
        "run `clrbench compare --redo` to train both again",
        "4 of 6 runs are not finished; run `clrbench compare` again to make them",
    ]
    assert list(finding_warnings(against_constant([0.8]))) == []
