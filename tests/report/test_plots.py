from functools import cache
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from scipy import stats

from clrbench.report.plot_style import arm_colours, arm_line_styles, to_png
from clrbench.report.plots import metric_figure, overview_figure, schedule_figure
from clrbench.report.range_test_plot import range_test_figure

ARMS = ("constant", "clr", "one_cycle")
EPOCHS = np.arange(1.0, 13.0)
STEPS_PER_EPOCH = 550


def lr_at(arm, epoch):
    if arm == "constant":
        return np.full_like(epoch, 0.03)
    if arm == "clr":
        return 0.01 + 0.09 * (1 - np.abs(epoch % 4 / 2 - 1))
    return np.interp(epoch, [0, 3.6, 12], [0.004, 0.1, 1e-5])


def run_rows(backend, arm, seed, epochs=EPOCHS):
    rng = np.random.default_rng([seed, *arm.encode(), *backend.encode()])
    lr = lr_at(arm, epochs)
    loss = 0.32 * epochs**-0.75 + 0.35 * lr + 0.028 + rng.normal(0, 0.004, len(epochs))
    table = pd.DataFrame({"epoch": epochs, "step": (epochs * STEPS_PER_EPOCH).astype(int), "lr": lr})
    return table.assign(
        experiment="mnist-mlp",
        backend=backend,
        arm=arm,
        seed=seed,
        train_loss=loss * 0.8 - 0.02 * epochs / 12,
        train_accuracy=1 - loss / 4,
        validation_loss=loss + 0.02,
        validation_accuracy=1 - loss / 3.4,
        test_loss=loss + 0.015,
        test_accuracy=(1 - loss / 3.5).round(4),
        status="finished",
    )


def diverge(metrics, backend, arm, seed, epoch):
    run = (metrics["backend"] == backend) & (metrics["arm"] == arm) & (metrics["seed"] == seed)
    columns = [name for name in metrics if name.endswith(("loss", "accuracy"))]
    metrics.loc[run & (metrics["epoch"] > epoch), [*columns, "lr"]] = np.nan
    metrics.loc[run, "status"] = "diverged"


@cache
def all_runs():
    keys = product(("torch", "keras"), ARMS, range(10))
    return pd.concat([run_rows(*key) for key in keys], ignore_index=True)


def metrics_table(backends=("torch", "keras"), arms=ARMS, seeds=range(10)):
    runs = all_runs()
    return runs[runs["backend"].isin(backends) & runs["arm"].isin(arms) & runs["seed"].isin(seeds)].copy()


def schedule_table(backends=("torch", "keras"), arms=ARMS):
    epochs = np.linspace(1 / STEPS_PER_EPOCH, 12, 481)
    step = np.rint(epochs * STEPS_PER_EPOCH).astype(int)
    return pd.concat(
        [
            pd.DataFrame({"backend": backend, "arm": arm, "epoch": epochs, "step": step, "lr": lr_at(arm, epochs)})
            for backend in backends
            for arm in arms
        ],
        ignore_index=True,
    )


def paired_tables(metrics, baseline="constant", metric="test_accuracy"):
    ends = (
        metrics[metrics["epoch"] == metrics["epoch"].max()].set_index(["backend", "arm", "seed"])[metric].sort_index()
    )
    differences, comparison = [], []
    for backend in metrics["backend"].unique():
        for arm in metrics["arm"].unique():
            if arm == baseline:
                continue
            paired = (ends[backend, arm] - ends[backend, baseline]).dropna()
            keys = {"backend": backend, "candidate": arm, "baseline": baseline, "metric": metric}
            differences.append(pd.DataFrame({**keys, "seed": paired.index, "difference": paired.to_numpy()}))
            half = 2.3 * paired.std() / np.sqrt(len(paired)) if len(paired) > 5 else np.inf
            mean = paired.mean()
            word = "cannot tell" if np.isinf(half) else "no difference shown" if abs(mean) < half else "better"
            comparison.append(
                {**keys, "pairs": len(paired), "mean_difference": mean, "ci_low": mean - half}
                | {"ci_high": mean + half, "p_value": 0.01, "verdict": word}
            )
    return pd.DataFrame(comparison), pd.concat(differences, ignore_index=True)


def range_test_curve(backends=("torch", "keras"), seeds=range(3), ramp="linear", steps=2750):
    lr = np.linspace(0.001, 1.0, steps) if ramp == "linear" else np.geomspace(1e-5, 3.0, steps)
    tables = []
    for backend in backends:
        for seed in seeds:
            rng = np.random.default_rng([seed, *backend.encode()])
            progress = np.cumsum(lr) / 8
            blowup = np.maximum(0, lr - 0.55) ** 2 * 9
            loss = 0.12 + 2.2 * np.exp(-progress) + blowup
            raw = loss * np.exp(rng.normal(0, 0.3, steps))
            accuracy = np.clip(0.97 - 0.86 * np.exp(-progress) - blowup / 5 * rng.uniform(0.7, 1.3, steps), 0.1, 1)
            evaluated = np.zeros(steps, bool)
            evaluated[np.linspace(0, steps - 1, 62).astype(int)[1:]] = True
            tables.append(
                pd.DataFrame(
                    {
                        "backend": backend,
                        "seed": seed,
                        "step": np.arange(1, steps + 1),
                        "lr": lr,
                        "train_loss": raw,
                        "train_accuracy": np.clip(accuracy + rng.normal(0, 0.03, steps), 0, 1),
                        "validation_loss": np.where(evaluated, loss, np.nan),
                        "validation_accuracy": np.where(evaluated, accuracy, np.nan),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


BOUNDS = {"base_lr": 0.012, "max_lr": 0.48, "reason": None}
REFUSAL = {
    "base_lr": None,
    "max_lr": None,
    "reason": "the accuracy was still rising at the end of the ramp; raise end_lr",
}


def overview(metrics, arms=ARMS, metric="test_accuracy"):
    schedule = schedule_table(metrics["backend"].unique(), arms)
    return overview_figure(metrics, schedule, *paired_tables(metrics, metric=metric), arms, metric)


def labelled(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


def caption(figure):
    return figure.get_supxlabel().replace("\n", " ")


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def shown_texts(figure):
    """Every text that is drawn, with its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    figure.get_layout_engine().execute(figure)
    canvas.draw()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not axes.axison or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in hidden]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]


@pytest.mark.parametrize("metric", ["train_loss", "test_loss", "test_accuracy"])
def test_mean_lines_are_the_means_of_the_table(metric):
    metrics = metrics_table()
    figure = metric_figure(metrics, metric, ARMS)
    for axes, backend in zip(figure.axes, ("torch", "keras"), strict=True):
        for arm in ARMS:
            rows = metrics[(metrics["backend"] == backend) & (metrics["arm"] == arm)]
            (line,) = labelled(axes, arm)
            np.testing.assert_array_equal(line.get_xdata(), EPOCHS)
            np.testing.assert_allclose(line.get_ydata(), rows.groupby("epoch")[metric].mean(), rtol=1e-12)


def test_band_is_the_t_interval_of_the_mean():
    metrics = metrics_table(["torch"], ["clr"])
    (axes,) = metric_figure(metrics, "test_loss", ["clr"]).axes
    corners = pd.DataFrame(axes.collections[0].get_paths()[0].vertices, columns=["epoch", "edge"])
    edges = corners.groupby("epoch")["edge"].agg(["min", "max"])
    values = metrics.pivot(index="epoch", columns="seed", values="test_loss")
    low, high = stats.t.interval(0.95, 9, values.mean(axis=1), stats.sem(values, axis=1))
    np.testing.assert_allclose(edges, np.column_stack([low, high]), rtol=1e-12)


def test_metric_figure_has_a_panel_a_backend_with_one_y_axis():
    figure = metric_figure(metrics_table(), "test_loss", ARMS)
    left, right = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["torch", "keras"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch", "epoch"]
    assert (left.get_ylabel(), right.get_ylabel()) == ("test loss (nats)", "")
    assert left.get_ylim() == right.get_ylim()
    assert [len(labelled(axes, "_seed")) for axes in figure.axes] == [30, 30]
    assert legend_texts(figure) == ["constant (n = 10)", "clr (n = 10)", "one_cycle (n = 10)"]
    assert caption(figure) == "line: mean of 10 seeds (0 to 9), band: 95 % interval of the mean, faint: single seeds"


def test_one_seed_on_one_backend_is_a_line_without_band_and_faint_lines():
    figure = metric_figure(metrics_table(["keras"], ARMS[:2], [4]), "test_accuracy", ARMS[:2])
    (axes,) = figure.axes
    assert len(axes.get_lines()) == 2
    assert caption(figure).startswith("line: the only seed (4); not shown")


def test_a_single_evaluation_is_a_point_that_can_be_seen():
    metrics = metrics_table(["torch"], ["clr"])
    (axes,) = metric_figure(metrics[metrics["epoch"] == 12], "test_accuracy", ["clr"]).axes
    assert labelled(axes, "clr")[0].get_marker() == "o"


def test_legend_and_caption_say_which_backend_has_how_many_seeds():
    metrics = pd.concat([metrics_table(["torch"], ["clr"]), metrics_table(["keras"], ["clr"], [0, 2, 5])])
    figure = metric_figure(metrics, "test_loss", ["clr"])
    assert legend_texts(figure) == ["clr (n = 10 torch, 3 keras)"]
    assert caption(figure).startswith("line: mean over the n seeds")
    few = metric_figure(metrics_table(["keras"], ["clr"], [0, 2, 5]), "test_loss", ["clr"])
    assert caption(few).startswith("line: mean of 3 seeds (0, 2, 5)")


def test_arms_may_have_different_epochs():
    short = pd.concat([run_rows("torch", "clr", seed, np.arange(0.5, 6.5, 0.5)) for seed in range(3)])
    metrics = pd.concat([metrics_table(["torch"], ["constant"], range(3)), short])
    (axes,) = metric_figure(metrics, "test_loss", ARMS).axes
    assert [labelled(axes, arm)[0].get_xdata()[-1] for arm in ("constant", "clr")] == [12, 6]
    assert len(labelled(axes, "clr")[0].get_ydata()) == 12
    assert axes.get_xlim()[1] > 12


def test_diverged_runs_end_at_a_cross_and_are_counted():
    metrics = metrics_table()
    diverge(metrics, "keras", "clr", 3, 3)
    diverge(metrics, "keras", "clr", 7, 9)
    figure = metric_figure(metrics, "test_loss", ARMS)
    torch, keras = figure.axes
    runs = metrics[(metrics["backend"] == "keras") & (metrics["arm"] == "clr")].pivot(
        index="epoch", columns="seed", values="test_loss"
    )
    crosses = [(line.get_xdata()[0], line.get_ydata()[0]) for line in labelled(keras, "_diverged")]
    assert crosses == [(3, runs.loc[3, 3]), (9, runs.loc[9, 7])]
    assert labelled(torch, "_diverged") == []
    left = runs.drop(columns=[3, 7]).loc[10:].mean(axis=1)
    np.testing.assert_allclose(labelled(keras, "clr")[0].get_ydata()[9:], left, rtol=1e-12)
    assert sum(np.isnan(line.get_ydata()).any() for line in labelled(keras, "_seed")) == 2
    assert "cross: where a run diverged; 2 of 10 runs of clr diverged (keras), the mean goes on" in caption(figure)
    assert "2 of 10 runs of clr diverged (keras)" in caption(overview(metrics))


def test_an_arm_of_which_every_run_diverged_at_once_is_counted():
    metrics = metrics_table(["torch"], ARMS[:2])
    for seed in range(10):
        diverge(metrics, "torch", "clr", seed, 0)
    figure = metric_figure(metrics, "test_loss", ARMS[:2])
    assert caption(figure).endswith("faint: single seeds; 10 of 10 runs of clr diverged")
    assert legend_texts(figure) == ["constant (n = 10)", "clr (n = 10)"]
    only = metric_figure(metrics[metrics["arm"] == "clr"], "test_loss", ARMS[:2])
    assert len(to_png(only)) > 0


def test_losses_over_more_than_a_decade_get_a_log_axis():
    metrics = metrics_table(["torch"])
    assert metric_figure(metrics, "test_loss", ARMS).axes[0].get_yscale() == "linear"
    metrics["test_loss"] = metrics["test_loss"] ** 2
    (axes,) = metric_figure(metrics, "test_loss", ARMS).axes
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < metrics["test_loss"].min() < metrics["test_loss"].max() < high


def test_accuracies_that_flatten_the_rest_are_cut_off_and_counted():
    metrics = metrics_table(["torch"], ARMS[:2])
    start = metrics[metrics["epoch"] == 1].assign(epoch=0, test_accuracy=0.1, train_loss=np.nan)
    metrics = pd.concat([start, metrics])
    figure = metric_figure(metrics, "test_accuracy", ARMS)
    low, high = figure.axes[0].get_ylim()
    outside = (metrics["test_accuracy"] < low).sum()
    assert 0.9 < low < 0.95
    assert high > metrics["test_accuracy"].max()
    assert outside >= 20
    assert f"not shown: {outside} of {len(metrics)} values, below {low:.3g}" in caption(figure)


def test_a_run_that_collapsed_for_good_stays_in_sight():
    metrics = metrics_table(["torch"], ARMS[:2])
    metrics.loc[(metrics["seed"] == 2) & (metrics["arm"] == "clr"), "test_accuracy"] = 0.098
    figure = metric_figure(metrics, "test_accuracy", ARMS)
    low, high = figure.axes[0].get_ylim()
    assert 0 <= low < 0.098
    assert 0.98 < high < 1.05
    assert "not shown" not in caption(figure)


def test_published_values_are_dashed_lines_in_the_colour_of_their_arm_and_in_sight():
    published = pd.DataFrame(
        {
            "backend": ["torch", "torch", "keras", "torch"],
            "arm": ["constant", "clr", "clr", "clr"],
            "metric": ["test_accuracy"] * 3 + ["test_loss"],
            "value": [0.7598, 0.97, 0.97, 0.2],
        }
    )
    figure = metric_figure(metrics_table(), "test_accuracy", ARMS, published)
    torch, keras = figure.axes
    lines = [(line.get_ydata()[0], line.get_color()) for line in labelled(torch, "_published")]
    assert lines == [(0.7598, arm_colours(ARMS)["constant"]), (0.97, arm_colours(ARMS)["clr"])]
    assert [text.get_text() for text in torch.texts] == ["published 0.7598", "published 0.97"]
    assert len(labelled(keras, "_published")) == 1
    assert torch.get_ylim()[0] < 0.7598
    assert metric_figure(metrics_table(), "test_accuracy", ARMS, published.iloc[:0]).axes[0].texts[:] == []


def test_an_arm_has_the_same_colour_in_every_figure_whatever_else_is_drawn():
    metrics, expected = metrics_table(), arm_colours(ARMS)
    drawn = [metric_figure(metrics, "test_loss", ARMS), schedule_figure(schedule_table(), ARMS), overview(metrics)]
    drawn.append(metric_figure(metrics[metrics["arm"] == "clr"], "test_loss", ARMS))
    for figure in drawn:
        lines = [line for axes in figure.axes for line in axes.get_lines() if line.get_label() in ARMS]
        assert lines
        assert all(line.get_color() == expected[line.get_label()] for line in lines)


def test_more_arms_than_colours_differ_by_line_style():
    arms = [f"arm-{i}" for i in range(20)]
    colours, styles = arm_colours(arms), arm_line_styles(arms)
    assert len({(colours[arm], styles[arm]) for arm in arms}) == 20
    assert len({colours[arm] for arm in arms[:7]}) == 7
    assert {styles[arm] for arm in arms[:7]} == {"-"}


def test_schedule_lines_are_the_points_of_the_table():
    schedule = schedule_table()
    (axes,) = schedule_figure(schedule, ARMS).axes
    for arm in ARMS:
        points = schedule[(schedule["backend"] == "keras") & (schedule["arm"] == arm)]
        (line,) = labelled(axes, arm)
        np.testing.assert_array_equal(line.get_xydata(), points[["epoch", "lr"]])
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("epoch", "learning rate", "log")


def test_schedules_within_one_and_a_half_decades_start_at_zero():
    (axes,) = schedule_figure(schedule_table(arms=ARMS[:2]), ARMS[:2]).axes
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0


def test_schedules_that_differ_between_backends_get_a_panel_each():
    schedule = schedule_table()
    schedule.loc[(schedule["backend"] == "keras") & (schedule["arm"] == "clr"), "lr"] *= 2
    figure = schedule_figure(schedule, ARMS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["torch", "keras"]
    torch, keras = (labelled(axes, "clr")[0].get_ydata() for axes in figure.axes)
    np.testing.assert_array_equal(keras, torch * 2)


def test_the_later_of_two_equal_schedules_has_gaps():
    schedule = schedule_table(["torch"], ["constant"])
    schedule = pd.concat([schedule, schedule.assign(arm="adam")])
    (axes,) = schedule_figure(schedule, ["constant", "adam"]).axes
    assert [line.get_linestyle() for line in axes.get_lines()] == ["-", "--"]


def test_overview_shows_rates_loss_metric_and_differences():
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
        for backend, line in zip(("torch", "keras"), labelled(axes, "clr"), strict=True):
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


def test_overview_of_too_few_pairs_says_that_the_interval_is_unbounded():
    figure = overview(metrics_table(seeds=[0]))
    difference = figure.axes[3]
    assert all(
        tuple(collection.get_segments()[0][:, 0]) == difference.get_xlim() for collection in difference.collections
    )
    assert "from edge to edge: unbounded" in caption(figure)


def test_overview_of_one_arm_says_that_there_is_nothing_to_compare():
    metrics = metrics_table(["torch"])
    comparison, differences = paired_tables(metrics)
    one = metrics[metrics["arm"] == "clr"]
    schedule = schedule_table(["torch"], ["clr"])
    figure = overview_figure(one, schedule, comparison.iloc[:0], differences.iloc[:0], ["clr"])
    assert [text.get_text() for text in figure.axes[3].texts] == ["no pairs to compare"]


def test_overview_follows_the_primary_metric():
    figure = overview(metrics_table(["torch"]), metric="test_loss")
    assert figure.axes[2].get_title(loc="left") == "test loss (nats)"
    assert figure.axes[3].get_xlabel() == "candidate - constant (nats)"


def test_two_baselines_are_named_in_every_row():
    metrics = metrics_table(["torch"])
    tables = [paired_tables(metrics), paired_tables(metrics, baseline="clr")]
    comparison, differences = (pd.concat(parts) for parts in zip(*tables, strict=True))
    figure = overview_figure(metrics, schedule_table(["torch"]), comparison, differences, ARMS)
    rows = [text.get_text().split("\n")[0] for text in figure.axes[3].get_yticklabels()]
    assert rows == [
        "clr - constant, torch",
        "one_cycle - constant, torch",
        "constant - clr, torch",
        "one_cycle - clr, torch",
    ]
    assert figure.axes[3].get_xlabel() == "candidate - baseline (fraction)"


@pytest.mark.parametrize(("ramp", "scale"), [("linear", "linear"), ("exponential", "log")])
def test_range_test_shows_mean_accuracy_and_bounds_over_the_rate(ramp, scale):
    curve = range_test_curve(ramp=ramp)
    figure = range_test_figure(curve, {"torch": BOUNDS, "keras": {**BOUNDS, "max_lr": 0.52}})
    panels = np.reshape(figure.axes, (2, 2))
    assert [axes.get_xscale() for axes in figure.axes] == [scale] * 4
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["validation accuracy (fraction)", "train loss (nats)"]
    assert [axes.get_xlabel() for axes in panels[1]] == ["learning rate"] * 2
    for column, backend, max_lr in zip(panels.T, ("torch", "keras"), (0.48, 0.52), strict=True):
        evaluated = curve[(curve["backend"] == backend) & curve["validation_accuracy"].notna()]
        mean = evaluated.groupby("lr")["validation_accuracy"].mean()
        (line,) = labelled(column[0], "mean")
        np.testing.assert_allclose(line.get_xydata(), mean.reset_index(), rtol=1e-12)
        assert len(labelled(column[0], "_seed")) == 3
        for axes in column:
            assert [line.get_xdata()[0] for line in labelled(axes, "_bound")] == [0.012, max_lr]
        names = [text.get_text() for text in column[0].texts if text.get_text()]
        assert names == ["base_lr 0.012", f"max_lr {max_lr}"]
    assert f"{ramp} ramp of 2750 steps; line: mean of 3 seeds, faint: single seeds" in caption(figure)
    assert "loss: moving median of 83 steps" in caption(figure)


def test_range_test_smooths_the_loss_as_the_caption_says():
    curve = range_test_curve(["torch"])
    figure = range_test_figure(curve, {"torch": BOUNDS})
    mean = curve.groupby("step")["train_loss"].mean().to_numpy()
    line = labelled(figure.axes[1], "mean")[0].get_ydata()
    medians = np.median(np.lib.stride_tricks.sliding_window_view(mean, 83), axis=1)
    np.testing.assert_allclose(line[41:-41], medians, rtol=1e-12)


def test_range_test_without_validation_shows_the_train_accuracy():
    curve = range_test_curve(["torch"], [0]).assign(validation_accuracy=np.nan, validation_loss=np.nan)
    figure = range_test_figure(curve, {"torch": BOUNDS})
    assert figure.axes[0].get_ylabel() == "train accuracy (fraction)"
    (raw,) = labelled(figure.axes[0], "_seed")
    np.testing.assert_array_equal(raw.get_ydata(), curve["train_accuracy"])
    assert "line: the only seed (0); accuracy and loss: moving median" in caption(figure)


def test_range_test_that_refuses_says_why_and_marks_nothing():
    figure = range_test_figure(range_test_curve(), {"torch": BOUNDS, "keras": REFUSAL})
    panels = np.reshape(figure.axes, (2, 2))
    reason = " ".join(text.get_text().replace("\n", " ") for text in panels[0, 1].texts)
    assert reason == f"no bounds: {REFUSAL['reason']}"
    assert labelled(panels[0, 1], "_bound") == []
    assert len(labelled(panels[0, 0], "_bound")) == 2


def test_range_test_that_diverged_cuts_the_loss_and_says_so():
    curve = range_test_curve(ramp="exponential", backends=["torch"])
    curve["train_loss"] *= np.where(curve["lr"] > 1, 1e4, 1)
    gone = (curve["lr"] > 1.2) & (curve["seed"] == 1)
    curve.loc[gone, [name for name in curve if name.endswith(("loss", "accuracy", "lr"))]] = np.nan
    figure = range_test_figure(curve, {"torch": BOUNDS})
    low, high = figure.axes[1].get_ylim()
    assert high < 10
    outside = ((curve["train_loss"] < low) | (curve["train_loss"] > high)).sum()
    assert f"not shown: {outside} of {curve['train_loss'].notna().sum()} losses outside the axis" in caption(figure)
    assert "1 of 3 runs diverged before the end of the ramp" in caption(figure)


def test_range_test_without_a_single_value_is_drawn():
    curve = range_test_curve(["torch"], [0], steps=200)
    curve[["train_loss", "train_accuracy", "validation_accuracy"]] = np.nan
    assert len(to_png(range_test_figure(curve, {"torch": REFUSAL}))) > 0


def test_png_is_1600_pixels_wide_and_the_same_every_time():
    metrics = metrics_table()
    before = dict(matplotlib.rcParams)
    figure = overview(metrics)
    first = to_png(figure)
    assert int.from_bytes(first[16:20], "big") == 1600
    assert to_png(figure) == first
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 50}):
        assert to_png(overview(metrics)) == first
    assert b"Software" not in first
    assert dict(matplotlib.rcParams) == before


PUBLISHED = pd.DataFrame(
    {"backend": "torch", "arm": ["constant", "clr"], "metric": "test_accuracy", "value": [0.9598, 0.9604]}
)
FIGURES = {
    "metric": lambda: metric_figure(metrics_table(), "test_accuracy", ARMS, PUBLISHED),
    "schedule": lambda: schedule_figure(schedule_table(), ARMS),
    "overview": lambda: overview(metrics_table()),
    "overview of two arms": lambda: overview(metrics_table(["keras"], ARMS[:2], range(3)), ARMS[:2]),
    "range test": lambda: range_test_figure(range_test_curve(), {"torch": BOUNDS, "keras": REFUSAL}),
    "range test with bounds at the left": lambda: range_test_figure(
        range_test_curve(ramp="exponential"),
        {"torch": {**BOUNDS, "base_lr": 2e-5, "max_lr": 3e-5}, "keras": {**BOUNDS, "base_lr": 2.8, "max_lr": 2.9}},
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_texts_neither_overlap_nor_are_cut(name):
    figure = FIGURES[name]()
    texts = shown_texts(figure)
    width, height = figure.bbox.size
    cut = [text for text, box in texts if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    overlapping = [(a, b) for i, (a, box) in enumerate(texts) for b, other in texts[:i] if box.overlaps(other)]
    assert cut == []
    assert overlapping == []
