"""Two runs side by side, with tables made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clrbench.analysis.reruns import Likeness, Outcome, Parting, RunTables, compare

NUM_UPDATES = 6


def tables(**changes: tuple[int, float]) -> RunTables:
    """Return a run of six updates and two evaluations; the value of a column is changed at an update."""
    steps = pd.DataFrame(
        {
            "step": np.arange(1, NUM_UPDATES + 1),
            "lr": np.full(NUM_UPDATES, 0.1),
            "train_loss": [2.5, 2.0, 1.5, 1.25, 1.0, 0.5],
            "train_accuracy": [0.1, 0.25, 0.5, 0.5, 0.75, 0.75],
        }
    )
    evaluations = pd.DataFrame(
        {
            "epoch": [1.0, 2.0],
            "step": [3, 6],
            "validation_loss": [np.nan, np.nan],
            "validation_accuracy": [np.nan, np.nan],
            "test_loss": [1.5, 0.75],
            "test_accuracy": [0.5, 0.75],
        }
    )
    for column, (step, value) in changes.items():
        table = steps if column in steps else evaluations
        table.loc[table["step"] == step, column] = value
    return RunTables(steps, evaluations)


def parting(likeness: Likeness, column: str) -> Parting:
    (found,) = (one for one in (*likeness.updates, *likeness.evaluations) if one.column == column)
    return found


def test_the_same_tables_are_bit_equal_and_nan_equals_nan() -> None:
    found = compare(tables(train_loss=(6, np.nan)), tables(train_loss=(6, np.nan)))
    assert found.outcome is Outcome.BIT_EQUAL
    assert (found.first_update, found.first_evaluation, found.begins_as_rounding) == (None, None, False)
    assert [one.column for one in found.updates] == ["lr", "train_loss", "train_accuracy"]
    assert {(one.num_rows, one.num_apart, one.within) for one in found.updates} == {(6, 0, True)}
    assert {(one.num_rows, one.num_apart, one.within) for one in found.evaluations} == {(2, 0, True)}
    assert found.last_evaluation == {"test_loss": (0.75, 0.75), "test_accuracy": (0.75, 0.75)}


def test_one_last_bit_is_seen_and_is_within_the_tolerance() -> None:
    found = compare(tables(), tables(train_loss=(4, np.nextafter(1.25, 2))))
    assert found.outcome is Outcome.WITHIN_TOLERANCE
    assert found.begins_as_rounding
    assert found.first_update is not None
    assert (found.first_update.column, found.first_update.first_step) == ("train_loss", 4)
    assert found.first_evaluation is None
    assert parting(found, "train_loss").num_apart == 1
    assert parting(found, "train_loss").largest_absolute == np.spacing(1.25)


@pytest.mark.parametrize("has_it_now", [True, False])
def test_a_column_that_a_script_wrote_in_one_of_the_runs_only_is_a_difference(*, has_it_now: bool) -> None:
    without, with_f1 = tables(), tables()
    with_f1.evaluations["f1"] = [0.5, 0.75]
    found = compare(without, with_f1) if has_it_now else compare(with_f1, without)
    assert found.outcome is Outcome.DIFFERENT
    f1 = parting(found, "f1")
    assert (f1.num_rows, f1.num_apart, f1.first_step, f1.largest_absolute) == (2, 2, 3, np.inf)
    last = np.array(found.last_evaluation["f1"])
    np.testing.assert_array_equal(last if has_it_now else last[::-1], [np.nan, 0.75])


RIGHT = np.arange(20) % 3 == 0


@pytest.mark.parametrize(
    ("then", "now", "apart"),
    [
        (RIGHT, RIGHT.copy(), 0),
        (None, None, 0),
        (RIGHT, ~RIGHT, 20),
        (RIGHT, RIGHT ^ (np.arange(20) == 7), 1),
        (RIGHT, None, 20),
        (None, RIGHT, 20),
        (RIGHT, RIGHT[:10], 20),
    ],
    ids=["same", "none", "others", "one row", "gone", "new", "fewer"],
)
def test_other_test_rows_are_a_difference_even_where_every_number_is_the_same(
    then: np.ndarray | None, now: np.ndarray | None, apart: int
) -> None:
    before, after = replace(tables(), test_hits=then), replace(tables(), test_hits=now)
    found = compare(before, after)
    assert (found.hits_apart, found.outcome) == (apart, Outcome.DIFFERENT if apart else Outcome.BIT_EQUAL)
    rounded = compare(before, replace(tables(train_loss=(4, np.nextafter(1.25, 2))), test_hits=now))
    assert rounded.outcome is Outcome.WITHIN_TOLERANCE


def test_the_sign_of_a_zero_is_a_bit_too() -> None:
    found = compare(tables(train_loss=(6, 0.0)), tables(train_loss=(6, -0.0)))
    assert found.outcome is Outcome.WITHIN_TOLERANCE
    assert (parting(found, "train_loss").largest_absolute, parting(found, "train_loss").largest_relative) == (0.0, 0.0)


def test_largest_differences_are_found_where_they_are() -> None:
    found = compare(tables(), tables(train_loss=(1, 3.0), train_accuracy=(5, 0.5), test_loss=(6, 1.0)))
    assert found.outcome is Outcome.DIFFERENT
    assert not found.begins_as_rounding
    loss = replace(parting(found, "train_loss"), first_relative=0.0, largest_relative=0.0)
    assert loss == Parting("train_loss", 6, 1, 1, 0.0, 0.5, 1, 0.0, 1, within=False)
    assert parting(found, "train_loss").largest_relative == pytest.approx(1 / 6, rel=1e-12)
    assert (parting(found, "train_accuracy").first_step, parting(found, "train_accuracy").largest_absolute) == (5, 0.25)
    assert found.first_evaluation is not None
    assert (found.first_evaluation.column, found.first_evaluation.first_step) == ("test_loss", 6)
    assert found.last_evaluation == {"test_loss": (0.75, 1.0), "test_accuracy": (0.75, 0.75)}


def test_the_largest_relative_difference_may_be_elsewhere_than_the_largest_absolute_one() -> None:
    after = tables(train_loss=(1, 2.75))
    after.steps.loc[5, "train_loss"] = 0.625
    loss = parting(compare(tables(), after), "train_loss")
    assert (loss.num_apart, loss.first_step) == (2, 1)
    assert (loss.largest_absolute, loss.largest_absolute_step) == (0.25, 1)
    assert (loss.largest_relative, loss.largest_relative_step) == (0.2, 6)


@pytest.mark.parametrize(("apart", "outcome"), [(1.9e-3, Outcome.WITHIN_TOLERANCE), (2.1e-3, Outcome.DIFFERENT)])
def test_the_tolerance_is_a_thousandth_and_a_thousandth_of_the_value(apart: float, outcome: Outcome) -> None:
    assert compare(tables(), tables(train_loss=(5, 1.0 + apart))).outcome is outcome


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_in_one_run_only_is_a_difference(value: float) -> None:
    for before, after in ((tables(), tables(train_loss=(5, value))), (tables(train_loss=(5, value)), tables())):
        found = compare(before, after)
        assert found.outcome is Outcome.DIFFERENT
        assert (parting(found, "train_loss").first_step, parting(found, "train_loss").largest_absolute) == (5, np.inf)


def test_another_rate_is_a_difference_of_its_own() -> None:
    found = compare(tables(), tables(lr=(2, 0.2), train_loss=(3, 1.75)))
    assert found.outcome is Outcome.DIFFERENT
    assert found.first_update is not None
    assert (found.first_update.column, found.first_update.first_step) == ("lr", 2)


def test_runs_of_different_lengths_are_different_and_compared_where_both_have_updates() -> None:
    whole = tables()
    short = RunTables(whole.steps[:4], whole.evaluations[:1])
    for before, after in ((whole, short), (short, whole)):
        found = compare(before, after)
        assert found.outcome is Outcome.DIFFERENT
        assert not found.same_rows
        assert [one.num_rows for one in found.updates] == [4, 4, 4]
        assert [one.num_apart for one in (*found.updates, *found.evaluations)] == [0] * 7
        assert found.last_evaluation == {"test_loss": (1.5, 1.5), "test_accuracy": (0.5, 0.5)}


def test_runs_without_an_evaluation_in_common_are_different() -> None:
    whole = tables()
    other = RunTables(whole.steps, whole.evaluations.assign(step=[2, 5]))
    found = compare(whole, other)
    assert found.outcome is Outcome.DIFFERENT
    assert found.last_evaluation == {}
    assert [one.num_rows for one in found.evaluations] == [0] * 4
