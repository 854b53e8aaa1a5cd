"""The forest plot of the page: which rows it has, and what they are called."""

from __future__ import annotations

import pytest
from answers import with_baselines

from clrbench.analysis.glance import glance
from clrbench.report.figures.forest import draw_forest, forest_alt


@pytest.mark.parametrize(
    ("baselines", "labels", "whose"),
    [
        ({"low": "none", "clr": "low", "decay": "low"}, ["decay", "clr"], "the"),
        (
            {"sgd": "none", "sgd_clr": "sgd", "adam": "none", "adam_clr": "adam"},
            ["adam_clr - adam", "sgd_clr - sgd"],
            "its",
        ),
        (
            {
                "a_long_name": "none",
                "a_long_name_clr": "a_long_name",
                "b_long_name": "none",
                "b_long_name_clr": "b_long_name",
            },
            ["b_long_name_clr - b_long_name", "a_long_name_clr - a_long_name"],
            "its",
        ),
    ],
    ids=["one", "several", "long names"],
)
def test_rows_are_the_best_first_and_name_their_baseline_where_there_are_several(
    baselines: dict[str, str], labels: list[str], whose: str
) -> None:
    findings = with_baselines(**baselines)
    answer = glance(findings)
    figure = draw_forest(answer, findings)
    assert figure is not None
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == labels
    assert axes.get_xlabel() == f"difference in test accuracy, points; right of 0 beats {whose} baseline"
    figure.draw_without_rendering()
    label = axes.xaxis.label.get_window_extent()
    assert figure.bbox.x0 <= label.x0
    assert label.x1 <= figure.bbox.x1
    assert forest_alt(answer).count("interval") == len(labels)


def test_without_pairs_nothing_is_drawn() -> None:
    findings = with_baselines(alone="none")
    assert draw_forest(glance(findings), findings) is None
