"""Run files -> tables, plots and a verdict; needs no framework and no data."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clrbench.advice import comparisons
from clrbench.errors import ResultsError
from clrbench.report.arm_curves import bands_table
from clrbench.report.plot_style import to_png
from clrbench.report.plots import metric_figure, overview_figure, schedule_figure
from clrbench.report.tables import Tables, make_tables, mixed_provenance
from clrbench.report.verdict import verdict_data, verdict_text
from clrbench.spec import Spec
from clrbench.store import ResultsFolder, StoredRun


@dataclass(frozen=True)
class Report:
    """What an experiment came to.

    Attributes:
        spec: The experiment, resolved.
        folder: Where its results lie.
        tables: All its tables.
        warnings: What may mislead in them.
        num_missing: Runs that are not finished yet.
    """

    spec: Spec
    folder: ResultsFolder
    tables: Tables
    warnings: list[str]
    num_missing: int

    @cached_property
    def has_answer(self) -> bool:
        """Whether every arm has a run that did not diverge."""
        summary = self.tables.summary
        return bool((summary["diverged"] < summary["runs"]).all())

    @property
    def text(self) -> str:
        """The verdict in words, the answer first."""
        return f"{verdict_text(self.spec, self.tables, self.warnings)}\n\nTables and plots: {self.folder.root}"

    @property
    def data(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {**verdict_data(self.spec, self.tables, self.warnings), "results": str(self.folder.root)}


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
        pairs = comparisons(spec)
        found = [*warnings, *mixed_provenance(runs, pairs)]
        tables = make_tables(spec, runs, pairs)
        num_missing = len(spec.backends) * len(spec.arms) * len(spec.seeds) - len(runs)
        if num_missing:
            found.append(f"{num_missing} runs are not finished; run `clrbench compare` again to make them")
        for name, table in tables.files():
            folder.write_table(name, table)
        folder.write_table("bands.csv", bands_table(tables.metrics, list(spec.arms)))
        for name, png in _plots(spec, tables):
            folder.write_bytes(f"plots/{name}.png", png)
    return Report(spec, folder, tables, found, num_missing)


def _plots(spec: Spec, tables: Tables) -> Iterator[tuple[str, bytes]]:
    arms = list(spec.arms)
    for metric in ("train_loss", "test_loss", "test_accuracy"):
        yield metric, to_png(metric_figure(tables.metrics, metric, arms, tables.published))
    yield "lr_schedule", to_png(schedule_figure(tables.schedule, arms))
    parts = (tables.metrics, tables.schedule, tables.comparison, tables.differences, arms, spec.verdict.metric)
    yield "overview", to_png(overview_figure(*parts))


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
