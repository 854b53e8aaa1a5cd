"""The figure of one metric over the epochs, and what it shows in words."""

import numpy as np
import pandas as pd
from figure_samples import (
    ARMS,
    assert_texts_are_whole_and_apart,
    caption,
    diverge,
    faint_lines,
    findings_from_metrics,
    legend_texts,
    metrics_table,
)
from page_samples import sample_spec
from specs import CONSTANT

from clrbench.analysis.tables import Findings
from clrbench.report.figures.curves import MAX_FAINT_LINES
from clrbench.report.figures.metrics import draw_metric, metric_plot
from clrbench.report.figures.style import to_png

PUBLISHED = pd.DataFrame(
    {"backend": "torch", "arm": ["constant", "clr"], "metric": "test_accuracy", "value": [0.9598, 0.9604]}
)


def test_there_is_a_panel_a_backend_and_one_y_axis() -> None:
    figure = draw_metric(findings_from_metrics(metrics_table()), "test_loss")
    left, right = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["torch", "keras"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch", "epoch"]
    assert (left.get_ylabel(), right.get_ylabel()) == ("test loss (nats)", "")
    assert left.get_ylim() == right.get_ylim()
    assert [len(faint_lines(axes)) for axes in figure.axes] == [30, 30]
    assert legend_texts(figure) == ["constant (n = 10)", "clr (n = 10)", "one_cycle (n = 10)"]
    assert caption(figure) == "line: mean of 10 seeds (0 to 9), band: 95 % interval of the mean, faint: single seeds"


def test_one_seed_on_one_backend_is_a_line_without_band_and_faint_lines() -> None:
    figure = draw_metric(findings_from_metrics(metrics_table(["keras"], ARMS[:2], [4])), "test_accuracy")
    (axes,) = figure.axes
    assert len(axes.get_lines()) == 2
    assert faint_lines(axes) == []
    assert caption(figure).startswith("line: the only seed (4); not shown")


def test_of_many_seeds_the_first_are_drawn_by_themselves() -> None:
    ten = metrics_table(["torch"], ARMS[:1])
    metrics = pd.concat([ten.assign(seed=ten["seed"] + start) for start in range(0, MAX_FAINT_LINES + 10, 10)])
    seeds = metrics["seed"].unique()
    figure = draw_metric(findings_from_metrics(metrics), "test_loss")
    (axes,) = figure.axes
    lines = faint_lines(axes)
    assert len(lines) == MAX_FAINT_LINES
    for seed in (0, MAX_FAINT_LINES - 1):
        run = metrics[metrics["seed"] == seed]
        np.testing.assert_array_equal(lines[seed], run[["epoch", "test_loss"]])
    assert caption(figure).startswith(f"line: mean of {len(seeds)} seeds (0 to {len(seeds) - 1}), ")
    assert f"faint: the first {MAX_FAINT_LINES} seeds" in caption(figure)


def test_an_arm_of_which_every_run_diverged_at_once_is_counted() -> None:
    metrics = metrics_table(["torch"], ARMS[:2])
    for seed in range(10):
        diverge(metrics, "torch", "clr", seed, 0)
    findings = findings_from_metrics(metrics)
    figure = draw_metric(findings, "test_loss")
    assert caption(figure).endswith("faint: single seeds; torch: 10 of 10 runs of clr diverged")
    assert legend_texts(figure) == ["constant (n = 10)", "clr (n = 10)"]
    assert metric_plot("test_loss").alt(findings).endswith("Test loss of clr (torch): no values.")
    only = draw_metric(findings_from_metrics(metrics[metrics["arm"] == "clr"]), "test_loss")
    assert len(to_png(only)) > 0


def small_findings(values: dict[str, list[float]], published: pd.DataFrame) -> Findings:
    """Return the findings of one run an arm, whose test accuracies are given."""
    rows = metrics_table(["torch"], ["constant"], [0]).iloc[:3].assign(epoch=[1.0, 2.0, 2.5])
    runs = [
        rows.assign(arm=arm, test_accuracy=found, status="diverged" if pd.isna(found).any() else "finished")
        for arm, found in values.items()
    ]
    made = findings_from_metrics(pd.concat(runs), list(values), published=published)
    spec = sample_spec(seeds=1, arms=dict.fromkeys(values, CONSTANT), baseline=next(iter(values)))
    return Findings(spec, made.tables)


def test_words_name_where_the_mean_begins_is_best_and_ends_divergence_and_published_values() -> None:
    published = pd.DataFrame(
        {"backend": ["torch", "keras"], "arm": "constant", "metric": "test_accuracy", "value": 0.75}
    )
    nan = float("nan")
    findings = small_findings({"constant": [0.4, 0.6, 0.5], "clr": [0.1, nan, nan]}, published)
    plot = metric_plot("test_accuracy")
    assert plot.alt(findings) == (
        "Test accuracy of constant (torch): 0.4000 (epoch 1), best 0.6000 (epoch 2), last 0.5000 (epoch 2.5). Test "
        "accuracy of clr (torch): 0.1000 (epoch 1), last 0.1000 (epoch 1); 1 of 1 run diverged. A dashed line marks "
        "the value published for constant, 0.75."
    )
    assert plot.caption(findings) == "Test accuracy by epoch: mean, 95 % confidence interval, individual seeds"


def test_the_best_loss_is_the_lowest() -> None:
    metrics = metrics_table(["torch"], ["clr"], [0]).iloc[:4].assign(test_loss=[3.0, 1.0, 4.0, 2.0])
    assert metric_plot("test_loss").alt(findings_from_metrics(metrics)) == (
        "Test loss of clr (torch): 3.0000 (epoch 1), best 1.0000 (epoch 2), last 2.0000 (epoch 4)."
    )


def test_texts_neither_overlap_nor_are_cut() -> None:
    findings = findings_from_metrics(metrics_table(), published=PUBLISHED)
    assert_texts_are_whole_and_apart(draw_metric(findings, "test_accuracy"))
