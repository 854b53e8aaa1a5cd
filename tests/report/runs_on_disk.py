"""Run folders with known values, written through the store."""

from collections.abc import Sequence

import numpy as np

from clrbench.records import Evaluation, RunLog, Split, StepLog, Timing
from clrbench.store import ResultsFolder

EVALUATION_STEPS = np.array([2, 4, 5], np.int32)
STEPS_PER_EPOCH = 2
ROWS = {"train": 100, "validation": 0, "test": 400}
SIZES = {
    "steps_per_epoch": STEPS_PER_EPOCH,
    "num_steps": 5,
    "evaluation_steps": EVALUATION_STEPS.tolist(),
    "evaluated_splits": ["test"],
}


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
) -> str:
    """Write a run of five updates whose test accuracy after 2, 4 and 5 of them is given, and return its id.

    The test loss is 1 - accuracy unless it is given; a run diverges at its third update unless another is named.
    """
    values = np.array([5, 4, 3, 2, 1], np.float32)
    lost = np.arange(5) > (2 if diverged_step is None else diverged_step)
    if status == "diverged":
        values[lost] = np.nan
        unknown = lost[EVALUATION_STEPS - 1] if diverged_step is None else diverged_step < EVALUATION_STEPS
        accuracy = np.where(unknown, np.nan, accuracy).tolist()
        losses = None if losses is None else np.where(unknown, np.nan, losses).tolist()
    pairs = zip(accuracy, losses or [1 - value for value in accuracy], strict=True)
    evaluations = tuple(Evaluation(loss, value) for value, loss in pairs)
    log = RunLog(
        StepLog(values / 10, np.where(np.isnan(values), np.nan, np.array(train_losses)).astype(np.float32), values / 5),
        EVALUATION_STEPS,
        {Split.TEST: evaluations},
        "diverged" if status == "diverged" else "finished",
        None,
        Timing(1.0, 0.5, 0.0, 0.0, 500),
    )
    run_id = f"{backend}-{arm}-s{seed}-00000000"
    info = {
        "status": status,
        "reason": None,
        "num_classes": 4,
        "spec": {"backend": backend, "arm": arm, "seed": seed, **SIZES},
        "provenance": {"versions": {backend: version}, "threads": 1, "device": "cpu", "executor": "local"}
        | {"rows": ROWS},
        "timing": {
            "train_seconds": 1.0,
            "evaluation_seconds": 0.5,
            "compile_seconds": 0.0,
            "load_seconds": 0.0,
            "images_per_second": 500.0,
        },
    }
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.write_run(run_id, STEPS_PER_EPOCH, log, info)
    folder.update_index({"runs": {backend: [*folder.index().get("runs", {}).get(backend, []), run_id]}})
    return run_id
