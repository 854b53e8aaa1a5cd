"""`clrbench data bench`: images a second of each input pipeline, on what an experiment trains."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import cast, get_args

import pandas as pd

from clrbench.answer import Answer
from clrbench.commands.dry_run import ANY_BOUNDS
from clrbench.commands.setup import Job
from clrbench.counted import counted
from clrbench.errors import SpecError
from clrbench.execution.executor import Resources
from clrbench.execution.throughput import Measured, measure_pipelines
from clrbench.planning.experiment import Experiment
from clrbench.planning.runs import needed_range_tests, own_range_test, training_runs
from clrbench.planning.trials import range_test_runs
from clrbench.records import Pipeline
from clrbench.spec import RunSpec

TABLE = "data-bench/pipelines.csv"
CONDITIONS = ["backend", "batch_size", "threads", "device"]


def bench_pipelines(job: Job) -> Answer:
    """Measure each pipeline, alone and in training, on each backend of an experiment; write a table.

    The batches are those of the first arm and seed, or of the range test where the experiment has no arms.
    """
    experiment = job.open()
    with experiment.locating():
        if experiment.spec.train is not None:
            raise SpecError(
                "a script reads its data itself, so there is no pipeline to measure; name a spec without train",
                key=("train",),
            )
    runner = job.runner(experiment)
    tables = [_measure(job, run) for run in _benched_runs(runner.experiment)]
    table = pd.concat(tables, ignore_index=True)
    folder = runner.folder
    folder.create()
    with folder.tables_lock():
        folder.write_table(TABLE, table)
    text = "\n".join([*_lines(table), "", f"Table: {folder.root / TABLE}"])
    return Answer(text, {"experiment": runner.experiment.spec.name, "pipelines": table.to_dict("records")})


def _benched_runs(experiment: Experiment) -> list[RunSpec]:
    """Return the run of each backend that is measured; its rates do not matter."""
    spec, sizes, backends = experiment.spec, experiment.sizes, experiment.backends
    with experiment.locating():
        if spec.arms:
            bounds = {(name, group.arm): ANY_BOUNDS for name in backends for group in needed_range_tests(spec)}
            runs = training_runs(spec, sizes, backends, bounds)
        else:
            runs = range_test_runs(spec, own_range_test(spec), sizes, backends)
    return [next(run for run in runs if run.backend == name) for name in backends]


def _measure(job: Job, run: RunSpec) -> pd.DataFrame:
    threads = job.options.threads or 1
    with job.setup.open_executor(Resources(run.backend, 1, threads)) as executor:
        device = executor.find_device(job.options.device)
        job.display.note(f"{run.backend}: about a quarter of a minute")
        samples = executor.call(measure_pipelines, job.library, run, device)
    under = {"batch_size": run.batch_size, "threads": threads, "device": device}
    return pd.DataFrame([{"backend": run.backend, **asdict(sample), **under} for sample in samples])


def _lines(table: pd.DataFrame) -> Iterator[str]:
    """Yield the medians, a block a backend, with how the stream compares."""
    repetitions = table["repetition"].max()
    yield f"images per second, medians of {repetitions} stretches of about half a second; the pipelines took turns"
    for (backend, batch_size, threads, device), rows in table.groupby(CONDITIONS, sort=False):
        medians = rows.pivot_table("images_per_second", "pipeline", "measured", aggfunc="median")
        yield f"\n{backend}: batches of {batch_size}, {counted(cast(int, threads), 'thread')}, {device}"
        yield _line("", *get_args(Measured))
        for pipeline in get_args(Pipeline):
            yield _line(pipeline, *(_rounded(medians.loc[pipeline, measured]) for measured in get_args(Measured)))
        ratios = medians.loc["stream"] / medians.loc["resident"]
        yield _line("stream / resident", *(f"{ratios[measured]:.2f}" for measured in get_args(Measured)))


def _line(head: str, *cells: str) -> str:
    return f"  {head:<18}" + "".join(f"{cell:>12}" for cell in cells)


def _rounded(rate: float) -> str:
    """Return a rate to the three digits that mean something."""
    return f"{float(f'{rate:.3g}'):,.10g}"
