"""The lines, the axis, the legend and the caption of a metric over the epochs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from figure_samples import (
    ARMS,
    BACKENDS,
    EPOCHS,
    NO_PUBLISHED,
    caption,
    diverge,
    faint_lines,
    findings_from_metrics,
    labelled,
    legend_texts,
    metrics_table,
    run_rows,
)
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.path import Path
from scipy import stats

from clrbench.report.figures.curves import arm_handles, divergence_note, line_caption
from clrbench.report.figures.metrics import draw_metric
from clrbench.report.figures.style import arm_colours


def only_panel(metrics: pd.DataFrame, metric: str, **tables: pd.DataFrame) -> Axes:
    (axes,) = draw_metric(findings_from_metrics(metrics, **tables), metric).axes
    return axes


def shown_band(axes: Axes) -> Path:
    """Return the outline of the only band."""
    (band,) = (drawn for drawn in axes.collections if isinstance(drawn, PolyCollection))
    (outline,) = band.get_paths()
    return outline


@pytest.mark.parametrize("metric", ["train_loss", "test_loss", "test_accuracy"])
def test_mean_lines_are_the_means_of_the_table(metric: str) -> None:
    metrics = metrics_table()
    figure = draw_metric(findings_from_metrics(metrics), metric)
    for axes, backend in zip(figure.axes, BACKENDS, strict=True):
        for arm in ARMS:
            rows = metrics[(metrics["backend"] == backend) & (metrics["arm"] == arm)]
            (line,) = labelled(axes, arm)
            np.testing.assert_array_equal(line.get_xdata(), EPOCHS)
            np.testing.assert_allclose(line.get_ydata(), rows.groupby("epoch")[metric].mean(), rtol=1e-12)


def test_band_is_the_t_interval_of_the_mean() -> None:
    metrics = metrics_table(["torch"], ["clr"])
    axes = only_panel(metrics, "test_loss")
    corners = pd.DataFrame(shown_band(axes).vertices, columns=["epoch", "edge"])
    edges = corners.groupby("epoch")["edge"].agg(["min", "max"])
    values = metrics.pivot(index="epoch", columns="seed", values="test_loss")
    low, high = stats.t.interval(0.95, 9, values.mean(axis=1), stats.sem(values, axis=1))
    np.testing.assert_allclose(edges, np.column_stack([low, high]), rtol=1e-12)


def test_lines_and_bands_are_those_of_the_table_of_bands() -> None:
    findings = findings_from_metrics(metrics_table(["torch"], ["clr"]))
    bands = findings.tables["bands"].assign(mean=0.5, ci_low=0.25, ci_high=0.75)
    (axes,) = draw_metric(replace(findings, tables={**findings.tables, "bands": bands}), "test_loss").axes
    assert set(labelled(axes, "clr")[0].get_ydata()) == {0.5}
    assert set(shown_band(axes).vertices[:, 1]) == {0.25, 0.75}


def test_a_single_evaluation_is_a_point_that_can_be_seen() -> None:
    metrics = metrics_table(["torch"], ["clr"])
    axes = only_panel(metrics[metrics["epoch"] == 12], "test_accuracy")
    assert labelled(axes, "clr")[0].get_marker() == "o"
    assert labelled(only_panel(metrics, "test_accuracy"), "clr")[0].get_marker() == ""


def test_legend_and_caption_say_which_backend_has_how_many_seeds() -> None:
    metrics = pd.concat([metrics_table(["torch"], ["clr"]), metrics_table(["keras"], ["clr"], [0, 2, 5])])
    figure = draw_metric(findings_from_metrics(metrics), "test_loss")
    assert legend_texts(figure) == ["clr (n = 10 torch, 3 keras)"]
    assert caption(figure).startswith("line: mean over the n seeds")
    few = draw_metric(findings_from_metrics(metrics_table(["keras"], ["clr"], [0, 2, 5])), "test_loss")
    assert caption(few).startswith("line: mean of 3 seeds (0, 2, 5)")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([3], "line: the only seed (3)"),
        (range(6), "line: mean of 6 seeds (0 to 5), band: 95 % interval of the mean"),
        ([0, 4, 9], "line: mean of 3 seeds (0, 4, 9), band: 95 % interval of the mean"),
        (range(0, 20, 2), "line: mean of 10 seeds (between 0 and 18), band: 95 % interval of the mean"),
    ],
)
def test_caption_says_over_which_seeds_the_mean_is(seeds: list[int], words: str) -> None:
    metrics = pd.concat([run_rows("torch", "clr", seed) for seed in seeds])
    curves = findings_from_metrics(metrics).curves["test_loss"]
    assert line_caption(curves, with_seeds=False) == words
    faint = "" if len(seeds) == 1 else ", faint: single seeds"
    assert line_caption(curves, with_seeds=True) == words + faint


def test_arms_without_runs_have_no_place_in_the_legend() -> None:
    counts = pd.DataFrame({"backend": ["torch", "keras", "keras"], "arm": ["clr", "clr", "b"], "runs": [4, 4, 2]})
    handles = arm_handles(counts, ["a", "b", "clr"])
    assert [handle.get_label() for handle in handles] == ["b (n = 2)", "clr (n = 4)"]
    assert [handle.get_color() for handle in handles] == [arm_colours(["a", "b", "clr"])[arm] for arm in ("b", "clr")]


def test_arms_may_have_different_epochs() -> None:
    short = pd.concat([run_rows("torch", "clr", seed, np.arange(0.5, 6.5, 0.5)) for seed in range(3)])
    axes = only_panel(pd.concat([metrics_table(["torch"], ["constant"], range(3)), short]), "test_loss")
    assert [labelled(axes, arm)[0].get_xdata()[-1] for arm in ("constant", "clr")] == [12, 6]
    assert len(labelled(axes, "clr")[0].get_ydata()) == 12
    assert axes.get_xlim()[1] > 12


def test_diverged_runs_end_at_a_cross_and_are_counted() -> None:
    metrics = metrics_table()
    diverge(metrics, "keras", "clr", 3, 3)
    diverge(metrics, "keras", "clr", 7, 9)
    figure = draw_metric(findings_from_metrics(metrics), "test_loss")
    torch, keras = figure.axes
    runs = metrics[(metrics["backend"] == "keras") & (metrics["arm"] == "clr")].pivot(
        index="epoch", columns="seed", values="test_loss"
    )
    (crosses,) = labelled(keras, "_diverged")
    assert list(zip(crosses.get_xdata(), crosses.get_ydata(), strict=True)) == [
        (3, runs.loc[3, 3]),
        (9, runs.loc[9, 7]),
    ]
    assert labelled(torch, "_diverged") == []
    left = runs.drop(columns=[3, 7]).loc[10:].mean(axis=1)
    np.testing.assert_allclose(labelled(keras, "clr")[0].get_ydata()[9:], left, rtol=1e-12)
    assert sum(np.isnan(line).any() for line in faint_lines(keras)) == 2
    assert "cross: where a run diverged; keras: 2 of 10 runs of clr diverged; the mean goes on without them" in caption(
        figure
    )


def with_an_untrained_start(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return evaluations with a first row at epoch 0, as train_curve.csv has one."""
    return pd.concat([metrics[metrics["epoch"] == 1].assign(epoch=0.0, step=0, train_loss=2.3), metrics])


def test_a_loss_that_diverges_is_drawn_on_its_way_up() -> None:
    metrics = with_an_untrained_start(metrics_table(["torch"], ["constant", "clr"]))
    clr = metrics["arm"] == "clr"
    for epoch, loss in ((1, 20.0), (2, 4e4)):
        metrics.loc[clr & (metrics["epoch"] == epoch), "train_loss"] = loss
    for seed in range(10):
        diverge(metrics, "torch", "clr", seed, 2)
    figure = draw_metric(findings_from_metrics(metrics), "train_loss")
    (line,) = labelled(figure.axes[0], "clr")
    np.testing.assert_allclose(line.get_ydata()[:4], [2.3, 20, 4e4, np.nan])
    assert 23 <= figure.axes[0].get_ylim()[1] < 40
    words = caption(figure)
    assert "epoch 0: the first mini-batch, before any update" in words
    assert "10 of 10 runs of clr diverged" in words
    assert "not shown: 10 of 160 values, above" in words
    assert "cross" not in words  # the crosses stand at 4e4


def test_without_a_divergence_a_loss_is_scaled_as_ever() -> None:
    metrics = with_an_untrained_start(metrics_table(["torch"], ["constant"]))
    assert draw_metric(findings_from_metrics(metrics), "train_loss").axes[0].get_ylim()[1] < 3


def test_axes_of_all_metrics_end_with_the_last_evaluation() -> None:
    findings = findings_from_metrics(metrics_table(["torch"]))
    training = findings.tables["train_curve"]
    findings = replace(findings, tables={**findings.tables, "train_curve": training[training["epoch"] < 12]})
    bands = findings.tables["bands"]
    is_cut = bands["metric"].isin(["train_loss", "train_accuracy"]) & (bands["epoch"] == 12)
    findings = replace(findings, tables={**findings.tables, "bands": bands[~is_cut]})
    ends = {draw_metric(findings, metric).axes[0].get_xlim()[1] for metric in ("train_loss", "test_loss")}
    assert len(ends) == 1
    assert ends.pop() >= 12


@pytest.mark.parametrize(
    ("diverged", "note"),
    [
        ([0, 0], ""),
        ([0, 2], "torch: 2 of 4 runs of clr diverged; the mean goes on without them"),
        ([0, 4], "torch: 4 of 4 runs of clr diverged"),
        (
            [1, 4],
            "torch: 1 of 4 runs of constant diverged, torch: 4 of 4 runs of clr diverged; the mean goes on without them",
        ),
    ],
)
def test_a_mean_goes_on_without_diverged_runs_where_others_are_left(diverged: list[int], note: str) -> None:
    summary = pd.DataFrame({"backend": "torch", "arm": ["constant", "clr"], "runs": 4, "diverged": diverged})
    assert divergence_note(summary) == note


def test_losses_over_more_than_a_decade_get_a_log_axis() -> None:
    metrics = metrics_table(["torch"])
    assert only_panel(metrics, "test_loss").get_yscale() == "linear"
    metrics["test_loss"] = metrics["test_loss"] ** 2
    axes = only_panel(metrics, "test_loss")
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < metrics["test_loss"].min() < metrics["test_loss"].max() < high


def test_accuracies_that_flatten_the_rest_are_cut_off_and_counted() -> None:
    metrics = metrics_table(["torch"], ARMS[:2])
    start = metrics[metrics["epoch"] == 1].assign(epoch=0, test_accuracy=0.1, train_loss=np.nan)
    metrics = pd.concat([start, metrics])
    figure = draw_metric(findings_from_metrics(metrics), "test_accuracy")
    low, high = figure.axes[0].get_ylim()
    outside = (metrics["test_accuracy"] < low).sum()
    assert 0.9 < low < 0.95
    assert high > metrics["test_accuracy"].max()
    assert outside >= 20
    assert low == float(f"{low:.3g}"), "the count follows from the limit as it is printed"
    assert f"not shown: {outside} of {len(metrics)} values, below {low:g}" in caption(figure)


def test_a_run_that_collapsed_for_good_stays_in_sight() -> None:
    metrics = metrics_table(["torch"], ARMS[:2])
    metrics.loc[(metrics["seed"] == 2) & (metrics["arm"] == "clr"), "test_accuracy"] = 0.098
    figure = draw_metric(findings_from_metrics(metrics), "test_accuracy")
    low, high = figure.axes[0].get_ylim()
    assert 0 <= low < 0.098
    assert 0.98 < high < 1.05
    assert "not shown" not in caption(figure)


def test_published_values_are_dashed_lines_in_the_colour_of_their_arm_and_in_sight() -> None:
    published = pd.DataFrame(
        {
            "backend": ["torch", "torch", "keras", "torch"],
            "arm": ["constant", "clr", "clr", "clr"],
            "metric": ["test_accuracy"] * 3 + ["test_loss"],
            "value": [0.7598, 0.97, 0.97, 0.2],
        }
    )
    figure = draw_metric(findings_from_metrics(metrics_table(), published=published), "test_accuracy")
    torch, keras = figure.axes
    lines = [(line.get_ydata()[0], line.get_color()) for line in labelled(torch, "_published")]
    assert lines == [(0.7598, arm_colours(ARMS)["constant"]), (0.97, arm_colours(ARMS)["clr"])]
    assert [text.get_text() for text in torch.texts] == ["published 0.7598", "published 0.97"]
    assert len(labelled(keras, "_published")) == 1
    assert torch.get_ylim()[0] < 0.7598
    none = draw_metric(findings_from_metrics(metrics_table(), published=NO_PUBLISHED), "test_accuracy")
    assert none.axes[0].texts[:] == []


def test_runs_that_all_diverge_on_their_first_mini_batch_are_drawn_as_far_as_they_go() -> None:
    metrics = with_an_untrained_start(metrics_table(["torch"], ["constant", "clr"]))
    metrics.loc[metrics["epoch"] > 0, "train_loss"] = np.nan
    for arm in ("constant", "clr"):
        for seed in range(10):
            diverge(metrics, "torch", arm, seed, 1)
    figure = draw_metric(findings_from_metrics(metrics), "train_loss")
    assert "10 of 10 runs of clr diverged" in caption(figure)


def test_a_band_that_ends_below_zero_on_a_logarithmic_axis_is_said() -> None:
    metrics = metrics_table(["torch"], ["clr"], seeds=range(3))
    metrics.loc[metrics["seed"] == 0, "test_loss"] *= 1000
    assert "a band down to the edge ends below 0" in caption(
        draw_metric(findings_from_metrics(metrics, ["clr"]), "test_loss")
    )
    assert "a band" not in caption(draw_metric(findings_from_metrics(metrics_table(), ARMS), "test_loss"))
