"""The figure of a metric over all updates spent."""

import numpy as np
import pandas as pd
from figure_samples import caption, findings_by_hand, legend_texts, summary_of

from clrbench.analysis.tables import Findings
from clrbench.report.figures.cost import COST, draw_cost
from clrbench.report.figures.style import arm_colours, to_png

ARMS = ["constant", "clr", "missing"]
CURVE = pd.DataFrame(
    {
        "backend": ["torch"] * 4 + ["keras"] * 2,
        "arm": ["constant"] * 2 + ["clr"] * 2 + ["constant"] * 2,
        "total_step": [210, 220, 10, 20, 110, 120],
        "mean": [0.5, 0.9, 0.6, 0.8, 0.4, 0.7],
    }
)


def findings_of_costs(
    curve: pd.DataFrame = CURVE, metric: str = "test_accuracy", summary: pd.DataFrame | None = None
) -> Findings:
    summary = summary_of(ARMS) if summary is None else summary
    return findings_by_hand(ARMS, {"cost_curve": curve, "summary": summary}, metric=metric)


def test_every_arm_is_drawn_where_its_updates_lie_in_its_own_colour() -> None:
    torch, keras = draw_cost(findings_of_costs()).axes
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
    figure = draw_cost(findings_of_costs())
    assert legend_texts(figure) == ["constant", "clr"]
    assert to_png(figure) == to_png(draw_cost(findings_of_costs()))


def test_losses_of_several_decades_have_a_logarithmic_axis_and_a_lost_mean_a_note() -> None:
    curve = CURVE.assign(mean=[3.0, 0.01, 2.0, np.nan, 1.0, 0.5])
    figure = draw_cost(findings_of_costs(curve, "test_loss"))
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    assert "every run has diverged" in caption(figure)


def test_the_caption_counts_seeds_and_diverged_runs() -> None:
    start = (
        "line: mean over n = 10 seeds; an arm begins after the updates that found its rates; no line: missing, as the updates "
        "that found the rates are not known"
    )
    assert caption(draw_cost(findings_of_costs())) == start
    summary = summary_of(ARMS, ["torch"]).assign(diverged=[0, 3, 0])
    found = caption(draw_cost(findings_of_costs(summary=summary)))
    assert found == f"{start}; torch: 3 of 10 runs of clr diverged; the mean goes on without them"


def test_rates_that_were_all_given_make_no_figure() -> None:
    assert draw_cost(findings_by_hand(ARMS, {"summary": summary_of(ARMS)})) is None


def test_words_name_where_each_mean_begins_and_ends() -> None:
    curve = {"backend": "torch", "arm": "clr", "total_step": [50, 100, 150], "mean": [0.5, 0.6, 0.7]}
    findings = findings_of_costs(pd.DataFrame(curve))
    assert COST.caption(findings) == "Cost: test accuracy over all updates, including those that found the rates"
    assert COST.alt(findings) == "Test accuracy of clr (torch): 0.5000 after 50 updates, last 0.7000 after 150 updates."


def test_words_name_the_last_mean_that_there_is() -> None:
    curve = pd.DataFrame({"backend": "torch", "arm": "clr", "total_step": [50, 100, 150], "mean": [0.5, 0.6, np.nan]})
    assert COST.alt(findings_of_costs(curve)).endswith("0.5000 after 50 updates, last 0.6000 after 100 updates.")
    assert COST.alt(findings_of_costs(curve.assign(mean=np.nan))) == "Test accuracy of clr (torch): no values."
