"""Run folders with known values, written through the store, and what is made of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clrbench.analysis.looks import looked_at
from clrbench.analysis.results import Results
from clrbench.analysis.tables import Findings, analyse
from clrbench.records import (
    BoolArray,
    Evaluation,
    Hits,
    IntArray,
    Provenance,
    RunLog,
    Split,
    SplitSizes,
    StepLog,
    Timing,
)
from clrbench.spec import RunSpec, Spec
from clrbench.store import ResultsFolder, RunRecord

EVALUATION_STEPS = np.array([2, 4, 5], np.int32)
STEPS_PER_EPOCH = 2
NUM_CLASSES = 4
ROWS = SplitSizes(train=100, validation=0, test=400)
TEST_CLASSES = np.arange(ROWS.test, dtype=np.int32) % NUM_CLASSES
"""Class of each test row: as many of each class, taking turns."""


def run_spec(arm: str, seed: int, backend: str = "torch", **changes: Any) -> RunSpec:
    """Return the spec of a run of five updates, evaluated on test rows after 2, 4 and 5 of them."""
    content = {
        "backend": backend,
        "arm": arm,
        "seed": seed,
        "data": {"dataset": "mnist"},
        "model": {"name": "mlp"},
        "optimizer": {"name": "sgd"},
        "batch_size": 100,
        "schedule": {"name": "constant", "lr": 0.1},
        "num_steps": 5,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "evaluation_steps": EVALUATION_STEPS.tolist(),
        "evaluated_splits": ["test"],
        "divergence_factor": 1000.0,
    }
    return RunSpec.model_validate({**content, **changes})


def provenance(backend: str = "torch", version: str = "1", **changes: Any) -> Provenance:
    """Return what a run was made with."""
    content: dict[str, Any] = {
        "versions": {backend: version},
        "protocol": 3,
        "python": "3.11",
        "machine": "x86_64",
        "system": "Linux",
        "libc": None,
        "processor": "a processor",
        "logical_cpus": 2,
        "build": {},
        "environment": {},
        "git_commit": None,
        "device": "cpu",
        "threads": 1,
        "executor": "local",
        "data_checksum": "0" * 64,
        "rows": ROWS,
        "standardisation": None,
    }
    return Provenance(**{**content, **changes})


def run_record(
    spec: RunSpec, made_with: Provenance | None = None, test_rows_by_class: tuple[int, ...] = (100,) * NUM_CLASSES
) -> RunRecord:
    """Return what is known of a run before it is made."""
    run_id = f"{spec.backend}-{spec.arm}-s{spec.seed}-00000000"
    made_with = made_with or provenance(spec.backend)
    return RunRecord(
        run_id, "0" * 64, spec, len(test_rows_by_class), (0,) * len(test_rows_by_class), test_rows_by_class, made_with
    )


def hits_by_class(hits: BoolArray, classes: IntArray, num_classes: int = NUM_CLASSES) -> tuple[int, ...]:
    """Return how many rows of each class are right."""
    return tuple(int(hits[classes == of_class].sum()) for of_class in range(num_classes))


def write_run(
    folder: ResultsFolder,
    arm: str,
    seed: int,
    accuracy: Sequence[float],
    *,
    backend: str = "torch",
    version: str = "1",
    status: str = "finished",
    losses: Sequence[float] | None = None,
    train_losses: Sequence[float] = (5, 4, 3, 2, 1),
    diverged_step: int | None = None,
    hits: BoolArray | None = None,
    identity: str = "0" * 64,
) -> str:
    """Write a run of five updates whose test accuracy after 2, 4 and 5 of them is given, and return its id.

    The test loss is 1 - accuracy unless it is given, and so is the balanced accuracy; a run diverges at its third update
    unless another is named. `hits`, bool[400], are the test rows of `TEST_CLASSES` that are right at the end; unless they
    are given, as many of the first rows as the accuracy says.
    """
    values = np.array([5, 4, 3, 2, 1], np.float32)
    lost = np.arange(5) > (2 if diverged_step is None else diverged_step)
    if status == "diverged":
        values[lost] = np.nan
        unknown = lost[EVALUATION_STEPS - 1] if diverged_step is None else diverged_step < EVALUATION_STEPS
        accuracy = np.where(unknown, np.nan, accuracy).tolist()
        losses = None if losses is None else np.where(unknown, np.nan, losses).tolist()
    pairs = zip(accuracy, losses or [1 - value for value in accuracy], strict=True)
    hits = np.arange(ROWS.test) < np.nan_to_num(accuracy[-1]) * ROWS.test if hits is None else hits
    log = RunLog(
        StepLog(values / 10, np.where(np.isnan(values), np.nan, np.array(train_losses)).astype(np.float32), values / 5),
        EVALUATION_STEPS,
        {Split.TEST: tuple(Evaluation(loss, value, value) for value, loss in pairs)},
        "diverged" if status == "diverged" else "finished",
        None,
        Timing(1.0, 0.5, 0.0, 0.0, 500),
        None if status == "diverged" else Hits(hits, hits_by_class(hits, TEST_CLASSES)),
    )
    record = replace(run_record(run_spec(arm, seed, backend), provenance(backend, version)), identity=identity)
    folder.create()
    folder.write_run(record, log)
    folder.add_runs("spec", backend, list(dict.fromkeys([*folder.index().runs.get(backend, []), record.run_id])), {})
    return record.run_id


def findings_of(folder: ResultsFolder, spec: Spec) -> Findings:
    """Return what the runs in a folder come to, looked at once more."""
    return analyse(looked_at(Results.read(folder, spec), folder))
