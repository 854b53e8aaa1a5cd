"""Run files -> tables, plots and a verdict; needs no framework and no data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from clrbench.analysis.costs import cost_curve, costs_table, read_sweeps, whole_timing
from clrbench.analysis.metrics_table import is_accuracy, metrics_table, run_key
from clrbench.analysis.pairs import Pairs, mixed_provenance
from clrbench.analysis.search import Search, read_search
from clrbench.analysis.tables import Tables, make_tables
from clrbench.errors import ResultsError
from clrbench.planning.advice import comparisons
from clrbench.report.arm_curves import arm_curves, bands_table, divergence_caption
from clrbench.report.cost_plot import cost_figure
from clrbench.report.difference_plot import difference_figure
from clrbench.report.exploratory import exploratory_lines, exploratory_tables
from clrbench.report.page import page, page_content
from clrbench.report.plot_style import to_png
from clrbench.report.plots import metric_figure, overview_figure, schedule_figure
from clrbench.report.target_plot import target_figure
from clrbench.report.verdict import divergence_lines, verdict_data, verdict_text
from clrbench.spec import Spec
from clrbench.store import ResultsFolder, StoredRun

FailIf: TypeAlias = Literal["worse", "not-better"]


@dataclass(frozen=True)
class Report:
    """What an experiment came to.

    Attributes:
        spec: The experiment, resolved.
        folder: Where its results lie.
        tables: All its tables.
        search: How the rates of its tuned arms were found.
        warnings: What may mislead in them.
        exploratory: What other tables say, beside the verdict.
    """

    spec: Spec
    folder: ResultsFolder
    tables: Tables
    search: Search
    warnings: list[str]
    exploratory: tuple[str, ...] = ()

    @cached_property
    def has_answer(self) -> bool:
        """Whether every arm has a run that did not diverge."""
        summary = self.tables.summary
        return bool((summary["diverged"] < summary["runs"]).all())

    def fails_if(self, condition: FailIf) -> bool:
        """Return whether any candidate is `worse`, or `not-better`, than a baseline in the primary metric."""
        comparison = self.tables.comparison
        verdicts = comparison.loc[comparison["metric"] == self.spec.verdict.metric, "verdict"]
        return bool((verdicts == "worse").any() if condition == "worse" else (verdicts != "better").any())

    @property
    def findings(self) -> str:
        """The verdict in words, and what stands beside it, without the warnings."""
        parts = [verdict_text(self.spec, self.tables, []), "\n".join(self.search.lines)]
        if self.exploratory:
            parts.append("\n".join(["Beside the verdict (exploratory, each taken alone):", *self.exploratory]))
        return "\n\n".join(filter(None, parts))

    @property
    def text(self) -> str:
        """The verdict in words, the answer first."""
        mind = "\n".join(["Mind:", *(f"  - {warning}" for warning in self.warnings)]) if self.warnings else ""
        return "\n\n".join(filter(None, [self.findings, mind, f"Tables, plots and page: {self.folder.root}"]))

    @property
    def data(self) -> dict[str, Any]:
        """The verdict as plain data."""
        verdict = verdict_data(self.spec, self.tables, self.warnings)
        return {**verdict, "chosen": self.search.chosen.to_dict("records"), "results": str(self.folder.root)}


def write_report(folder: ResultsFolder, spec: Spec, warnings: list[str]) -> Report:
    """Write every table and every plot of an experiment from its run files, and return what they say.

    Args:
        folder: Where the runs lie.
        spec: The experiment, resolved.
        warnings: What may mislead in its outcome.

    Raises:
        ResultsError: If no run is finished, or the disk does not take the files.
    """
    with folder.tables_lock():
        runs = _runs_of(spec, folder.indexed_runs())
        if not runs:
            raise ResultsError(f"{folder.root}: no run is finished; run `clrbench compare` again")
        search = read_search(folder, spec, runs)
        looks = _looks(folder, spec, runs)
        tables = make_tables(spec, runs, comparisons(spec), given_runs=search.given_runs, looks=looks)
        files = _all_files(folder, spec, tables, runs, search)
        found = [*warnings, *_warnings(spec, runs, search)]
        report = Report(spec, folder, tables, search, found, tuple(exploratory_lines(files)))
        _write(report, files, runs)
    return report


def _warnings(spec: Spec, runs: list[StoredRun], search: Search) -> Iterator[str]:
    yield from mixed_provenance([*runs, *search.given_runs], comparisons(spec))
    yield from search.warnings
    num_missing = len(spec.backends) * len(spec.arms) * len(spec.seeds) - len(runs)
    if num_missing:
        yield f"{num_missing} runs are not finished; run `clrbench compare` again to make them"


def _all_files(
    folder: ResultsFolder, spec: Spec, tables: Tables, runs: list[StoredRun], search: Search
) -> dict[str, pd.DataFrame]:
    """Return every table by the name of its file."""
    sweeps = read_sweeps(folder, spec)
    costs = costs_table(spec, runs, tables.summary, search.chosen, sweeps)
    all_runs = [*runs, *search.given_runs]
    all_metrics = metrics_table(spec.name, all_runs) if search.given_runs else tables.metrics
    pairs = Pairs(spec, all_runs, all_metrics, comparisons(spec))
    return {
        **dict(tables.files()),
        **dict(search.files() if spec.tuned_arms else ()),
        "timing.csv": whole_timing(runs, search.runs, sweeps),
        **_cost_tables(spec, tables, costs),
        **exploratory_tables(pairs, runs, tables.metrics, costs),
        "bands.csv": bands_table(tables.metrics, list(spec.arms)),
    }


def _write(report: Report, files: Mapping[str, pd.DataFrame], runs: list[StoredRun]) -> None:
    spec, folder = report.spec, report.folder
    figures = {name: to_png(figure) for name, figure in _figures(spec, files) if figure is not None}
    for name, table in files.items():
        folder.write_table(name, table)
    for name, png in figures.items():
        folder.write_bytes(f"plots/{name}.png", png)
    content = page_content(spec, runs, files, figures, report.findings, report.warnings)
    folder.write_text("report.html", page(content))


def _cost_tables(spec: Spec, tables: Tables, costs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what each arm costs, and its curve where the rates of any arm had to be found."""
    if not (costs["total_steps"] > costs["train_steps"]).any():
        return {"costs.csv": costs}
    curve = cost_curve(tables.metrics, costs, spec.verdict.metric, list(spec.arms))
    return {"costs.csv": costs, "cost_curve.csv": curve}


def _looks(folder: ResultsFolder, spec: Spec, runs: list[StoredRun]) -> dict[str, int]:
    """Record which seeds the verdict of each backend is now looked at with; return how often it was with any others."""
    seeds = {
        backend: sorted({run_key(run)[2] for run in runs if run_key(run)[0] == backend}) for backend in spec.backends
    }
    return {backend: folder.record_look(backend, found) for backend, found in seeds.items() if found}


def _figures(spec: Spec, files: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Figure | None]]:
    arms, verdict = list(spec.arms), spec.verdict
    metrics, comparison, differences = (files[f"{name}.csv"] for name in ("metrics", "comparison", "differences"))
    yield "overview", overview_figure(metrics, files["schedule.csv"], comparison, differences, arms, verdict.metric)
    yield (
        "differences",
        difference_figure(
            differences,
            comparison,
            arms,
            verdict.metric,
            verdict.margin,
            _pairs_caption(files["summary.csv"], verdict.metric),
        ),
    )
    yield "time_to_target", target_figure(files["targets.csv"], metrics, arms)
    for metric in ("test_accuracy", "test_loss", "train_loss"):
        yield metric, metric_figure(metrics, metric, arms, files["published.csv"])
    yield "lr_schedule", schedule_figure(files["schedule.csv"], arms)
    if "cost_curve.csv" in files:
        divergence = divergence_caption(arm_curves(metrics, verdict.metric, arms))
        yield "cost", cost_figure(files["cost_curve.csv"], verdict.metric, arms, len(spec.seeds), divergence)


def _pairs_caption(summary: pd.DataFrame, metric: str) -> str:
    counted = "count as a blind guess" if is_accuracy(metric) else "are left out with their pairs"
    lines = list(divergence_lines(summary))
    return f"{', '.join(lines)}; they {counted}" if lines else ""


def _runs_of(spec: Spec, runs: list[StoredRun]) -> list[StoredRun]:
    """Return the runs that a spec asks for, its backends in order."""
    order = {backend: i for i, backend in enumerate(spec.backends)}
    wanted = [
        run
        for run in runs
        if run.info["spec"]["backend"] in order
        and run.info["spec"]["arm"] in spec.arms
        and run.info["spec"]["seed"] in spec.seeds
    ]
    return sorted(wanted, key=lambda run: order[run.info["spec"]["backend"]])
