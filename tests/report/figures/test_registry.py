"""Every figure of an experiment is drawn from its tables alone, and told in words."""

import pickle
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from figure_samples import findings_from_metrics, metrics_table
from matplotlib.figure import Figure
from page_samples import sample_findings

from clrbench.analysis.glance import glance
from clrbench.analysis.tables import Findings
from clrbench.report.figures import registry
from clrbench.report.figures.plot import Plot
from clrbench.report.figures.registry import FIGURES, draw_figures
from clrbench.report.figures.rendering import Sheet, render
from clrbench.report.figures.style import row_of_panels
from clrbench.report.page import page_content, render_page

NUMBERS = {"runs": 6, "runs_below": 1, "min": 0.7, "median": 0.8, "max": 0.9}
COST_CURVE = {
    "backend": "torch",
    "arm": ["constant"] * 3 + ["clr"] * 3,
    "total_step": [12, 14, 15, 2, 4, 5],
    "mean": [0.41, 0.61, 0.71, 0.61, 0.42, 0.82],
}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """The findings of six pairs that have something to show in every figure."""
    found = sample_findings(tmp_path_factory.mktemp("results"))
    published = pd.DataFrame({"backend": "torch", "arm": ["clr"], "metric": "test_accuracy", "value": [0.77]} | NUMBERS)
    tables = {**found.tables, "cost_curve": pd.DataFrame(COST_CURVE), "published": published}
    targets = {**found.spec.targets, "test_balanced_accuracy": (0.5,)}
    return replace(found, spec=found.spec.model_copy(update={"targets": targets}), tables=tables)


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> Plot:
    """A figure that stands in the registry, after all others."""
    plot = Plot(
        name="dummy",
        draw=lambda findings: row_of_panels(1.0, 1)[0] if len(findings.tables["summary"]) else None,
        caption=lambda findings: f"A dummy of {findings.spec.name}",
        alt=lambda findings: f"It shows {len(findings.tables['summary'])} arms.",
    )
    monkeypatch.setattr(registry, "FIGURES", (*FIGURES[-2:], plot))
    return plot


def test_a_figure_in_the_registry_is_drawn_and_stands_on_the_page_with_its_words(
    dummy: Plot, findings: Findings
) -> None:
    figures = draw_figures(findings)
    assert [figure.name for figure in figures] == ["lr_schedule", "cost", dummy.name]
    assert figures[-1].png.startswith(b"\x89PNG")
    page = render_page(page_content(findings, glance(findings), [], figures))
    assert 'role="img" aria-label="It shows 2 arms."' in page
    assert figures[-1].svg.body in page
    assert '<figcaption>A dummy of sample <span class="file">plots/dummy.png</span></figcaption>' in page


def test_a_figure_with_nothing_to_show_is_left_out(dummy: Plot, findings: Findings) -> None:
    nothing = {**findings.tables, "summary": findings.tables["summary"].iloc[:0]}
    assert dummy.name not in [figure.name for figure in draw_figures(replace(findings, tables=nothing))]


def test_balanced_accuracy_is_drawn_where_the_spec_names_it(findings: Findings) -> None:
    (plot,) = (plot for plot in FIGURES if plot.name == "test_balanced_accuracy")
    verdict = findings.spec.verdict.model_copy(update={"metric": plot.name})
    published = {"clr": findings.spec.arms["clr"].model_copy(update={"published": {plot.name: 0.5}})}
    silent = findings.spec.model_copy(update={"targets": {}})
    assert plot.draw(replace(findings, spec=silent)) is None
    for change in ({"verdict": verdict}, {"arms": {**silent.arms, **published}}):
        assert plot.draw(replace(findings, spec=silent.model_copy(update=change))) is not None


def test_a_png_is_1600_pixels_wide_whether_the_page_shows_the_figure_or_not(findings: Findings) -> None:
    plots = {plot.on_page: plot for plot in FIGURES[:-2]}
    assert set(plots) == {True, False}
    for plot in plots.values():
        figure = plot.draw(findings)
        assert figure is not None
        (rendered,) = render([Sheet(plot.name, figure, plot.on_page)])
        assert int.from_bytes(rendered.png[16:20], "big") == 1600


def test_no_two_figures_share_a_name_and_the_overview_stands_first() -> None:
    names = [plot.name for plot in FIGURES]
    assert len(set(names)) == len(names)
    assert names[0] == "overview"


@pytest.mark.parametrize("plot", FIGURES, ids=lambda plot: plot.name)
def test_every_figure_is_told_in_sentences(plot: Plot, findings: Findings) -> None:
    assert plot.alt(findings).endswith(".")
    assert len(plot.alt(findings)) > 50
    assert len(plot.caption(findings)) > 20
    assert not plot.caption(findings).endswith(".")


@pytest.mark.parametrize("plot", FIGURES, ids=lambda plot: plot.name)
def test_every_number_that_a_figure_draws_stands_in_a_table(plot: Plot, findings: Findings) -> None:
    figure = plot.draw(findings)
    assert figure is not None
    drawn = np.concatenate([np.ravel(values) for values in numbers_drawn(plot.name, figure)])
    drawn = np.unique(drawn[np.isfinite(drawn)])
    assert len(drawn) > 3
    assert drawn[~np.isin(drawn, numbers_in(findings))].tolist() == []


@pytest.mark.parametrize("plot", FIGURES, ids=lambda plot: plot.name)
def test_every_figure_can_go_to_another_process(plot: Plot, findings: Findings) -> None:
    assert len(pickle.dumps(plot.draw(findings))) > 1000


def test_a_number_that_stands_in_no_table_would_be_seen(findings: Findings) -> None:
    assert not np.isin([0.123, 0.7000001], numbers_in(findings)).any()


def test_figures_follow_the_tables_whatever_the_runs_were() -> None:
    findings = findings_from_metrics(metrics_table(["torch"], ["constant", "clr"], range(6)))
    plots = {plot.name: plot for plot in FIGURES}
    for name, table, column in (
        ("test_loss", "bands", "mean"),
        ("lr_schedule", "schedule", "lr"),
        ("differences", "comparison", "mean_difference"),
        ("overview", "differences", "difference"),
    ):
        changed = findings.tables[table].assign(**{column: 0.0123})
        figure = plots[name].draw(replace(findings, tables={**findings.tables, table: changed}))
        assert any(0.0123 in np.ravel(values) for values in numbers_drawn(name, figure)), name


def numbers_drawn(name: str, figure: Figure) -> Iterator[np.ndarray]:
    """Yield what the lines, bands and bars of a figure show.

    The height of a comparison is the number of its row, and that of a time to target how many rows of the table are there
    by then: these are left out.
    """
    for index, axes in enumerate(figure.axes):
        x_alone = name in ("differences", "time_to_target") or (name, index) == ("overview", 3)
        shown = [True, not x_alone]
        for line in axes.get_lines():
            # What is placed in fractions of the panel, such as the ends of a line across it, is no number of anything.
            in_data = line.get_transform().contains_branch_seperately(axes.transData)
            yield line.get_xydata()[:, shown if name == "time_to_target" else np.logical_and(shown, in_data)]
        for collection in axes.collections:
            yield from (path.vertices[:, shown] for path in collection.get_paths())


def numbers_in(findings: Findings) -> np.ndarray:
    """Return every number of every table, and zero, where axes begin and which differences are held against."""
    columns = [table.select_dtypes("number") for table in findings.tables.values()]
    return np.unique(np.concatenate([[0.0], *(numbers.to_numpy(np.float64).ravel() for numbers in columns)]))
