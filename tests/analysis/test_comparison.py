"""What paired runs whose values are known show, and the word for it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_in_memory import results_of, stored_run
from script_runs import script_results
from specs import CONSTANT

from clrbench.analysis.comparison import (
    COMPARISON_COLUMNS,
    EVIDENCE_COLUMNS,
    Comparison,
    Evidence,
    comparison_table,
    evidence_table,
    read_rows,
)
from clrbench.analysis.results import LookedAt, Results
from clrbench.stats import compare_paired, crossed_interval, smallest_detectable_difference
from clrbench.store import StoredRun

NAN = math.nan
ENDS = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]


def ending(arm: str, ends: Sequence[float], **changes: Any) -> list[StoredRun]:
    """Return runs that are evaluated after 2, 4 and 5 steps, with these accuracies at the end."""
    return [
        stored_run(arm, seed, {2: 0.4, 4: 0.6, 5: end}, steps_per_epoch=2, **changes) for seed, end in enumerate(ends)
    ]


def against_constant(clr: Sequence[float], **changes: Any) -> Results:
    """Return the results of clr with these ends, beside a constant rate that always ends at 0.7."""
    return results_of([*ending("constant", [0.7] * len(clr)), *ending("clr", clr)], **changes)


def row_of(results: Results, metric: str, candidate: str = "clr") -> pd.Series:
    table = comparison_table(results)
    (row,) = (row for _, row in table[table["candidate"] == candidate].iterrows() if row["metric"] == metric)
    return row


def test_comparison_is_that_of_the_paired_ends() -> None:
    results = against_constant(ENDS)
    assert ",".join(comparison_table(results)) == (
        "backend,metric,candidate,baseline,pairs,mean_difference,ci_low,ci_high,p_value,wins,ties,losses,verdict"
    )
    row = row_of(results, "test_accuracy")
    expected = compare_paired(np.array(ENDS), np.full(6, 0.7))
    assert (row["pairs"], row["wins"], row["ties"], row["losses"], row["verdict"]) == (6, 6, 0, 0, "better")
    np.testing.assert_allclose(
        row[["mean_difference", "ci_low", "ci_high", "p_value"]].astype(float),
        [expected.mean_difference, expected.ci_low, expected.ci_high, 2 / 64],
        rtol=1e-12,
    )
    loss = row_of(results, "test_loss")
    assert (loss["wins"], loss["verdict"]) == (6, "better")
    assert loss["mean_difference"] < 0


def test_the_same_values_in_both_arms_are_neither_better_nor_worse() -> None:
    row = row_of(against_constant([0.7] * 6), "test_accuracy")
    assert (row["mean_difference"], row["ci_low"], row["ci_high"], row["p_value"]) == (0, 0, 0, 1)
    # A row of 400 is more than the default margin.
    assert row["verdict"] == "no difference shown"
    wide = against_constant([0.7] * 6, verdict={"margin": 0.003})
    assert row_of(wide, "test_accuracy")["verdict"] == "equivalent"


def test_a_diverged_run_counts_in_accuracy_and_drops_its_pair_in_loss() -> None:
    results = against_constant([NAN, *[0.7] * 5])
    accuracy, loss = row_of(results, "test_accuracy"), row_of(results, "test_loss")
    assert accuracy["mean_difference"] == pytest.approx((0.25 - 0.7) / 6)
    assert (accuracy["pairs"], loss["pairs"]) == (6, 5)


def test_a_pair_of_two_versions_is_left_out_of_every_metric() -> None:
    runs = [*ending("constant", [0.7] * 7), *ending("clr", [0.8] * 6)]
    runs.append(
        stored_run("clr", 6, {2: 0.4, 4: 0.6, 5: 0.8}, steps_per_epoch=2, made_with={"versions": {"torch": "2"}})
    )
    comparison = comparison_table(results_of(runs))
    assert comparison["pairs"].tolist() == [6] * len(comparison)


def test_one_arm_alone_has_a_comparison_of_headers_only() -> None:
    results = results_of(ending("constant", [0.7]), arms={"constant": CONSTANT})
    for table, columns in (
        (comparison_table(results), COMPARISON_COLUMNS),
        (evidence_table(results), EVIDENCE_COLUMNS),
    ):
        assert (list(table), len(table)) == (list(columns), 0)


def test_an_arm_that_diverges_now_and_then_is_not_called_better_in_loss() -> None:
    results = against_constant([0.8] * 7 + [NAN], verdict={"metric": "test_loss"})
    row = row_of(results, "test_loss")
    assert (row["pairs"], row["p_value"], row["verdict"]) == (7, 2 / 2**7, "cannot tell")
    worse = against_constant([0.6] * 7 + [NAN], verdict={"metric": "test_loss"})
    assert row_of(worse, "test_loss")["verdict"] == "worse"


def test_comparisons_of_the_primary_metric_share_the_risk() -> None:
    arms = ["constant", "clr", "third", "fourth"]

    def verdicts(seeds: int, metric: str) -> pd.DataFrame:
        runs = [
            run
            for i, arm in enumerate(arms)
            for run in ending(arm, [0.5 + 0.1 * i + 0.001 * seed * i for seed in range(seeds)])
        ]
        comparison = comparison_table(results_of(runs, arms=dict.fromkeys(arms, CONSTANT)))
        return comparison[comparison["metric"] == metric]

    primary = verdicts(7, "test_accuracy")
    assert primary["verdict"].tolist() == ["better"] * 3
    np.testing.assert_allclose(primary["p_value"], 2 / 2**7)
    assert verdicts(6, "test_accuracy")["verdict"].tolist() == ["cannot tell"] * 3
    assert verdicts(6, "test_loss")["verdict"].tolist() == ["better"] * 3


def test_a_comparison_without_a_finite_pair_is_a_row_of_its_own() -> None:
    runs = [*ending("constant", [0.7] * 6), *ending("clr", [NAN] * 6), *ending("third", [0.8] * 6)]
    results = results_of(runs, arms=dict.fromkeys(["constant", "clr", "third"], CONSTANT))
    clr = row_of(results, "test_loss")
    assert (clr["pairs"], clr["verdict"]) == (0, "cannot tell")
    assert row_of(results, "test_loss", "third")["pairs"] == 6


def test_a_primary_metric_amid_a_cycle_is_compared_at_the_last_cycle_end_in_both_arms() -> None:
    # Five steps, and cycles of four: training ends amid the second one, and step 4 is the end of the first.
    clr = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "2 steps"}}
    runs = [
        stored_run(arm, seed, by_step, steps_per_epoch=2)
        for arm, by_step in (("constant", {2: 0.4, 4: 0.6, 5: 0.9}), ("clr", {2: 0.4, 4: 0.7, 5: 0.5}))
        for seed in range(6)
    ]
    results = results_of(runs, arms={"constant": CONSTANT, "clr": clr})
    row = row_of(results, "test_accuracy")
    assert row["mean_difference"] == pytest.approx(0.1)
    assert row["verdict"] == "better"
    (evidence,) = read_rows(Evidence, evidence_table(results))
    assert (evidence.moved, evidence.epoch) == (True, 2.0)


def test_evidence_of_the_primary_metric() -> None:
    ends = [0.72, 0.71, 0.74, 0.7, 0.71, 0.75]
    (evidence,) = read_rows(Evidence, evidence_table(against_constant(ends)))
    sd = np.std(np.array(ends) - 0.7, ddof=1)
    assert (evidence.epoch, evidence.moved, evidence.looks, evidence.comparisons) == (2.5, False, 1, 1)
    assert evidence.sd_difference == pytest.approx(sd)
    assert evidence.detectable_difference == pytest.approx(smallest_detectable_difference(sd, 6, alpha=0.05))
    assert evidence.rows == 400
    assert evidence.median_difference == pytest.approx(0.015)
    assert (evidence.far_seeds, evidence.candidate_collapsed, evidence.baseline_collapsed) == ("", 0, 0)
    # In the runs in memory the first rows are the right ones.
    rows = np.arange(400)
    hits = np.array([(rows < round(end * 400)) * 1.0 - (rows < 280) for end in ends])
    assert (evidence.rows_ci_low, evidence.rows_ci_high) == crossed_interval(hits, 2 / 64)


@pytest.mark.parametrize(("metric", "rows"), [("test_loss", 400), ("train_accuracy", 0), ("validation_accuracy", 0)])
def test_only_test_accuracy_has_an_interval_over_rows(metric: str, rows: int) -> None:
    (evidence,) = read_rows(Evidence, evidence_table(against_constant(ENDS, verdict={"metric": metric})))
    assert evidence.rows == rows
    assert math.isnan(evidence.rows_ci_low)
    assert math.isnan(evidence.rows_ci_high)


@pytest.mark.parametrize(
    ("metric", "direction"), [("top5_accuracy", "higher"), ("test_top5_accuracy", "higher"), ("f1", "higher")]
)
def test_a_script_is_compared_in_any_metric_of_its_own(metric: str, direction: str) -> None:
    results = script_results({"low": [0.5] * 6, "high": [0.6] * 6}, metric, direction, verdict={"margin": 0.01})
    (row,) = read_rows(Comparison, comparison_table(results).query("metric == @metric"))
    (evidence,) = read_rows(Evidence, evidence_table(results))
    assert (row.candidate, row.verdict, evidence.rows) == ("high", "better", 0)


# The margin belongs to the metric of the verdict.


@pytest.mark.parametrize(
    ("verdict", "equivalent"),
    [
        ({"margin": 0.01}, ["test_accuracy"]),
        ({"margin": 0.0025}, ["test_accuracy"]),  # one row of 400
        ({"margin": 0.0024}, []),
        ({"margin": 0.0}, []),
        ({}, []),
        ({"metric": "test_loss"}, []),
        ({"metric": "test_loss", "margin": 1e-6}, ["test_loss"]),  # a loss has no rows to be finer than
        ({"metric": "test_loss", "margin": 0.0}, []),
        ({"metric": "train_accuracy", "margin": 0.01}, ["train_accuracy"]),  # one of 100 training rows
        ({"metric": "train_accuracy", "margin": 0.009}, []),
        ({"metric": "test_balanced_accuracy", "margin": 0.0025}, ["test_balanced_accuracy"]),  # one row of 4 x 100
        ({"metric": "test_balanced_accuracy", "margin": 0.0024}, []),
    ],
)
def test_only_the_metric_of_the_verdict_is_equivalent_and_only_by_a_margin_that_its_rows_show(
    verdict: dict[str, Any], equivalent: list[str]
) -> None:
    comparison = comparison_table(against_constant([0.7] * 6, verdict=verdict))
    assert comparison.loc[comparison["verdict"] == "equivalent", "metric"].tolist() == equivalent
    others = comparison.loc[~comparison["metric"].isin(equivalent), "verdict"]
    assert set(others) == {"no difference shown"}


def test_in_balanced_accuracy_a_row_of_the_smallest_class_counts_most() -> None:
    classes = np.repeat(np.arange(4, dtype=np.int32), (300, 60, 40, 0))
    for margin, word in ((0.0083, "no difference shown"), (1 / (3 * 40), "equivalent")):
        runs = [run for arm in ("constant", "clr") for run in ending(arm, [0.9] * 6, classes=classes)]
        results = results_of(runs, verdict={"metric": "test_balanced_accuracy", "margin": margin})
        assert row_of(results, "test_balanced_accuracy")["verdict"] == word


# Collapse, and pairs far from the rest.


@pytest.mark.parametrize("failed", [0.3, NAN])
@pytest.mark.parametrize("metric", ["test_accuracy", "test_loss"])
def test_arms_of_which_a_run_collapsed_are_not_equivalent(failed: float, metric: str) -> None:
    verdict = {"metric": metric, "margin": 0.9}
    runs = [*ending("constant", [0.7] * 7), *ending("clr", [0.7] * 6 + [failed])]
    assert row_of(results_of(runs, verdict=verdict), metric)["verdict"] == "cannot tell"
    both = [*ending("constant", [0.7] * 6 + [failed]), *ending("clr", [0.7] * 6 + [failed])]
    assert row_of(results_of(both, verdict=verdict), metric)["verdict"] == "cannot tell"
    kept = [*ending("constant", [0.7] * 7), *ending("clr", [0.7] * 6 + [0.35])]
    assert row_of(results_of(kept, verdict=verdict), metric)["verdict"] == "equivalent"


def test_a_collapse_leaves_the_other_words_as_they_are() -> None:
    for end, word in ((0.3, "worse"), (0.2501, "worse"), (0.71, "better")):
        runs = [
            *ending("constant", [0.7 if end < 0.7 else 0.3] * 6),
            *ending("clr", [end + 0.001 * i for i in range(6)]),
        ]
        assert row_of(results_of(runs), "test_accuracy")["verdict"] == word


def test_evidence_counts_the_pairs_in_which_an_arm_collapsed() -> None:
    runs = [*ending("constant", [0.7, 0.7, NAN, 0.2, 0.7, 0.7, 0.1]), *ending("clr", [0.31, 0.71, 0.32, 0.7, 0.7, 0.7])]
    (evidence,) = read_rows(Evidence, evidence_table(results_of(runs, seeds=7)))
    assert (evidence.candidate_collapsed, evidence.baseline_collapsed) == (1, 2)


@pytest.mark.parametrize(
    ("ends", "far"),
    [
        ([0.71, 0.72, 0.71, 0.73, 0.72, 0.3], "5"),
        ([0.3, 0.72, 0.71, 0.73, 0.72, 0.71, NAN], "0 6"),
        ([0.71, 0.72, 0.71, 0.73, 0.72, 0.74], ""),
        ([0.7, 0.7, 0.7, 0.7, 0.7, 0.72], ""),  # ties: 8 rows apart
        ([0.7, 0.7, 0.7, 0.7, 0.7, 0.75], "5"),  # 20 rows apart
        ([0.71, 0.72, 0.71, 0.3], ""),
    ],
)
def test_pairs_far_from_the_rest_are_named_by_their_seeds(ends: list[float], far: str) -> None:
    (evidence,) = read_rows(Evidence, evidence_table(against_constant(ends)))
    assert evidence.far_seeds == far
    gains = np.nan_to_num(np.array(ends), nan=0.25) - 0.7
    assert evidence.median_difference == pytest.approx(np.median(gains))


def test_the_seed_of_a_far_pair_is_its_own_where_a_pair_is_left_out() -> None:
    ends = [0.71, NAN, 0.72, 0.71, 0.73, 0.72, 0.73, 0.3]
    (evidence,) = read_rows(Evidence, evidence_table(against_constant(ends, verdict={"metric": "test_loss"})))
    assert evidence.far_seeds == "7"


def test_a_look_with_other_seeds_costs_its_share_of_the_level() -> None:
    results = against_constant(ENDS).with_looks({"torch": LookedAt(2)})
    (evidence,) = read_rows(Evidence, evidence_table(results))
    assert (evidence.looks, evidence.alpha) == (2, 0.025)
    assert row_of(results, "test_accuracy")["verdict"] == "cannot tell"
    assert row_of(results, "test_loss")["verdict"] == "better"


def test_rows_are_read_as_records_whose_fields_are_the_columns() -> None:
    table = comparison_table(against_constant(ENDS))
    rows = read_rows(Comparison, table)
    assert [(row.metric, row.pairs, row.verdict) for row in rows] == list(
        table[["metric", "pairs", "verdict"]].itertuples(index=False, name=None)
    )
