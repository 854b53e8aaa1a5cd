"""A run and a checkpoint with known values, as they are stored, and ways to damage a file."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from runs_on_disk import run_record, run_spec

from clrbench.records import Checkpoint, Evaluation, Hits, Json, RunLog, RunStatus, Split, StepLog, Timing
from clrbench.store import Look, ResultsFolder, RunRecord

NUM_STEPS = 3
RUN_ID = "torch-a-s0-00000000"
SAMPLE_HITS = Hits(np.arange(400) % 3 == 0, (34, 33, 33, 34))
"""Which of the 400 test rows the sample run gets right, the four classes taking turns."""
BELONGS_TO: dict[str, Json] = {"identity": "abc", "evaluation_steps": [2, 4], "versions": {"torch": "1"}}


def sample_record(arm: str = "a", seed: int = 0, **changes: Any) -> RunRecord:
    """Return the record of a run of three updates, evaluated after the last."""
    points = {"num_steps": NUM_STEPS, "steps_per_epoch": NUM_STEPS, "evaluation_steps": [NUM_STEPS]}
    return run_record(run_spec(arm, seed, **{**points, **changes}))


def sample_log(
    loss: float = 1.0, status: RunStatus = "finished", reason: str | None = None, hits: Hits | None = SAMPLE_HITS
) -> RunLog:
    """Return the log of that run with one value throughout."""
    values = np.full(NUM_STEPS, loss, np.float32)
    timing = Timing(1.0, 0.5, 0.25, 0.125, num_images=300)
    return RunLog(StepLog(values, values, values), np.array([NUM_STEPS], np.int32), {}, status, reason, timing, hits)


def write_sample(folder: ResultsFolder, loss: float = 1.0) -> None:
    """Store that run, without a word of it in the index."""
    folder.write_run(sample_record(), sample_log(loss))


def stored_loss(folder: ResultsFolder) -> float:
    """Return the value that the stored run has throughout."""
    run = folder.find_run(RUN_ID)
    assert run is not None
    (loss,) = set(run.steps["train_loss"])
    return float(loss)


def add_to_index(folder: ResultsFolder, *run_ids: str) -> None:
    """Let these runs count."""
    folder.add_runs("spec", "torch", list(run_ids), {})


def sample_checkpoint(updates_done: int) -> Checkpoint:
    """Return a checkpoint with values of its own for each number of updates."""
    rng = np.random.default_rng(updates_done)
    values = rng.random((3, updates_done), np.float32)
    return Checkpoint(
        state={"dense_1.kernel": rng.normal(size=(3, 4)).astype(np.float32), "step": np.array(updates_done)},
        steps=StepLog(*values),
        evaluations={Split.TEST: (Evaluation(0.1 + 0.2, np.nan, 1 / 3),), Split.VALIDATION: ()},
        timing=Timing(0.1, 0.2, 0.3, 0.4, num_images=7),
    )


def check_same_checkpoint(found: Checkpoint | None, expected: Checkpoint) -> None:
    """Assert that two checkpoints are the same bit for bit."""
    assert found is not None
    assert found.state.keys() == expected.state.keys()
    for name, array in expected.state.items():
        np.testing.assert_array_equal(found.state[name], array, strict=True)
    for name in ("lr", "loss", "accuracy"):
        np.testing.assert_array_equal(getattr(found.steps, name), getattr(expected.steps, name), strict=True)
    assert repr(found.evaluations) == repr(expected.evaluations)
    assert found.timing == expected.timing


def edit(path: Path) -> None:
    """Change a digit."""
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))


def truncate(path: Path) -> None:
    """Cut off the end."""
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path) -> None:
    """Cut off everything."""
    path.write_bytes(b"")


def seal(content: dict[str, Any]) -> str:
    """Return a JSON document with its own checksum, as another version of clrbench might write it."""
    unsealed = {key: value for key, value in content.items() if key != "checksum"}
    checksum = hashlib.sha256(json.dumps(unsealed, sort_keys=True).encode()).hexdigest()
    return json.dumps({**unsealed, "checksum": checksum})


def sample_look(*seeds: int, **changes: Any) -> Look:
    """Return a look at a finished experiment of two arms with these seeds."""
    content: dict[str, Any] = {
        "backend": "torch",
        "metric": "test_accuracy",
        "margin": 0.001,
        "alpha": 0.05,
        "asked_seeds": seeds,
        "comparisons": ("clr - constant",),
        "shown_seeds": seeds,
        "runs": f"the runs with {seeds}",
        "num_pairs": len(seeds),
    }
    return Look(**{**content, **changes})
