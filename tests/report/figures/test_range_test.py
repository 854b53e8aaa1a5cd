"""The figure of a range test."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from figure_samples import assert_texts_are_whole_and_apart, caption, labelled

from clrbench.analysis.bounds import CONFIRMATION_COLUMNS, is_exponential
from clrbench.rates import Rates
from clrbench.report.figures.range_test import _clauses, draw_range_test
from clrbench.report.figures.style import BOUND_COLOUR, to_png
from clrbench.report.figures.svg import to_svg

BOUNDS = Rates(base_lr=0.012, max_lr=0.48, constant_lr=0.1, triangle_base_lr=0.012)
REFUSAL = Rates(reason="the accuracy was still rising at the end of the ramp; raise end_lr")

NOTHING_TRIED = pd.DataFrame(columns=list(CONFIRMATION_COLUMNS))
TRIED = pd.DataFrame(
    [
        ("torch", "constant", 0.01, 0, 50, 0.9, 0.5, False),
        ("torch", "constant", 0.1, 0, 200, 0.3, 0.90, False),
        ("torch", "constant", 0.1, 1, 200, 0.3, 0.94, False),
        ("torch", "constant", 0.178, 0, 200, 0.3, 0.88, False),
        ("torch", "constant", 5.0, 0, 200, np.nan, np.nan, True),
        ("torch", "triangular", 0.48, 0, 300, 0.3, 0.95, False),
    ],
    columns=list(CONFIRMATION_COLUMNS),
)


def range_test_curve(
    backends: Sequence[str] = ("torch", "keras"),
    seeds: Sequence[int] = range(3),
    ramp: str = "linear",
    steps: int = 2750,
) -> pd.DataFrame:
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


@pytest.mark.parametrize(("ramp", "scale"), [("linear", "linear"), ("exponential", "log")])
def test_mean_accuracy_and_bounds_are_drawn_over_the_rate(ramp: str, scale: str) -> None:
    curve = range_test_curve(ramp=ramp)
    figure = draw_range_test(curve, NOTHING_TRIED, {"torch": BOUNDS, "keras": replace(BOUNDS, max_lr=0.52)})
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
        assert names == [f"max_lr {max_lr}\nbase_lr 0.012"]
    assert f"{ramp} ramp of 2750 steps; line: mean of 3 seeds, faint: single seeds" in caption(figure)
    assert "loss: moving median of 83 steps" in caption(figure)


def test_the_loss_is_smoothed_as_the_caption_says() -> None:
    curve = range_test_curve(["torch"])
    figure = draw_range_test(curve, NOTHING_TRIED, {"torch": BOUNDS})
    mean = curve.groupby("step")["train_loss"].mean().to_numpy()
    line = labelled(figure.axes[1], "mean")[0].get_ydata()
    medians = np.median(np.lib.stride_tricks.sliding_window_view(mean, 83), axis=1)
    np.testing.assert_allclose(line[41:-41], medians, rtol=1e-12)


def test_without_validation_the_train_accuracy_is_shown() -> None:
    curve = range_test_curve(["torch"], [0]).assign(validation_accuracy=np.nan, validation_loss=np.nan)
    figure = draw_range_test(curve, NOTHING_TRIED, {"torch": BOUNDS})
    assert figure.axes[0].get_ylabel() == "train accuracy (fraction)"
    (raw,) = labelled(figure.axes[0], "_seed")
    np.testing.assert_array_equal(raw.get_ydata(), curve["train_accuracy"])
    assert "line: the only seed (0); accuracy and loss: moving median" in caption(figure)


def test_a_refusal_says_why_and_marks_nothing() -> None:
    figure = draw_range_test(range_test_curve(), NOTHING_TRIED, {"torch": BOUNDS, "keras": REFUSAL})
    panels = np.reshape(figure.axes, (2, 2))
    reason = " ".join(text.get_text().replace("\n", " ") for text in panels[0, 1].texts)
    assert reason == f"no rates: {REFUSAL.reason}"
    assert labelled(panels[0, 1], "_bound") == []
    assert len(labelled(panels[0, 0], "_bound")) == 2


def test_a_sweep_that_diverged_cuts_the_loss_and_says_so() -> None:
    curve = range_test_curve(ramp="exponential", backends=["torch"])
    curve["train_loss"] *= np.where(curve["lr"] > 1, 1e4, 1)
    gone = (curve["lr"] > 1.2) & (curve["seed"] == 1)
    curve.loc[gone, [name for name in curve if name.endswith(("loss", "accuracy", "lr"))]] = np.nan
    figure = draw_range_test(curve, NOTHING_TRIED, {"torch": BOUNDS})
    low, high = figure.axes[1].get_ylim()
    assert high < 10
    outside = ((curve["train_loss"] < low) | (curve["train_loss"] > high)).sum()
    assert f"not shown: {outside} of {curve['train_loss'].notna().sum()} losses outside the axis" in caption(figure)
    assert "1 of 3 runs diverged before the end of the ramp" in caption(figure)


def test_a_sweep_without_a_single_value_is_drawn() -> None:
    curve = range_test_curve(["torch"], [0], steps=200)
    curve[["train_loss", "train_accuracy", "validation_accuracy"]] = np.nan
    assert len(to_png(draw_range_test(curve, NOTHING_TRIED, {"torch": REFUSAL}))) > 0


@pytest.mark.parametrize(
    ("rates", "expected"), [([0.1, 0.2, 0.3], False), ([0.01, 0.1, 1.0], True), ([0.01, 0.1, 1.0, np.nan], True)]
)
def test_a_ramp_is_exponential_where_its_middle_is_the_geometric_mean(rates: list[float], expected: bool) -> None:
    assert is_exponential(pd.DataFrame({"step": np.arange(len(rates)), "lr": rates})) is expected


@pytest.mark.parametrize(
    ("ramp", "torch", "keras"),
    [
        ("linear", BOUNDS, REFUSAL),
        pytest.param(
            "exponential",
            replace(BOUNDS, triangle_base_lr=2e-5, max_lr=3e-5),
            replace(BOUNDS, triangle_base_lr=2.8, max_lr=2.9),
            marks=pytest.mark.acceptance,
        ),
    ],
    ids=["refusal", "bounds at both edges"],
)
def test_texts_neither_overlap_nor_are_cut(ramp: str, torch: Rates, keras: Rates) -> None:
    figure = draw_range_test(range_test_curve(ramp=ramp), NOTHING_TRIED, {"torch": torch, "keras": keras})
    assert_texts_are_whole_and_apart(figure)


def test_what_trainings_reached_stands_on_the_curve_and_what_was_chosen_is_filled() -> None:
    figure = draw_range_test(range_test_curve(["torch"]), TRIED, {"torch": BOUNDS})
    points = {
        (line.get_marker(), *np.round(line.get_xydata()[0], 9).tolist()): line.get_markerfacecolor()
        for line in labelled(figure.axes[0], "_tried")
    }
    # The mean over the seeds, of the longest trainings of a kind; what diverged reached nothing.
    assert points == {
        ("o", 0.1, 0.92): "#333333",
        ("o", 0.178, 0.88): "white",
        ("^", 0.48, 0.95): "#333333",
    }
    assert labelled(figure.axes[1], "_tried") == []
    assert figure.axes[0].get_xlim()[1] == 5.0
    assert (
        "(circles: constant rates, 200 updates; triangles: cycles up to a rate, 300 updates; filled: chosen)"
        in caption(figure)
    )
    assert "trained at" not in caption(draw_range_test(range_test_curve(["torch"]), NOTHING_TRIED, {"torch": BOUNDS}))
    assert_texts_are_whole_and_apart(figure)


def test_the_names_of_the_bounds_keep_off_a_low_curve() -> None:
    low = range_test_curve(["torch"]).assign(validation_accuracy=lambda curve: curve["validation_accuracy"] * 0 + 0.1)
    low.loc[low["step"] == low["step"].max(), "validation_accuracy"] = 1.0
    for curve, height in ((range_test_curve(["torch"]), 0.04), (low, 0.32)):
        (name,) = [
            text for text in draw_range_test(curve, NOTHING_TRIED, {"torch": BOUNDS}).axes[0].texts if text.get_text()
        ]
        assert name.xy[1] == height


def test_a_mean_that_goes_on_without_diverged_seeds_is_said_to() -> None:
    curve = range_test_curve(["torch"])
    curve.loc[(curve["seed"] == 0) & (curve["step"] > 2000), ["train_loss", "validation_accuracy"]] = np.nan
    figure = draw_range_test(curve, NOTHING_TRIED, {"torch": BOUNDS})
    assert "1 of 3 runs diverged before the end of the ramp; the mean goes on without them" in caption(figure)


def test_the_bounds_are_in_sight_where_the_sweep_began_above_them() -> None:
    curve = range_test_curve(["torch"])
    begun = curve[curve["lr"] > 0.01]
    figure = draw_range_test(begun, NOTHING_TRIED, {"torch": replace(BOUNDS, base_lr=0.004, triangle_base_lr=0.004)})
    assert figure.axes[0].get_xlim()[0] == 0.004


def test_on_a_page_the_bounds_have_the_colour_of_its_scheme() -> None:
    body = to_svg(draw_range_test(range_test_curve(), NOTHING_TRIED, {"torch": BOUNDS}), "range-test").body
    assert body.count("var(--bound)") >= 4
    assert BOUND_COLOUR not in body.lower()


def test_a_base_lr_that_is_not_known_is_not_called_one() -> None:
    unknown = replace(BOUNDS, base_lr=None)
    figure = draw_range_test(range_test_curve(), NOTHING_TRIED, {"torch": unknown, "keras": BOUNDS})
    names = [{text.get_text() for text in panel.texts if text.get_text()} for panel in figure.axes[:2]]
    assert names == [{"max_lr 0.48\ncycles from 0.012"}, {"max_lr 0.48\nbase_lr 0.012"}]
    styles = [[line.get_linestyle() for line in labelled(panel, "_bound")] for panel in figure.axes[:2]]
    assert styles == [["--", "-"], ["-", "-"]]
    assert list(_clauses({"torch": unknown, "keras": BOUNDS})) == [
        "torch: cycles from 0.012, max_lr 0.48, constant 0.1",
        "keras: base_lr 0.012, max_lr 0.48, constant 0.1",
    ]
