"""The figure of a metric over all updates spent."""

import numpy as np
import pandas as pd

from clrbench.report.cost_plot import cost_figure
from clrbench.report.plot_style import arm_colours, to_png

ARMS = ["constant", "clr", "missing"]
CURVE = pd.DataFrame(
    {
        "backend": ["torch"] * 4 + ["keras"] * 2,
        "arm": ["constant"] * 2 + ["clr"] * 2 + ["constant"] * 2,
        "total_step": [210, 220, 10, 20, 110, 120],
        "mean": [0.5, 0.9, 0.6, 0.8, 0.4, 0.7],
    }
)


def test_every_arm_is_drawn_where_its_updates_lie_in_its_own_colour() -> None:
    torch, keras = cost_figure(CURVE, "test_accuracy", ARMS, 10).axes
    drawn = {line.get_label(): (line.get_color(), np.asarray(line.get_xydata()).tolist()) for line in torch.lines}
    colours = arm_colours(ARMS)
    assert drawn == {
        "constant": (colours["constant"], [[210, 0.5], [220, 0.9]]),
        "clr": (colours["clr"], [[10, 0.6], [20, 0.8]]),
    }
    assert len(keras.lines) == 1
    assert torch.get_xlabel() == "updates, search included"
    assert torch.get_xlim()[0] == 0


def test_figure_has_a_legend_entry_for_each_arm_with_a_curve_and_equal_bytes() -> None:
    figure = cost_figure(CURVE, "test_accuracy", ARMS, 10)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["constant", "clr"]
    assert to_png(figure) == to_png(cost_figure(CURVE, "test_accuracy", ARMS, 10))


def test_losses_of_several_decades_have_a_logarithmic_axis_and_a_lost_mean_a_note() -> None:
    curve = CURVE.assign(mean=[3.0, 0.01, 2.0, np.nan, 1.0, 0.5])
    figure = cost_figure(curve, "test_loss", ARMS, 10)
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    assert "no run is left" in figure.get_supxlabel()
