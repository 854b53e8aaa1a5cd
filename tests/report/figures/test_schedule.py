"""The figure of the learning rates."""

import numpy as np
import pandas as pd
import pytest
from figure_samples import (
    ARMS,
    assert_texts_are_whole_and_apart,
    caption,
    findings_by_hand,
    labelled,
    legend_texts,
    schedule_table,
)

from clrbench.report.figures.schedule import LR_SCHEDULE, draw_schedules


def test_lines_are_the_points_of_the_table() -> None:
    schedule = schedule_table()
    (axes,) = draw_schedules(schedule, ARMS).axes
    for arm in ARMS:
        points = schedule[(schedule["backend"] == "keras") & (schedule["arm"] == arm)]
        (line,) = labelled(axes, arm)
        table = points[["epoch", "lr"]].to_numpy()
        np.testing.assert_array_equal(line.get_xydata(), [[0.0, table[0, 1]], *table])
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("epoch", "learning rate", "log")


def test_schedules_are_equal_whatever_their_points() -> None:
    few = pd.DataFrame({"backend": "torch", "arm": "large", "epoch": [6.0, 12.0], "lr": [0.1, 0.1]})
    many = pd.DataFrame({"backend": "torch", "arm": "small", "epoch": np.linspace(0.1, 12, 120), "lr": 0.1})
    other = many.assign(arm="other", lr=0.102)
    (axes,) = draw_schedules(pd.concat([many, few, other]), ("small", "large", "other")).axes
    assert [line.get_linestyle() for line in axes.get_lines()] == ["-", "--", "-"]
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [0.0, 0.0, 0.0]


def test_schedules_within_one_and_a_half_decades_start_at_zero() -> None:
    (axes,) = draw_schedules(schedule_table(arms=ARMS[:2]), ARMS[:2]).axes
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0


def test_schedules_that_differ_between_backends_get_a_panel_each() -> None:
    schedule = schedule_table()
    schedule.loc[(schedule["backend"] == "keras") & (schedule["arm"] == "clr"), "lr"] *= 2
    figure = draw_schedules(schedule, ARMS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["torch", "keras"]
    torch, keras = (labelled(axes, "clr")[0].get_ydata() for axes in figure.axes)
    np.testing.assert_array_equal(keras, torch * 2)


def test_the_later_of_two_equal_schedules_has_gaps() -> None:
    schedule = schedule_table(["torch"], ["constant"])
    schedule = pd.concat([schedule, schedule.assign(arm="adam")])
    (axes,) = draw_schedules(schedule, ["constant", "adam"]).axes
    assert [line.get_linestyle() for line in axes.get_lines()] == ["-", "--"]


def test_arms_without_a_schedule_have_no_place_in_the_legend() -> None:
    assert legend_texts(draw_schedules(schedule_table(["torch"], ["clr"]), ARMS)) == ["clr"]


def test_an_arm_of_which_every_run_diverged_ends_early_and_the_caption_says_so() -> None:
    schedule = schedule_table(["torch"], ARMS[:2])
    assert caption(draw_schedules(schedule, ARMS)) == ""
    schedule.loc[(schedule["arm"] == "clr") & (schedule["epoch"] > 5), "lr"] = np.nan
    figure = draw_schedules(schedule, ARMS)
    assert caption(figure) == "every run of clr diverged: the line ends where the first one did"


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ([0.5, 0.2, 0.4], "Learning rate of clr (torch) goes from 0.5 to 0.4, between 0.2 and 0.5."),
        ([0.5, 0.5, 0.5], "Learning rate of clr (torch) stays at 0.5."),
        ([0.5, 0.3, np.nan], "Learning rate of clr (torch) goes from 0.5 to 0.3, between 0.3 and 0.5."),
    ],
)
def test_words_name_where_each_rate_begins_ends_and_turns(rates: list[float], words: str) -> None:
    schedule = pd.DataFrame({"backend": "torch", "arm": "clr", "epoch": [1, 2, 3], "step": [2, 4, 6], "lr": rates})
    findings = findings_by_hand(ARMS, {"schedule": schedule})
    assert LR_SCHEDULE.alt(findings) == words
    assert LR_SCHEDULE.caption(findings) == "Learning rate by epoch"


def test_texts_neither_overlap_nor_are_cut() -> None:
    assert_texts_are_whole_and_apart(draw_schedules(schedule_table(), ARMS))
