"""The figure of the paired differences shows what the tables hold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from figure_samples import caption, findings_by_hand, labelled, summary_of
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clrbench.analysis.tables import Findings
from clrbench.report.figures.differences import DIFFERENCES, draw_differences
from clrbench.report.figures.pair_rows import MAX_DOTS
from clrbench.report.figures.style import arm_colours, to_png

ARMS = ("constant", "clr", "cosine")
MARGIN = 0.002


def tables(
    candidates: Sequence[str] = ("clr", "cosine"),
    backends: Sequence[str] = ("torch", "keras"),
    seeds: int = 10,
    metric: str = "test_accuracy",
    mean: float = 0.004,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    differences, comparison = [], []
    for backend in backends:
        for number, candidate in enumerate(candidates):
            values = np.random.default_rng([number, len(backend)]).normal(mean, 0.002, seeds)
            half = 0.0015 if seeds > 5 else np.inf
            keys = {"backend": backend, "metric": metric, "candidate": candidate, "baseline": "constant"}
            differences.append(pd.DataFrame({**keys, "seed": range(seeds), "difference": values}))
            found = {"pairs": seeds, "mean_difference": values.mean() if seeds else np.nan}
            found |= {
                "ci_low": values.mean() - half if seeds else -np.inf,
                "ci_high": values.mean() + half if seeds else np.inf,
            }
            comparison.append(
                {**keys, **found, "p_value": 0.01, "wins": seeds, "ties": 0, "losses": 0, "verdict": "better"}
            )
    return pd.concat(differences), pd.DataFrame(comparison)


def findings_of_pairs(
    differences: pd.DataFrame,
    comparison: pd.DataFrame,
    *,
    arms: Sequence[str] = ARMS,
    metric: str = "test_accuracy",
    margin: float = MARGIN,
    summary: pd.DataFrame | None = None,
) -> Findings:
    found = {"differences": differences, "comparison": comparison}
    found["summary"] = summary_of(arms) if summary is None else summary
    return findings_by_hand(arms, found, metric=metric, margin=margin)


def draw(findings: Findings) -> tuple[Figure, Axes]:
    figure = draw_differences(findings)
    assert figure is not None
    return figure, figure.axes[0]


def test_of_many_pairs_those_at_equal_ranks_are_drawn() -> None:
    differences, comparison = tables(seeds=5 * MAX_DOTS)
    figure, axes = draw(findings_of_pairs(differences, comparison))
    (dots, *_) = (line.get_xdata() for line in labelled(axes, "_pairs"))
    values = differences.loc[differences["backend"] == "torch", "difference"][: 5 * MAX_DOTS]
    assert len(dots) == MAX_DOTS
    assert set(dots) <= set(values)
    np.testing.assert_allclose(
        np.quantile(dots, [0, 0.25, 0.5, 0.75, 1]), np.quantile(values, [0, 0.25, 0.5, 0.75, 1]), atol=2e-4
    )
    assert caption(figure).startswith(f"dot: one of {MAX_DOTS} pairs at equal ranks (n = {5 * MAX_DOTS} a row")


def test_every_pair_is_a_dot_in_the_colour_of_its_candidate() -> None:
    differences, comparison = tables()
    dots = labelled(draw(findings_of_pairs(differences, comparison))[1], "_pairs")
    np.testing.assert_array_equal(np.concatenate([line.get_xdata() for line in dots]), differences["difference"])
    colours = arm_colours(ARMS)
    assert [line.get_color() for line in dots] == [colours[name] for name in ("clr", "cosine")] * 2
    heights = [line.get_ydata() for line in dots]
    for row, height in enumerate(heights):
        assert np.abs(height - row).max() < 0.3
        assert len(np.unique(height)) == 10


def test_mean_interval_zero_and_margin_are_those_of_the_table() -> None:
    differences, comparison = tables()
    axes = draw(findings_of_pairs(differences, comparison))[1]
    means = [(line.get_xdata()[0], line.get_ydata()[0]) for line in labelled(axes, "_mean")]
    np.testing.assert_array_equal(means, np.column_stack([comparison["mean_difference"], range(4)]))
    bars = [bar.get_segments()[0] for bar in axes.collections]
    np.testing.assert_array_equal([bar[:, 0] for bar in bars], comparison[["ci_low", "ci_high"]])
    (band,) = (patch for patch in axes.patches if patch.get_label() == "_margin")
    assert (band.get_x(), band.get_width()) == (-MARGIN, 2 * MARGIN)
    assert [0, 0] in [list(line.get_xdata()) for line in axes.lines]


def test_labels_say_what_is_compared_and_what_came_out() -> None:
    differences, comparison = tables(seeds=6)
    comparison = comparison.assign(mean_difference=0.004, ci_low=0.0025, ci_high=0.0055)
    figure, axes = draw(findings_of_pairs(differences, comparison))
    assert axes.get_yticklabels()[1].get_text() == "cosine -\nconstant, torch"
    assert axes.yaxis_inverted()
    outcome = "+0.0040 (+0.0025 to +0.0055)\nbetter; 6 won, 0 tied, 0 lost"
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == [outcome] * 4
    assert axes.get_xlabel() == "test accuracy: candidate - baseline (fraction); above 0 the candidate is better"
    assert caption(figure) == (
        "dot: one pair of runs (n = 6 a row, seeds 0 to 5); diamond and bar: mean difference and its 95 % interval; grey band: "
        "differences up to 0.002 do not matter"
    )


def test_a_loss_is_better_below_zero_and_other_metrics_stay_out() -> None:
    differences, comparison = (pd.concat(parts) for parts in zip(tables(), tables(metric="test_loss"), strict=True))
    figure, axes = draw(findings_of_pairs(differences, comparison, metric="test_loss", margin=0))
    assert axes.get_xlabel() == "test loss: candidate - baseline (nats); below 0 the candidate is better"
    assert len(labelled(axes, "_mean")) == 4
    assert not axes.patches
    assert "margin" not in caption(figure)
    assert "grey" not in caption(figure)


@pytest.mark.parametrize(
    ("metric", "rule"),
    [
        ("test_accuracy", "in accuracy they count as a blind guess"),
        ("test_loss", "their pairs are left out of the difference"),
    ],
)
def test_the_caption_says_what_diverged_runs_count_as(metric: str, rule: str) -> None:
    summary = summary_of(ARMS, ["torch"]).assign(diverged=[0, 2, 0])
    found = tables(backends=["torch"], metric=metric)
    figure, _ = draw(findings_of_pairs(*found, metric=metric, summary=summary))
    assert caption(figure).endswith(f"; torch: 2 of 10 runs of clr diverged; {rule}")
    assert "diverged" not in caption(draw(findings_of_pairs(*found, metric=metric))[0])


def test_an_unbounded_interval_reaches_the_edges_with_arrows() -> None:
    figure, axes = draw(findings_of_pairs(*tables(("clr",), ("torch",), seeds=1)))
    assert [line.get_marker() for line in labelled(axes, "_endless")] == ["<", ">"]
    assert list(axes.collections[0].get_segments()[0][:, 0]) == list(axes.get_xlim())
    assert (
        figure.axes[1].get_yticklabels()[0].get_text().endswith("(interval unbounded)\nbetter; 1 won, 0 tied, 0 lost")
    )
    assert "(n = 1 a row, seed 0)" in caption(figure)
    assert "(arrow: unbounded)" in caption(figure)
    assert not labelled(draw(findings_of_pairs(*tables()))[1], "_endless")


def test_rows_of_unequal_numbers_of_pairs_are_counted_from_the_least_to_the_most() -> None:
    parts = zip(tables(("clr",), ("torch",), seeds=3), tables(("cosine",), ("torch",), seeds=8), strict=True)
    figure, _ = draw(findings_of_pairs(*(pd.concat(part) for part in parts)))
    assert "(n = 3 to 8 a row, seeds 0 to 7)" in caption(figure)


def test_a_row_without_a_pair_says_so() -> None:
    findings = findings_of_pairs(*tables(("clr",), ("torch",), seeds=0))
    figure, axes = draw(findings)
    assert not labelled(axes, "_mean")
    assert figure.axes[1].get_yticklabels()[0].get_text() == "no pair of runs"
    assert DIFFERENCES.alt(findings).startswith("clr - constant (torch): no pair of runs.")


def test_nothing_to_compare_gives_no_figure() -> None:
    differences, comparison = tables()
    assert draw_differences(findings_of_pairs(differences, comparison.iloc[:0])) is None


def test_words_name_each_difference_and_the_margin() -> None:
    differences, comparison = tables(("clr",), ("torch",), seeds=6)
    comparison = comparison.assign(mean_difference=0.004, ci_low=0.0025, ci_high=0.0055)
    findings = findings_of_pairs(differences, comparison)
    row = "clr - constant (torch): mean +0.0040, interval +0.0025 to +0.0055, 6 pairs: 6 won, 0 tied, 0 lost; better."
    assert DIFFERENCES.alt(findings) == f"{row} Differences between -0.002 and +0.002 do not matter."
    assert DIFFERENCES.alt(findings_of_pairs(differences, comparison, margin=0)) == row
    assert DIFFERENCES.caption(findings) == (
        "Paired differences in test accuracy: one dot per seed, the mean, its 95 % interval, and the margin"
    )


@pytest.mark.parametrize(("mean", "margin"), [(0.004, 0.002), (-0.3, 0.001), (0.0, 0.5)])
def test_zero_and_every_dot_are_in_sight(mean: float, margin: float) -> None:
    differences, comparison = tables(mean=mean)
    left, right = draw(findings_of_pairs(differences, comparison, margin=margin))[1].get_xlim()
    assert left < min(0, differences["difference"].min())
    assert right > max(0, differences["difference"].max())
    assert right - left < 1.4 * max(0.012, np.ptp([*differences["difference"], 0]))


@pytest.mark.parametrize("number", [1, 8])
def test_no_label_is_cut_off(number: int) -> None:
    arms = ("constant", *(f"a_rather_long_name_of_an_arm_{i}" for i in range(number)))
    figure, _ = draw(findings_of_pairs(*tables(arms[1:]), arms=arms))
    to_png(figure)
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        labels = [*axes.get_yticklabels(), axes.xaxis.label]
        for box in (label.get_window_extent() for label in labels if label.get_text()):
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width
    assert figure.axes[0].get_window_extent().width > 0.3 * figure.bbox.width


def test_a_later_look_and_several_comparisons_are_said() -> None:
    differences, comparison = tables()
    evidence = pd.DataFrame({"alpha": [0.025, 0.025], "comparisons": [2, 2]})
    given = {"differences": differences, "comparison": comparison, "summary": summary_of(ARMS), "evidence": evidence}
    words = caption(draw_differences(findings_by_hand(ARMS, given)))
    assert "its 97.5 % interval; verdicts: Holm-adjusted over 2 comparisons, intervals are not" in words


@pytest.mark.parametrize(("margin", "seen"), [(0.001, True), (1e-6, False)])
def test_a_margin_that_nobody_can_see_is_no_grey_band(margin: float, seen: bool) -> None:
    differences, comparison = tables()
    given = {"differences": differences, "comparison": comparison, "summary": summary_of(ARMS)}
    assert ("grey band" in caption(draw_differences(findings_by_hand(ARMS, given, margin=margin)))) == seen


def test_runs_that_are_no_pairs_are_not_won_or_lost() -> None:
    differences, comparison = tables(("clr",), ("torch",))
    keys = comparison[["backend", "candidate", "baseline"]]
    given = {"differences": differences, "comparison": comparison, "summary": summary_of(ARMS, ("torch",))}
    for paired, said in ((True, "better; 10 won, 0 tied, 0 lost"), (False, "better; not paired")):
        evidence = keys.assign(alpha=0.05, comparisons=1, paired=paired)
        figure = draw_differences(findings_by_hand(ARMS, {**given, "evidence": evidence}))
        (label,) = [label.get_text() for label in figure.axes[1].get_yticklabels()]
        assert label.endswith(f"\n{said}")
