"""Tables as the page shows them: plain headings, rounded numbers."""

import numpy as np
import pandas as pd
import pytest

from clrbench.report.page_table import PageTable, by_metric


def cells(row: dict[str, object], metric: str = "") -> list[str]:
    (found,) = PageTable("file.csv", "caption", pd.DataFrame([row]), metric).rows
    return found


def test_headings_are_plain_words_and_know_which_columns_are_numbers() -> None:
    frame = pd.DataFrame({"arm": ["clr"], "tried_lr": [0.0123456]})
    table = PageTable("search.csv", "Search", frame)
    assert table.columns == [("arm", False), ("tried lr", True)]
    assert table.rows == [["clr", "0.01235"]]


def test_numbers_are_rounded_for_reading() -> None:
    row = {"backend": "torch", "metric": "test_accuracy", "pairs": 10, "mean_difference": 0.00499, "ci_low": -np.inf}
    row |= {"ci_high": 0.0, "p_value": 0.001953125}
    assert cells(row) == ["torch", "test_accuracy", "10", "+0.0050", "-∞", "+0.0000", "0.00195"]
    row = {"metric": "test_accuracy", "target": 0.975, "first_epoch": 5.0, "first_step": np.inf}
    assert cells(row) == ["test_accuracy", "0.975", "5", "missed"]
    row = {"train_seconds": 3.507577, "images_per_second": 188164.07, "train_loss": 0.0913102, "speedup": np.nan}
    assert cells(row) == ["3.508", "188164", "0.0913", "n/a"]
    assert cells({"mean": 0.974, "lr": 0.0000123456}, "test_accuracy") == ["0.9740", "1.235e-05"]


@pytest.mark.parametrize(
    ("row", "expected"), [({"a": "x", "b": "y", "c": 1}, 2), ({"a": 1, "b": 2}, 1), ({"a": "x"}, 1)]
)
def test_the_columns_before_the_first_number_name_a_row(row: dict[str, object], expected: int) -> None:
    assert PageTable("", "", pd.DataFrame([row])).num_row_headings == expected


def test_a_table_with_columns_for_each_metric_gets_a_row_for_each_that_was_measured() -> None:
    wide = {"backend": "torch", "arm": "clr", "runs": 2, "diverged": 0, "cost": 7}
    for metric, value in (("test_accuracy", 0.5), ("test_loss", 0.25), ("validation_loss", np.nan)):
        wide |= {f"{metric}_mean": value, f"{metric}_sd": value / 5}
    expected = pd.DataFrame(
        {"backend": "torch", "arm": "clr", "metric": ["test_accuracy", "test_loss"], "runs": 2, "diverged": 0}
        | {"cost": 7, "mean": [0.5, 0.25], "sd": [0.1, 0.05]}
    )
    pd.testing.assert_frame_equal(by_metric(pd.DataFrame([wide])), expected)
    pd.testing.assert_frame_equal(by_metric(expected), expected)


def test_a_table_in_which_no_metric_was_measured_keeps_its_rows() -> None:
    wide = pd.DataFrame({"backend": ["torch"], "arm": ["clr"], "runs": [2], "test_loss_mean": [np.nan]})
    found = by_metric(wide)
    assert found.to_dict("records") == [{"backend": "torch", "arm": "clr", "metric": "", "runs": 2}]
