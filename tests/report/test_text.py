"""What is said of findings whose numbers are known, in words and as plain data."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_in_memory import NO_SEARCH, results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.comparison import Comparison, read_rows
from clrbench.analysis.results import LookedAt
from clrbench.analysis.search import CHOSEN_COLUMNS, SEARCH_COLUMNS, Search
from clrbench.analysis.tables import Findings, analyse
from clrbench.rates import Rates
from clrbench.report.text import (
    NOTHING_TO_COMPARE,
    finding_warnings,
    findings_data,
    findings_text,
    pairs_left_out,
)
from clrbench.store import StoredRun

NAN = math.nan
FOUND = {"schedule": {"name": "constant", "lr": {"value": 0.1, "steps": 9}}}
ENDS = [0.72, 0.71, 0.74, 0.7, 0.71, 0.75]


def ending(arm: str, ends: Sequence[float], **changes: Any) -> list[StoredRun]:
    """Return runs that are evaluated after 2, 4 and 5 steps, with these accuracies at the end."""
    return [
        stored_run(arm, seed, {2: 0.4, 4: 0.6, 5: end}, steps_per_epoch=2, **changes) for seed, end in enumerate(ends)
    ]


def against_constant(clr: Sequence[float], constant: float = 0.7, **changes: Any) -> Findings:
    """Return the findings of clr with these ends, beside a constant rate that always has the same."""
    runs = [*ending("constant", [constant] * len(clr)), *ending("clr", clr)]
    return analyse(results_of(runs, **{"seeds": len(clr), **changes}))


# The verdict.


def test_the_answer_comes_first_and_its_numbers_follow() -> None:
    text = findings_text(against_constant([0.71, 0.74, 0.72, 0.75, 0.73, 0.76]))
    assert text.startswith(
        "torch: clr beats constant (untuned). Test accuracy: clr 0.7350, constant 0.7000; difference +0.0350 (median +0.0350), "
        "95 % interval +0.0100 to +0.0600 (over test rows too: +0.0102 to +0.0598), p = 0.0312, 6 pairs: "
    )
    assert "p = 0.0312, 6 pairs: 6 won, 0 tied, 0 lost." in text
    assert "  torch  constant  mean 0.7000, sd 0.0000, from 0.7000 to 0.7000, 6 runs" in text
    assert "  torch  clr       mean 0.7350, sd 0.0187, from 0.7100 to 0.7600, 6 runs" in text


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
    text = findings_text(against_constant(ends, verdict=verdict))
    assert text.startswith(f"torch: {answer.format('constant (untuned)')}. ")
    arms = {"constant": FOUND, "clr": CONSTANT}
    text = findings_text(against_constant(ends, arms=arms, verdict=verdict))
    assert text.startswith(f"torch: {answer.format('constant')}. ")


def test_arms_whose_rates_were_found_at_a_cost_that_nobody_states_are_named_once() -> None:
    line = "The updates that found the rates of {} are not known, so there are no totals with them: give `steps`"
    assert findings_text(against_constant(ENDS)).count(line.format("constant and clr")) == 1
    one = findings_text(against_constant(ENDS, arms={"constant": FOUND, "clr": CONSTANT}))
    assert line.format("clr") in one
    assert "are not known" not in findings_text(against_constant(ENDS, arms=dict.fromkeys(["constant", "clr"], FOUND)))


def test_caveats_of_a_range_test_are_warnings() -> None:
    caveat = "confirmed over 80 updates; the arms make 200"
    plain = Rates(0.01, 0.1, 0.03, 0.01)
    bounds = {("torch", None): replace(plain, caveats=(caveat,)), ("torch", "own"): plain}
    findings = replace(against_constant([0.8]), bounds=bounds)
    assert list(finding_warnings(findings)) == [f"torch, range test: {caveat}"]
    own = replace(findings, bounds={("keras", "own"): replace(plain, caveats=(caveat,))})
    assert list(finding_warnings(own)) == [f"keras, range test of own: {caveat}"]


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


def test_what_follows_from_a_verdict_is_said() -> None:
    equivalent = findings_text(against_constant([0.7] * 6, verdict={"margin": 0.01}))
    assert "The whole interval lies within the margin of 0.01." in equivalent
    shown = findings_text(against_constant([0.6, 0.8] * 3))
    assert "So many pairs show a difference of " in shown
    assert " four times in five." in shown


def test_few_pairs_have_no_interval_and_take_more_seeds() -> None:
    findings = against_constant([0.8] * 2)
    text = findings_text(findings)
    assert "no 95 % interval from so few pairs" in text
    assert "It would take at least 6 seeds" in text
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
    assert findings_text(findings).startswith(NOTHING_TO_COMPARE)
    assert "nothing to compare" in NOTHING_TO_COMPARE
    assert "  torch  constant  0.7000, 1 run" in findings_text(findings)


def test_several_comparisons_are_allowed_for() -> None:
    arms = dict.fromkeys(["constant", "clr", "third"], CONSTANT)
    runs = [run for arm, end in zip(arms, (0.7, 0.8, 0.9), strict=True) for run in ending(arm, [end] * 7)]
    text = findings_text(analyse(results_of(runs, arms=arms, seeds=7)))
    assert text.count("The verdict allows for 2 comparisons (Holm).") == 2


def test_a_comparison_at_the_end_of_a_cycle_says_so() -> None:
    clr = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "2 steps"}}
    text = findings_text(against_constant([0.5] * 6, arms={"constant": CONSTANT, "clr": clr}))
    assert "Compared at epoch 2, the end of the last whole cycle, in both arms: training ends amid a cycle." in text


def test_a_second_look_is_judged_at_its_own_level() -> None:
    first = results_of([*ending("constant", [0.7] * 7), *ending("clr", [*ENDS, 0.73])], seeds=7)
    text = findings_text(analyse(first.with_looks({"torch": LookedAt(2)})))
    assert ". This is look 2 at the verdict on torch: the level is 0.05 / 2, and over all looks" in text.splitlines()[0]
    assert "97.5 % interval" in text


def test_scope_and_sampling_error_are_named() -> None:
    text = findings_text(against_constant(ENDS))
    assert (
        "Scope: mlp on mnist, this split, these settings. The seeds vary initial weights, batch order, nothing else."
        in text
    )
    assert "The 400 test rows are a sample too, as the seeds are: the intervals in brackets count both." in text
    loss = findings_text(against_constant(ENDS, verdict={"metric": "test_loss"}))
    assert "The 400 test rows are a sample too, as the seeds are: no interval above counts them." in loss
    assert "are a sample too" not in findings_text(against_constant(ENDS, verdict={"metric": "train_accuracy"}))


def test_published_values_are_set_beside_the_runs() -> None:
    arms = {"clr": {**CONSTANT, "published": {"test_accuracy": 0.85}}}

    def text_of(ends: list[float]) -> str:
        return findings_text(analyse(results_of(ending("clr", ends), arms=arms)))

    start = "Published test accuracy of clr: 0.85; on torch, "
    expected = "2 of 3 runs lie below it, their median is 0.8000, from 0.7000 to 0.9000."
    assert f"{start}{expected}" in text_of([0.7, 0.8, 0.9])
    assert f"{start}1 of 1 runs that did not diverge lie below it" in text_of([0.7, NAN])
    assert f"{start}every run diverged." in text_of([NAN])


# Runs that diverged.


def test_runs_that_diverged_are_named_with_what_they_count_as() -> None:
    accuracy = findings_text(against_constant([NAN, *[0.7] * 5]))
    assert (
        "torch: 1 of 6 runs of clr diverged; in accuracy they count as a blind guess, and they are left out of the mean."
        in accuracy
    )
    assert "clr 0.7000 (5 of 6 runs), constant 0.7000" in accuracy
    assert "5 of 6 runs, the others diverged" in accuracy
    loss = findings_text(against_constant([NAN, *[0.7] * 5], verdict={"metric": "test_loss"}))
    assert "torch: 1 of 6 runs of clr diverged; their pairs are left out of the difference" in loss


def test_an_arm_of_which_every_run_diverged_has_no_mean() -> None:
    text = findings_text(against_constant([NAN] * 2, verdict={"metric": "test_loss"}))
    assert "clr (all runs diverged), constant 0.3000; no pair to compare." in text
    assert "torch: 2 of 2 runs of clr diverged; their pairs are left out of the difference." in text


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        ([0.8] * 7 + [NAN], " 1 pair is left out, as a diverged run has no loss (diverged: clr 1, constant 0)"),
        ([0.8] * 6 + [NAN] * 2, " 2 pairs are left out, as a diverged run has no loss (diverged: clr 2, constant 0)"),
    ],
)
def test_pairs_that_are_left_out_are_counted_and_no_verdict_rests_on_the_others(
    ends: list[float], sentence: str
) -> None:
    findings = against_constant(ends, verdict={"metric": "test_loss"})
    text = findings_text(findings)
    assert f"{sentence}; this favours the arm that diverges." in text
    assert "so no verdict is given." in text
    (row,) = findings_data(findings, [])["verdicts"]
    assert row["pairs_left_out"] == sum(map(math.isnan, ends))


def test_pairs_left_out_are_those_that_another_metric_has() -> None:
    comparison = against_constant([0.8] * 7 + [NAN]).tables["comparison"]
    left_out = {row.metric: pairs_left_out(row, comparison) for row in read_rows(Comparison, comparison)}
    assert (left_out["test_loss"], left_out["test_accuracy"]) == (1, 0)


# Collapse, and pairs far from the rest.


def test_a_collapsed_arm_is_named_with_what_a_blind_guess_reaches() -> None:
    text = findings_text(against_constant([0.25, 0.3, NAN, 0.7, 0.7, 0.7]))
    # A quarter and three standard errors of 400 rows.
    assert (
        "\ntorch: 3 of 6 runs of clr collapsed (1 diverged): no better than a blind guess (test accuracy up to 0.3150).\n"
        "No other run collapsed; 6 runs of an arm without a collapse still leave possible that up to 39 % would.\n"
    ) in text


def test_what_runs_without_a_collapse_leave_possible_is_said_once() -> None:
    text = findings_text(against_constant([*ENDS, 0.7, 0.7, 0.7, 0.7]))
    assert text.count("collaps") == 2
    assert (
        "\nNo run collapsed; 10 runs of an arm without a collapse still leave possible that up to 26 % would.\n" in text
    )


def test_an_arm_whose_collapsed_runs_all_diverged_is_named_as_diverging() -> None:
    text = findings_text(against_constant([NAN, *[0.8] * 5]))
    assert "runs of clr collapsed" not in text
    assert "1 of 6 runs of clr diverged" in text
    assert "No other run collapsed" in text


def test_where_every_arm_collapsed_nothing_is_said_of_others() -> None:
    text = findings_text(against_constant([0.2] * 6, constant=0.25))
    assert "6 of 6 runs of constant collapsed: no better" in text
    assert "No " not in text


def test_arms_that_a_collapse_keeps_from_being_equivalent_say_why() -> None:
    text = findings_text(against_constant([0.2] * 6, constant=0.2, verdict={"margin": 0.01}))
    assert text.startswith("torch: cannot tell clr from constant (untuned). ")
    assert (
        "6 tied, 0 lost. The interval lies within the margin, but a run collapsed, so the arms are not called equivalent."
        in text
    )


def test_a_pair_far_from_the_rest_is_named() -> None:
    one = findings_text(against_constant([0.71, 0.72, 0.71, 0.73, 0.72, 0.4]))
    assert "5 won, 0 tied, 1 lost. Seed 5 lies far from the rest: the mean hangs on it." in one
    assert "difference -0.0350 (median +0.0150)" in one
    two = findings_text(against_constant([0.4, 0.72, 0.71, 0.73, 0.72, 0.71, 0.4]))
    assert "Seeds 0, 6 lie far from the rest: the mean hangs on them." in two
    assert "far from the rest" not in findings_text(against_constant(ENDS))


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
        "torch: every run of constant gives class 0 to every test row (test accuracy 0.1130 is the share of that class)",
        "torch: 3 of 6 runs of clr give class 0 to every test row (test accuracy 0.1130 is the share of that class)",
    ]


def test_the_answer_may_be_in_balanced_accuracy() -> None:
    runs = [stored_run("constant", seed, {5: 0.9}, balanced=[0.5]) for seed in range(6)]
    runs += [stored_run("clr", seed, {5: 0.8}, balanced=[0.7 + seed / 100]) for seed in range(5)]
    runs += [stored_run("clr", 5, {5: NAN})]
    text = findings_text(analyse(results_of(runs, seeds=6, verdict={"metric": "test_balanced_accuracy"})))
    # The diverged run is a blind guess among four classes.
    assert text.startswith(
        "torch: no difference shown between clr and constant (untuned). Test balanced accuracy: clr 0.7200 (5 of 6 runs), "
        "constant 0.5000; difference +0.1417 (median "
    )
    assert "Test balanced accuracy at the end:" in text


def test_missing_runs_and_pairs_of_two_versions_are_warned_about() -> None:
    runs = [*ending("constant", [0.7]), *ending("clr", [0.8], made_with={"versions": {"torch": "2"}})]
    assert list(finding_warnings(analyse(results_of(runs, seeds=3)))) == [
        "mixed provenance: torch, seed 0: clr and constant were trained with different versions, so this pair is left out; "
        "run `clrbench compare --redo` to train both anew",
        "4 of 6 runs are not finished; run `clrbench compare` again to make them",
    ]
    assert list(finding_warnings(against_constant([0.8]))) == []


# The search for a rate.


def tuned(scores: dict[float, list[float]], given: float = 0.01) -> Findings:
    """Return the findings of an experiment with a tuned arm, of whose tries these are the accuracies by rate."""
    tries = [
        (
            "torch",
            "constant",
            rate,
            seed,
            0.25 if math.isnan(found) else found,
            4,
            math.inf if math.isnan(found) else 1.0,
        )
        for rate, by_seed in scores.items()
        for seed, found in enumerate(by_seed, 1_000_000)
    ]
    table = pd.DataFrame(tries, columns=list(SEARCH_COLUMNS))
    means = table.groupby("lr")["validation_accuracy"].mean()
    best = float(means.idxmax())
    at_edge = best in {min(scores), max(scores)}
    chosen = [("torch", "constant", given, best, len(table), at_edge, 4 * len(table))]
    search = Search(
        (), table, pd.DataFrame(chosen, columns=list(CHOSEN_COLUMNS)), tuple(ending("constant@0.01", [0.6] * 2))
    )
    arms = {"constant": {"schedule": {"name": "constant", "lr": [0.01, 0.03, 0.1]}}, "clr": CONSTANT}
    return analyse(results_of([*ending("constant", [0.7] * 2), *ending("clr", [0.8] * 2)], search, arms=arms))


def test_the_rate_chosen_stands_beside_the_one_given() -> None:
    findings = tuned({0.01: [0.5, 0.5], 0.03: [0.7, 0.5], 0.1: [0.1, 0.1]})
    assert (
        "\n\ntorch: constant was tuned on validation rows: the best of 3 rates is 0.03 (given: 0.01); the search took 24 "
        "updates." in findings_text(findings)
    )
    assert list(finding_warnings(findings)) == []
    assert findings_data(findings, [])["chosen"] == [
        {
            "backend": "torch",
            "arm": "constant",
            "given_lr": 0.01,
            "lr": 0.03,
            "tries": 6,
            "at_edge": False,
            "search_steps": 24,
        }
    ]


def test_a_diverged_try_is_warned_about() -> None:
    found = list(finding_warnings(tuned({0.01: [0.2], 0.03: [0.24], 0.1: [NAN]})))
    assert found[0] == "arm constant: 1 of 3 tries of its search on torch diverged"


def test_a_search_in_which_every_try_diverged_is_not_told_as_a_choice() -> None:
    (warning,) = finding_warnings(tuned({0.01: [NAN], 0.03: [NAN], 0.1: [NAN]}))
    assert warning == (
        "arm constant: 3 of 3 tries of its search on torch diverged; no rate is better than another, the lowest stands"
    )


@pytest.mark.parametrize(("best", "edge"), [(0.01, "lowest"), (0.1, "highest")])
def test_a_best_rate_at_the_edge_is_not_fully_tuned(best: float, edge: str) -> None:
    (warning,) = finding_warnings(tuned({rate: [0.9 if rate == best else 0.5] for rate in (0.01, 0.03, 0.1)}))
    assert warning == (
        f"arm constant: not fully tuned on torch: {best} is the best rate and the {edge} of the 3 tried; list rates beyond it"
    )


def test_without_tries_nothing_is_said_of_a_search() -> None:
    findings = analyse(
        results_of(
            ending("clr", [0.8]), NO_SEARCH, arms={"clr": {"schedule": {"name": "constant", "lr": [0.1, 0.2]}}}, seeds=1
        )
    )
    assert "tuned on validation rows" not in findings_text(findings)
    assert list(finding_warnings(findings)) == []
