"""Curves as plain text: what is drawn, and what is said of it."""

import numpy as np
import pytest

from clrbench.report.text_curve import TextAxis, text_curve

EPOCH, RATE = TextAxis("epoch"), TextAxis("learning rate")
EPOCHS = np.linspace(0, 12, 1201)
TRIANGLES = 0.01 + 0.09 * (1 - np.abs(EPOCHS % 4 / 2 - 1))


def test_a_ramp_is_drawn_from_corner_to_corner():
    drawn = text_curve([0, 4], {"lr": [0, 3]}, x_axis=EPOCH, y_axis=RATE, width=43, height=4)
    assert drawn.splitlines() == [
        "learning rate",
        "3 |                                 *******",
        "  |                    **************",
        "1 |      ***************",
        "0 |*******",
        "  +----------------------------------------",
        "   0                  2                   4",
        "                    epoch",
        "* lr: starts at 0 (epoch 0), ends at 3",
        "  (epoch 4)",
    ]


def test_words_name_start_peaks_and_end():
    drawn = text_curve(EPOCHS, {"clr": TRIANGLES}, x_axis=EPOCH, y_axis=RATE, width=200)
    assert drawn.splitlines()[-1] == (
        "* clr: starts at 0.01 (epoch 0), peaks at 0.1 (epoch 2), 0.1 (epoch 6), 0.1 (epoch 10), ends at 0.01 (epoch 12)"
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([2, 2, 2], "2 throughout (epoch 0 to 2)"),
        ([3, 1, 2], "starts at 3 (epoch 0), is lowest at 1 (epoch 1), ends at 2 (epoch 2)"),
        ([1, 3, 3, 3, 2], "starts at 1 (epoch 0), peaks at 3 (epoch 1), ends at 2 (epoch 4)"),
        ([1, 1, 3, 3], "starts at 1 (epoch 0), ends at 3 (epoch 3)"),
        (
            [1, 2] * 7 + [1, 5, 1],
            "starts at 1 (epoch 0), has 8 peaks, the highest at 5 (epoch 15), ends at 1 (epoch 16)",
        ),
        ([1, np.nan, 4, np.inf], "starts at 1 (epoch 0), ends at 4 (epoch 2)"),
        ([0.00123456], "0.001235 throughout (epoch 0 to 0)"),
    ],
)
def test_words_of_small_curves(values, words):
    drawn = text_curve(np.arange(len(values)), {"a": values}, x_axis=EPOCH, y_axis=RATE, width=200)
    assert drawn.splitlines()[-1] == f"* a: {words}"


def test_each_curve_has_its_own_character_and_line_of_words():
    curves = {"constant": np.full_like(EPOCHS, 0.03), "clr": TRIANGLES}
    lines = text_curve(EPOCHS, curves, x_axis=EPOCH, y_axis=RATE, width=200).splitlines()
    assert [line.split(":")[0] for line in lines[-2:]] == ["* constant", "o clr"]
    area = lines[1:13]
    columns = ["".join(column) for column in zip(*(line.ljust(200)[8:] for line in area), strict=True)]
    drawn_columns = [column.strip() for column in columns if column.strip()]
    assert all("o" in column for column in drawn_columns)
    assert [row for row, line in enumerate(area) if "*" in line] == [9]


def test_no_line_is_wider_than_asked_and_the_area_is_as_high_as_asked():
    lines = text_curve(EPOCHS, {"clr": TRIANGLES}, x_axis=EPOCH, y_axis=RATE, width=50, height=7).splitlines()
    assert max(map(len, lines)) == 50
    assert sum("|" in line for line in lines) == 7


def test_a_log_axis_makes_an_exponential_curve_straight():
    steps = np.arange(101)
    rates = np.geomspace(1e-5, 1, 101)
    straight = text_curve(steps, {"lr": steps}, x_axis=EPOCH, y_axis=TextAxis("y"), width=68, height=11)
    log = text_curve(steps, {"lr": rates}, x_axis=EPOCH, y_axis=TextAxis("y", log=True), width=72, height=11)
    areas = [[line.split("|")[1] for line in drawn.splitlines() if "|" in line] for drawn in (straight, log)]
    assert areas[0] == areas[1]
    assert log.splitlines()[0] == "y (log scale)"
    assert [line.split()[0] for line in log.splitlines()[1:12] if line.strip()[0] not in "|"] == [
        "1",
        "0.00316",
        "1e-05",
    ]


def test_a_log_x_axis_has_its_geometric_mean_in_the_middle():
    x = np.geomspace(1e-4, 1, 50)
    lines = text_curve(x, {"a": x}, x_axis=TextAxis("learning rate", log=True), y_axis=TextAxis("y")).splitlines()
    assert lines[14].split() == ["0.0001", "0.01", "1"]
    assert lines[15].strip() == "learning rate (log scale)"


def test_tick_labels_are_the_values_of_their_rows():
    lines = text_curve([0, 1], {"a": [0, 11]}, x_axis=EPOCH, y_axis=RATE, height=12).splitlines()
    ticks = {row: line.split("|")[0].strip() for row, line in enumerate(lines[1:13]) if line.split("|")[0].strip()}
    assert ticks == {0: "11", 6: "5", 11: "0"}


def test_a_peak_narrower_than_a_column_is_still_drawn():
    values = np.zeros(10_001)
    values[5_000] = 1.0
    top = text_curve(np.arange(10_001), {"a": values}, x_axis=EPOCH, y_axis=RATE).splitlines()[1]
    assert top.count("*") >= 1


def test_no_values_are_said_in_words():
    assert text_curve([0, 1], {"a": [np.nan] * 2}, x_axis=EPOCH, y_axis=RATE) == "learning rate: no values"
