"""The figure of an experiment at a glance."""

import numpy as np
import pandas as pd
import pytest
from figure_samples import (
    ARMS,
    BACKENDS,
    assert_texts_are_whole_and_apart,
    caption,
    diverge,
    findings_from_metrics,
    labelled,
    legend_texts,
    metrics_table,
    paired_tables,
    run_rows,
    schedule_table,
)
from matplotlib.figure import Figure

from clrbench.report.figures.overview import OVERVIEW, draw_overview


def overview(metrics: pd.DataFrame, arms: tuple[str, ...] = ARMS, metric: str = "test_accuracy") -> Figure:
    return draw_overview(findings_from_metrics(metrics, arms, metric=metric))


def test_overview_shows_rates_loss_metric_and_differences() -> None:
    metrics = metrics_table()
    comparison, differences = paired_tables(metrics)
    figure = overview(metrics)
    lr, loss, accuracy, difference = figure.axes
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:3] == ["learning rate", "train loss (nats)", "test accuracy (fraction)"]
    assert titles[3] == "difference in test accuracy"
    assert difference.get_xlabel() == "candidate - constant (fraction)"
    assert figure.legends[0].get_title().get_text() == "mnist-mlp"
    assert legend_texts(figure)[-2:] == ["torch", "keras"]
    assert len(lr.get_lines()) == 3
    for axes, metric in ((loss, "train_loss"), (accuracy, "test_accuracy")):
        means = metrics.groupby(["backend", "arm", "epoch"])[metric].mean()
        for backend, line in zip(BACKENDS, labelled(axes, "clr"), strict=True):
            np.testing.assert_allclose(line.get_ydata(), means[backend, "clr"], rtol=1e-12)
            assert line.get_linestyle() == {"torch": "-", "keras": "--"}[backend]
    dots = [line.get_xdata() for line in labelled(difference, "_pairs")]
    np.testing.assert_array_equal(np.concatenate(dots), differences["difference"])
    means = [line.get_xdata()[0] for line in labelled(difference, "_mean")]
    np.testing.assert_array_equal(means, comparison["mean_difference"])
    intervals = [collection.get_segments()[0][:, 0] for collection in difference.collections]
    np.testing.assert_array_equal(intervals, comparison[["ci_low", "ci_high"]])
    rows = [text.get_text() for text in difference.get_yticklabels()]
    assert rows == [f"{row.candidate}, {row.backend}\n{row.verdict}" for row in comparison.itertuples()]
    assert difference.get_ylim()[0] > difference.get_ylim()[1]


def test_a_band_that_ends_below_zero_is_said_once() -> None:
    metrics = metrics_table(["torch"], ["clr"], seeds=range(3))
    metrics.loc[metrics["seed"] == 0, ["train_loss", "test_loss"]] *= 1000
    assert caption(overview(metrics, ("clr",), "test_loss")).count("a band down to the edge ends below 0") == 1
    assert "a band" not in caption(overview(metrics_table()))


def test_schedules_that_differ_between_backends_have_the_line_styles_of_these() -> None:
    schedule = schedule_table()
    schedule.loc[(schedule["backend"] == "keras") & (schedule["arm"] == "clr"), "lr"] *= 2
    rates = draw_overview(findings_from_metrics(metrics_table(), schedule=schedule)).axes[0]
    assert [line.get_linestyle() for line in rates.get_lines()] == ["-"] * 3 + ["--"] * 3


def test_arms_of_the_only_backend_keep_their_line_styles_in_every_panel() -> None:
    arms = tuple(f"arm{number}" for number in range(8))
    rows = [run_rows("torch", arm, seed) for arm in arms for seed in range(2)]
    figure = overview(pd.concat(rows, ignore_index=True), arms)
    for axes in figure.axes[1:3]:
        shown = {line.get_label(): line.get_linestyle() for line in axes.get_lines()}
        assert shown == {arm: "--" if arm == "arm7" else "-" for arm in arms}


def test_diverged_runs_are_counted() -> None:
    metrics = metrics_table()
    diverge(metrics, "keras", "clr", 3, 3)
    diverge(metrics, "keras", "clr", 7, 9)
    assert "keras: 2 of 10 runs of clr diverged; the mean goes on without them" in caption(overview(metrics))


def test_values_outside_the_axis_are_counted_under_the_name_of_their_metric() -> None:
    metrics = metrics_table(["torch"], ARMS[:2])
    start = metrics[metrics["epoch"] == 1].assign(epoch=0, test_accuracy=0.1)
    figure = overview(pd.concat([start, metrics]))
    assert "not shown: 6 of 26 mean test accuracy values, below 0.944" in caption(figure)


def test_too_few_pairs_have_an_interval_from_edge_to_edge_and_the_caption_says_so() -> None:
    figure = overview(metrics_table(seeds=[0]))
    difference = figure.axes[3]
    assert len(difference.collections) == 4
    assert all(
        tuple(collection.get_segments()[0][:, 0]) == difference.get_xlim() for collection in difference.collections
    )
    assert "from edge to edge: unbounded" in caption(figure)


def test_one_arm_has_nothing_to_be_compared_with() -> None:
    figure = overview(metrics_table(["torch"], ["clr"]), ("clr",))
    assert [text.get_text() for text in figure.axes[3].texts] == ["no pairs to compare"]


def test_overview_follows_the_metric_of_the_verdict() -> None:
    figure = overview(metrics_table(["torch"]), metric="test_loss")
    assert figure.axes[2].get_title(loc="left") == "test loss (nats)"
    assert figure.axes[3].get_xlabel() == "candidate - constant (nats)"


def test_two_baselines_are_named_in_every_row() -> None:
    metrics = metrics_table(["torch"])
    tables = [paired_tables(metrics), paired_tables(metrics, baseline="clr")]
    comparison, differences = (pd.concat(parts) for parts in zip(*tables, strict=True))
    figure = draw_overview(findings_from_metrics(metrics, comparison=comparison, differences=differences))
    rows = [text.get_text().split("\n")[0] for text in figure.axes[3].get_yticklabels()]
    assert rows == [
        "clr - constant, torch",
        "one_cycle - constant, torch",
        "constant - clr, torch",
        "one_cycle - clr, torch",
    ]
    assert figure.axes[3].get_xlabel() == "candidate - baseline (fraction)"


def test_words_begin_with_the_differences_and_send_on_for_what_else_is_drawn() -> None:
    findings = findings_from_metrics(metrics_table(["torch"], ARMS[:2], [0]))
    words = OVERVIEW.alt(findings)
    assert words.startswith("clr - constant (torch): mean ")
    assert ", interval unbounded, 1 pair: 1 won, 0 tied, 0 lost; cannot tell." in words
    assert "Test accuracy of clr (torch): " in words
    assert words.endswith("Learning rate and train loss: see their own plots.")
    assert (
        OVERVIEW.caption(findings) == "Overview: learning rate, train loss, test accuracy, and its paired differences"
    )


@pytest.mark.parametrize(
    ("backends", "arms", "seeds"),
    [pytest.param(BACKENDS, ARMS, 10, marks=pytest.mark.acceptance), (("keras",), ARMS[:2], 3)],
)
def test_texts_neither_overlap_nor_are_cut(backends: tuple[str, ...], arms: tuple[str, ...], seeds: int) -> None:
    assert_texts_are_whole_and_apart(overview(metrics_table(backends, arms, range(seeds)), arms))
