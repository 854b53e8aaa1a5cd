"""Images a second of each pipeline on each backend, measured on what an experiment trains."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

import pandas as pd

from clrbench.commands.fleet import Fleet
from clrbench.commands.opening import Experiment
from clrbench.execution.local import local_workers
from clrbench.execution.throughput import Measured, measure_pipelines
from clrbench.planning.runs import needed_range_tests, own_range_test, range_test_runs, training_runs
from clrbench.records import Bounds, Pipeline
from clrbench.report.pipeline_plot import conditions, pipeline_figure, rounded
from clrbench.report.plot_style import to_png
from clrbench.spec import RunSpec

TABLE = "data-bench/pipelines.csv"
PLOT = "data-bench/pipelines.png"


@dataclass(frozen=True)
class PipelineBench:
    """How fast each pipeline is.

    Attributes:
        experiment: The experiment.
        table: backend, pipeline, measured, repetition, images_per_second, batch_size, threads, device: a row a stretch.
    """

    experiment: Experiment
    table: pd.DataFrame
    has_answer = True

    @property
    def text(self) -> str:
        """Medians as a table, a block a backend, with how the stream compares."""
        return "\n".join([*self._lines(), "", f"Table and plot: {self.experiment.root / 'data-bench'}"])

    def _lines(self) -> Iterator[str]:
        repetitions = self.table["repetition"].max()
        yield f"images per second, medians of {repetitions} stretches of about half a second; the pipelines took turns"
        for condition, (_, rows) in zip(conditions(self.table), self.table.groupby("backend", sort=False), strict=True):
            medians = rows.pivot_table("images_per_second", "pipeline", "measured", aggfunc="median")
            yield f"\n{condition}"
            yield f"  {'':<18}" + "".join(f"{measured:>12}" for measured in get_args(Measured))
            for pipeline in get_args(Pipeline):
                yield f"  {pipeline:<18}" + "".join(
                    f"{rounded(medians.loc[pipeline, m]):>12}" for m in get_args(Measured)
                )
            ratios = medians.loc["stream"] / medians.loc["resident"]
            yield f"  {'stream / resident':<18}" + "".join(f"{ratios[m]:>12.2f}" for m in get_args(Measured))

    @property
    def data(self) -> dict[str, Any]:
        """Every measurement as plain data."""
        return {"experiment": self.experiment.spec.name, "pipelines": self.table.to_dict("records")}


def bench_pipelines(fleet: Fleet) -> PipelineBench:
    """Measure each pipeline, alone and in training, on each backend of an experiment; write a table and a plot.

    The batches are those of the first arm and seed, or of the range test where the experiment has no arms.

    Args:
        fleet: Of the experiment.

    Raises:
        BackendError: If a backend is not installed, or fails.
        ResultsError: If the disk does not take the files.
    """
    fleet.prepare()
    tables = [_measure(fleet, run) for run in _benched_runs(fleet.experiment)]
    table = pd.concat(tables, ignore_index=True)
    fleet.folder.create()
    with fleet.folder.tables_lock():
        fleet.folder.write_table(TABLE, table)
        fleet.folder.write_bytes(PLOT, to_png(pipeline_figure(table)))
    return PipelineBench(fleet.experiment, table)


def _benched_runs(experiment: Experiment) -> list[RunSpec]:
    """Return the run of each backend that is measured; its rates do not matter."""
    spec, sizes, backends = experiment.spec, experiment.sizes, experiment.backends
    with experiment.locating():
        if spec.arms:
            groups = needed_range_tests(spec)
            stand_in = {(name, group.arm): Bounds(0.01, 0.1) for name in backends for group in groups}
            runs = training_runs(spec, sizes, backends, stand_in)
        else:
            runs = range_test_runs(spec, own_range_test(spec), sizes, backends)
    return [next(run for run in runs if run.backend == name) for name in backends]


def _measure(fleet: Fleet, run: RunSpec) -> pd.DataFrame:
    threads = fleet.options.threads or 1
    with local_workers(run.backend, 1, threads) as workers:
        device = workers.find_device(fleet.options.device)
        fleet.display.note(f"{run.backend}: about a quarter of a minute")
        samples = workers.call(measure_pipelines, fleet.experiment.library, run, device)
    columns = ["backend", "pipeline", "measured", "repetition", "images_per_second", "batch_size", "threads", "device"]
    described = {"backend": run.backend, "batch_size": run.batch_size, "threads": threads, "device": device}
    return pd.DataFrame([asdict(sample) | described for sample in samples])[columns]
