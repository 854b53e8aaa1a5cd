"""Experiments of many runs that nobody trained: made-up numbers, written through the store as finished runs are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from clrbench.data import Library
from clrbench.files import checksum
from clrbench.planning.plan import PROTOCOL
from clrbench.planning.runs import split_sizes, training_runs
from clrbench.records import Evaluation, Hits, Provenance, RunLog, Split, SplitSizes, StepLog, Timing
from clrbench.spec import RunSpec, load_spec, to_yaml
from clrbench.store import ResultsFolder, RunRecord

NUM_CLASSES, TEST_ROWS = 10, 10_000
ROWS_BY_CLASS = (TEST_ROWS // NUM_CLASSES,) * NUM_CLASSES


@dataclass(frozen=True)
class Shape:
    """How large an experiment is: `arms` x `seeds` runs of `num_steps` updates each."""

    name: str
    arms: int
    seeds: int
    num_steps: int

    @property
    def num_runs(self) -> int:
        """How many runs it has."""
        return self.arms * self.seeds


def spec_text(shape: Shape) -> str:
    """Return the spec of such an experiment, as YAML: constants beside each other, on the MNIST of the package."""
    arms = "\n".join(
        f"  rate{index}: {{schedule: {{name: constant, lr: {0.01 * (index + 1):g}}}}}" for index in range(shape.arms)
    )
    return (
        f"name: {shape.name}\ndata: {{dataset: mnist}}\nmodel: {{name: mlp}}\noptimizer: {{name: sgd}}\n"
        f"batch_size: 100\nduration: {shape.num_steps} steps\nseeds: {shape.seeds}\nbackends: [torch]\narms:\n{arms}\n"
    )


def write_experiment(shape: Shape, place: Path) -> ResultsFolder:
    """Write all runs of an experiment into a folder below `place`; return that folder."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{shape.name}.yaml"
    path.write_text(spec_text(shape), encoding="utf-8")
    spec = load_spec(path).spec
    sizes = Library().measure("mnist")
    runs = training_runs(spec, sizes, ("torch",), {})
    folder = ResultsFolder(place / shape.name)
    folder.create()
    text = to_yaml(spec)
    folder.begin(text, [])
    records = [_record(run, split_sizes(spec, sizes)) for run in runs]
    points = {run.arm: run.evaluation_steps for run in runs}
    folder.add_runs(text, "torch", [record.run_id for record in records], points)
    for record in records:
        folder.write_run(record, _log(record.spec))
    return folder


@cache
def _mnist_checksum() -> str:
    return Library().load("mnist").checksum


def _record(run: RunSpec, rows: SplitSizes) -> RunRecord:
    identity = checksum(f"{run.arm} {run.seed}".encode())
    provenance = Provenance(
        versions={"clrbench": "0", "numpy": "0", "torch": "0"},
        protocol=PROTOCOL,
        python="3",
        machine="made up",
        system="made up",
        libc=None,
        processor="made up",
        logical_cpus=2,
        build={},
        environment={},
        git_commit=None,
        device="cpu",
        threads=1,
        executor="local",
        data_checksum=_mnist_checksum(),
        rows=rows,
        standardisation=None,
    )
    run_id = f"{run.backend}-{run.arm}-s{run.seed}-{identity[:8]}"
    return RunRecord(run_id, identity, run, NUM_CLASSES, (500,) * NUM_CLASSES, ROWS_BY_CLASS, provenance)


def _log(run: RunSpec) -> RunLog:
    """Return made-up numbers of a run that learns: a loss that falls, and an accuracy that rises."""
    rng = np.random.default_rng([run.seed, int(checksum(run.arm.encode())[:8], 16)])
    progress = np.linspace(0, 1, run.num_steps)
    loss = (2.3 * np.exp(-3 * progress) + 0.1 * rng.random(run.num_steps)).astype(np.float32)
    accuracy = np.round(0.1 + 0.85 * progress * (0.9 + 0.1 * rng.random(run.num_steps)), 2).astype(np.float32)
    lr = np.full(run.num_steps, 0.1, np.float32)
    steps = np.array(run.evaluation_steps, np.int32)
    found = {
        split: tuple(
            Evaluation(float(loss[step - 1]), float(accuracy[step - 1]), float(accuracy[step - 1])) for step in steps
        )
        for split in map(Split, run.evaluated_splits)
    }
    hits = rng.random(TEST_ROWS) < accuracy[-1]
    by_class = tuple(map(int, hits.reshape(-1, NUM_CLASSES).sum(axis=0)))
    timing = Timing(1.0, 0.1, 0.1, 0.1, num_images=100 * run.num_steps)
    return RunLog(StepLog(lr, loss, accuracy), steps, found, "finished", None, timing, Hits(hits, by_class))
