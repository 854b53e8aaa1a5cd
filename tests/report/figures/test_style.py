"""What all figures share: colours, line styles, and equal bytes for equal figures."""

import matplotlib
import pytest
from figure_samples import ARMS, assert_texts_are_whole_and_apart, findings_from_metrics, metrics_table, schedule_table
from matplotlib.axes import Axes

from clrbench.report.figures import style
from clrbench.report.figures.metrics import draw_metric
from clrbench.report.figures.overview import draw_overview
from clrbench.report.figures.schedule import draw_schedules


def test_an_arm_has_the_same_colour_in_every_figure_whatever_else_is_drawn() -> None:
    findings, expected = findings_from_metrics(metrics_table()), style.arm_colours(ARMS)
    drawn = [draw_metric(findings, "test_loss"), draw_schedules(schedule_table(), ARMS), draw_overview(findings)]
    drawn.append(draw_metric(findings_from_metrics(metrics_table(arms=["clr"]), ARMS), "test_loss"))
    for figure in drawn:
        lines = [line for axes in figure.axes for line in axes.get_lines() if line.get_label() in ARMS]
        assert lines
        assert all(line.get_color() == expected[line.get_label()] for line in lines)


def test_more_arms_than_colours_differ_by_line_style() -> None:
    arms = [f"arm-{i}" for i in range(20)]
    colours, styles = style.arm_colours(arms), style.arm_line_styles(arms)
    assert len({(colours[arm], styles[arm]) for arm in arms}) == 20
    assert len({colours[arm] for arm in arms[:7]}) == 7
    assert {styles[arm] for arm in arms[:7]} == {"-"}


def test_png_is_1600_pixels_wide_and_the_same_every_time() -> None:
    findings = findings_from_metrics(metrics_table())
    before = dict(matplotlib.rcParams)
    figure = draw_metric(findings, "test_loss")
    first = style.to_png(figure)
    assert int.from_bytes(first[16:20], "big") == 1600
    assert style.to_png(figure) == first
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 50}):
        assert style.to_png(draw_metric(findings, "test_loss")) == first
    assert b"Software" not in first
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("values", "expected"), [([1.0, 100.0], 2.0), ([0.0, -1.0, float("nan"), 0.5, 5.0], 1.0), ([], 0.0)]
)
def test_decades_are_those_of_the_finite_values_above_zero(values: list[float], expected: float) -> None:
    assert style.decades(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("span", "ticks"), [(2.0, ["0.1", "0.2", "0.5", "1", "2", "5", "10"]), (3.0, ["0.1", "1", "10"])]
)
def test_a_log_axis_has_plain_numbers_and_more_of_them_where_it_is_short(span: float, ticks: list[str]) -> None:
    axes = panel()
    axes.set_ylim(0.1, 10)
    style.log_scale(axes, "y", span)
    formatter = axes.yaxis.get_major_formatter()
    assert [formatter(value) for value in axes.get_yticks() if 0.09 < value < 11] == ticks


def test_an_epoch_axis_starts_at_zero_and_shows_fractions_of_a_short_training_alone() -> None:
    axes = panel()
    style.epoch_axis(axes, 1.0)
    assert axes.get_xlim() == (0, 1.01)
    assert any(tick % 1 for tick in axes.get_xticks())
    style.epoch_axis(axes, 12.0)
    assert not any(tick % 1 for tick in axes.get_xticks())
    assert axes.get_xlabel() == "epoch"


def test_a_legend_of_long_names_takes_several_lines() -> None:
    arms = [f"a_rather_long_name_of_an_arm_{i}" for i in range(9)]
    metrics = metrics_table(["torch"], ["clr"], range(2))
    findings = findings_from_metrics(metrics.assign(arm=arms[0]), arms)
    figure = draw_metric(findings, "test_loss")
    handles = figure.legends[0].legend_handles * 9
    figure.legends[0].remove()
    style.write_legend(figure, handles)
    assert_texts_are_whole_and_apart(figure)
    boxes = [text.get_window_extent() for text in figure.legends[0].get_texts()]
    assert len({round(box.x0) for box in boxes}) == 2
    assert len({round(box.y0) for box in boxes}) == 5


def panel() -> Axes:
    (axes,) = style.row_of_panels(3.0, 1)[1]
    return axes
