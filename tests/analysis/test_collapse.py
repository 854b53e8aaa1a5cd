"""Which runs collapsed, by hand: runs whose accuracy at the end and whose rows of each class are known."""

import math
from typing import Any

import numpy as np
import pytest
from runs_in_memory import results_of, stored_run
from script_runs import script_results
from specs import CONSTANT

from clrbench.analysis.collapse import (
    COLLAPSE_COLUMNS,
    Collapsed,
    blind_accuracy,
    collapse_table,
    collapsed_pairs,
    collapsed_runs,
)
from clrbench.analysis.pairs import Contest
from clrbench.store import RunKey, StoredRun

NAN = math.nan
ROWS = 1000


def classes(*rows: int) -> Any:
    return np.repeat(np.arange(len(rows), dtype=np.int32), rows)


def ending(arm: str, *ends: float, of_classes: Any = None, **changes: Any) -> list[StoredRun]:
    rows = classes(250, 250, 250, 250) if of_classes is None else of_classes
    return [stored_run(arm, seed, {5: 0.9, 10: end}, classes=rows, **changes) for seed, end in enumerate(ends)]


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        ([100, 100, 100, 100], 0.25),
        ([1000] * 10, 0.1),
        ([700, 200, 100], 0.7),
        ([0, 500, 500], 0.5),  # a class without test rows is still one that may be guessed
        ([1135, 980, 1032, 1010, 982, 892, 958, 1028, 974, 1009], 0.1135),
    ],
)
def test_a_blind_guess_reaches_the_share_of_the_largest_class_and_three_standard_errors(
    rows: list[int], share: float
) -> None:
    total = sum(rows)
    assert blind_accuracy(rows) == pytest.approx(share + 3 * math.sqrt(share * (1 - share) / total))


@pytest.mark.parametrize(
    ("rows", "limit"), [([1], 1.0), ([3, 2], 0.6), ([99, 1], 0.99), ([5, 0], 1.0), ([10, 10], 0.5 + 3 * 0.25 / 5**0.5)]
)
def test_where_rows_are_too_few_to_tell_the_share_alone_is_the_limit(rows: list[int], limit: float) -> None:
    assert blind_accuracy(rows) == pytest.approx(limit)


def test_without_rows_there_is_no_limit() -> None:
    assert math.isnan(blind_accuracy([0, 0]))


def test_a_run_collapsed_that_diverged_or_ends_no_better_than_a_blind_guess() -> None:
    # Three standard errors of 1000 rows at a quarter are .0411.
    runs = ending("clr", 0.25, 0.291, 0.292, 0.1, NAN, 0.9)
    results = results_of(runs, arms={"clr": CONSTANT}, seeds=6)
    assert sorted(key.seed for key in collapsed_runs(results)) == [0, 1, 3, 4]


def test_where_one_class_prevails_its_share_is_the_guess() -> None:
    runs = ending("clr", 0.6, 0.7, 0.743, 0.75, of_classes=classes(700, 100, 100, 100))
    assert sorted(key.seed for key in collapsed_runs(results_of(runs, arms={"clr": CONSTANT}))) == [0, 1, 2]


def test_the_end_counts_whatever_was_before_it() -> None:
    early, late = stored_run("clr", 0, {5: 0.9, 10: 0.2}), stored_run("clr", 1, {5: 0.2, 10: 0.9})
    assert collapsed_runs(results_of([early, late], arms={"clr": CONSTANT})) == {RunKey("torch", "clr", 0)}


def test_of_the_runs_of_a_script_only_those_that_diverged_are_known_to_have_collapsed() -> None:
    results = script_results({"clr": [0.0, 0.5, NAN]}, "test_accuracy", "higher")
    assert collapsed_runs(results) == {RunKey("script", "clr", 2)}
    assert math.isnan(collapse_table(results).loc[0, "blind_accuracy"])


def test_pairs_count_each_arm_over_the_seeds_that_both_have() -> None:
    runs = [*ending("constant", 0.9, 0.2, 0.9, 0.2), *ending("clr", 0.2, 0.2, NAN)]
    results = results_of(runs, seeds=4)
    assert collapsed_pairs(results, Contest("torch", "clr", "constant")) == Collapsed(candidate=3, baseline=1)


def test_the_table_has_a_row_for_each_backend_and_arm() -> None:
    runs = [*ending("constant", *[0.9] * 6), *ending("clr", 0.2, NAN, 0.9), *ending("clr", 0.9, backend="keras")]
    table = collapse_table(results_of(runs, seeds=6, backends=("torch", "keras")))
    assert list(table) == list(COLLAPSE_COLUMNS)
    counts = table[["backend", "arm", "runs", "collapsed", "diverged"]]
    assert counts.to_numpy().tolist() == [
        ["torch", "constant", 6, 0, 0],
        ["torch", "clr", 3, 2, 1],
        ["keras", "clr", 1, 0, 0],
    ]
    np.testing.assert_allclose(table["possible_rate"], [1 - 0.05 ** (1 / 6), NAN, 0.95])
    np.testing.assert_allclose(table["blind_accuracy"], 0.25 + 3 * math.sqrt(0.25 * 0.75 / ROWS))
