"""The figure of the time to target shows what the table holds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from figure_samples import caption, findings_by_hand, legend_texts, summary_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings
from clrbench.report.figures.style import arm_colours, arm_line_styles
from clrbench.report.figures.time_to_target import TIME_TO_TARGET, draw_time_to_target

ARMS = ("constant", "clr")
INF = np.inf
FIRST = {"constant": [3.0, 4.0, 4.0, INF], "clr": [2.0, 2.0, 3.0, 12.0]}
SUSTAINED = {"constant": [5.0, INF, 4.0, INF], "clr": [2.0, 11.0, 11.0, 12.0]}


def tables(
    backends: Sequence[str] = ("torch",),
    targets: Sequence[float] = (0.9,),
    metric: str = "test_accuracy",
    first: Mapping[str, Sequence[float]] = FIRST,
    sustained: Mapping[str, Sequence[float]] = SUSTAINED,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, ends = [], []
    for backend in backends:
        for arm, epochs in first.items():
            ends.append({"backend": backend, "arm": arm, "seed": 0, "epoch": 12.0, "status": "finished"})
            for target in targets:
                for seed, (early, late) in enumerate(zip(epochs, sustained[arm], strict=True)):
                    keys = {"backend": backend, "arm": arm, "metric": metric, "target": target, "seed": seed}
                    rows.append({**keys, "first_epoch": early, "sustained_epoch": late})
    return pd.DataFrame(rows), pd.DataFrame(ends)


def findings_of_targets(
    targets: pd.DataFrame, metrics: pd.DataFrame, arms: Sequence[str] = ARMS, summary: pd.DataFrame | None = None
) -> Findings:
    summary = summary_of(arms) if summary is None else summary
    return findings_by_hand(arms, {"targets": targets, "metrics": metrics, "summary": summary})


def draw(targets: pd.DataFrame, metrics: pd.DataFrame, arms: Sequence[str] = ARMS) -> Figure:
    figure = draw_time_to_target(findings_of_targets(targets, metrics, arms))
    assert figure is not None
    return figure


def steps(axes: Axes, arm: str, line: int = 0) -> list[tuple[float, float]]:
    colour = arm_colours(ARMS)[arm]
    found = [drawn for drawn in axes.lines if drawn.get_color() == colour][line]
    assert found.get_drawstyle() == "steps-post"
    return list(zip(*found.get_data(), strict=True))


def test_the_share_of_runs_rises_when_one_gets_there_and_misses_never_count() -> None:
    (axes,) = draw(*tables()).axes
    assert steps(axes, "constant") == [(0, 0), (3, 25), (4, 50), (4, 75), (12, 75)]
    assert steps(axes, "clr") == [(0, 0), (2, 25), (2, 50), (3, 75), (12, 100), (12, 100)]


def test_dotted_lines_show_the_runs_that_stay_there() -> None:
    (axes,) = draw(*tables()).axes
    assert steps(axes, "constant", 1) == [(0, 0), (4, 25), (5, 50), (12, 50)]
    assert steps(axes, "clr", 1) == [(0, 0), (2, 25), (11, 50), (11, 75), (12, 100), (12, 100)]
    assert [line.is_dashed() for line in axes.lines] == [False, True] * 2


def test_a_column_a_backend_and_a_row_a_target() -> None:
    figure = draw(*tables(("torch", "keras"), (0.9, 0.95)))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"{backend}: test accuracy at least {target}" for target in (0.9, 0.95) for backend in ("torch", "keras")
    ]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "epoch", "epoch"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["reached (%)", ""] * 2
    assert figure.axes[0].get_xlim() == pytest.approx((0, 12.12))


def test_backends_may_have_targets_of_their_own() -> None:
    targets, metrics = tables(("torch", "keras"), (0.9, 0.95))
    figure = draw(targets[(targets["backend"] == "torch") | (targets["target"] == 0.95)], metrics)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.axison] == [
        "torch: test accuracy at least 0.9",
        "keras: test accuracy at least 0.95",
        "torch: test accuracy at least 0.95",
    ]
    assert [axes.get_xlabel() for axes in figure.axes if axes.axison] == ["", "epoch", "epoch"]
    assert all(len(axes.lines) == 4 for axes in figure.axes if axes.axison)


def test_a_loss_is_reached_from_above() -> None:
    (axes,) = draw(*tables(metric="test_loss", targets=(0.25,))).axes
    assert axes.get_title(loc="left") == "torch: test loss at most 0.25"


def test_caption_and_legend_say_how_many_runs_and_how_many_missed() -> None:
    figure = draw(*tables())
    assert legend_texts(figure) == ["constant (n = 4)", "clr (n = 4)"]
    assert caption(figure) == (
        "line: share of the n runs (seeds 0 to 3) that have reached the target at least once; dotted: that stay there until "
        "the end; 1 of 8 times a run never got there; 1 of 8 times a run got there but did not stay"
    )


def test_backends_with_different_numbers_of_runs_are_told_apart_in_the_legend() -> None:
    targets, metrics = tables(("torch", "keras"))
    figure = draw(targets[(targets["backend"] == "torch") | (targets["seed"] < 2)], metrics)
    assert legend_texts(figure)[0] == "constant (n = 4 torch, 2 keras)"


def test_an_arm_that_trains_for_less_time_ends_there() -> None:
    targets, metrics = tables()
    metrics.loc[metrics["arm"] == "constant", "epoch"] = 6.0
    (axes,) = draw(targets, metrics).axes
    assert steps(axes, "constant")[-1] == (6, 75)
    assert steps(axes, "clr")[-1] == (12, 100)


def test_targets_that_every_run_misses_are_lines_at_zero() -> None:
    missed = {arm: [INF] for arm in ARMS}
    figure = draw(*tables(first=missed, sustained=missed))
    assert steps(figure.axes[0], "clr") == [(0, 0), (12, 0)]
    assert "(seed 0)" in caption(figure)
    assert "2 of 2 times a run never got there" in caption(figure)


def test_equal_lines_do_not_hide_each_other() -> None:
    arms = tuple(f"arm{number}" for number in range(8))
    same = {arm: [3.0, 4.0] for arm in arms}
    figure = draw(*tables(first=same, sustained=same), arms=arms)
    (axes,) = figure.axes
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines if not line.get_label().startswith("_")}
    assert len(styles) == 8
    assert {arm_line_styles(arms)[arm] for arm in arms} == {"-", "--"}
    assert "dashes: lines overlap" in caption(figure)
    for line in axes.lines:
        np.testing.assert_array_equal(line.get_xydata(), [(0, 0), (3, 50), (4, 100), (12, 100)])
    lengths = [line._unscaled_dash_pattern for line in axes.lines[::2]]
    assert lengths == [(0, None), *((2.5 * below, (2.5, 2.5 * (below + 1))) for below in range(1, 8))]


def test_no_targets_give_no_figure() -> None:
    targets, metrics = tables()
    assert draw_time_to_target(findings_of_targets(targets.iloc[:0], metrics)) is None


def test_the_caption_says_which_runs_diverged() -> None:
    summary = summary_of(ARMS, ["torch"], runs=4).assign(diverged=[0, 2])
    figure = draw_time_to_target(findings_of_targets(*tables(), summary=summary))
    assert caption(figure).endswith("; torch: 2 of 4 runs of clr diverged; diverged runs never stay there")


def test_words_count_the_runs_that_reach_each_target_and_those_that_stay() -> None:
    findings = findings_of_targets(*tables(targets=(0.9, 0.95)))
    arms = "4 of 4 runs of clr reach it, the median run at epoch 2.5, 4 stay there."
    constant = "3 of 4 runs of constant reach it, the median run at epoch 4, 2 stay there"
    assert TIME_TO_TARGET.alt(findings) == (
        f"Test accuracy at least 0.9 (torch): {constant}; {arms} Test accuracy at least 0.95 (torch): {constant}; {arms}"
    )
    missed = {arm: [INF] for arm in ARMS}
    words = TIME_TO_TARGET.alt(findings_of_targets(*tables(first=missed, sustained=missed)))
    assert words.endswith("0 of 1 run of constant reach it, 0 stay there; 0 of 1 run of clr reach it, 0 stay there.")
    assert TIME_TO_TARGET.caption(findings).startswith("Time to target: the share of runs that have reached it")
