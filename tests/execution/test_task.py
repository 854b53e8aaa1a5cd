"""One run from its task to its files, on a trainer whose losses are known."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import FakeWatcher, ScriptedTrainer

from clrbench import backends
from clrbench.data import Library
from clrbench.errors import DataError
from clrbench.execution.provenance import Circumstances
from clrbench.execution.session import Pace
from clrbench.execution.task import Task, execute, make_task
from clrbench.planning.plan import run_identity
from clrbench.records import Dataset
from clrbench.spec import RunSpec
from clrbench.spec.model import Data, Mlp, Sgd
from clrbench.spec.schedules import Constant
from clrbench.store import ResultsFolder

NUM_STEPS = 20
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 4, 5, 1), dtype=np.uint8)
LABELS = (np.arange(60) % 3).astype(np.int32)
DATASET = Dataset("tiny", IMAGES[:50], LABELS[:50], IMAGES[50:], LABELS[50:], 3, "abc")
HOW = Circumstances("torch", "cpu", 1, "fake", None, "abc")
RUN = RunSpec(
    backend="torch",
    arm="constant",
    seed=3,
    data=Data(dataset="mnist", validation="10 rows"),
    model=Mlp(name="mlp", hidden=(4,)),
    optimizer=Sgd(name="sgd"),
    batch_size=10,
    schedule=Constant(name="constant", lr=0.1),
    num_steps=NUM_STEPS,
    steps_per_epoch=4,
    evaluation_steps=(10, NUM_STEPS),
    evaluated_splits=("validation", "test"),
    divergence_factor=1000.0,
)


class TinyLibrary(Library):
    """Has one data set."""

    def load(self, dataset: str, show: object = None) -> Dataset:
        return DATASET


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedTrainer]:
    """Return the trainers made, in order; the framework is not loaded."""
    made: list[ScriptedTrainer] = []

    def make_trainer(*_: Any) -> ScriptedTrainer:
        made.append(ScriptedTrainer(np.linspace(2, 1, NUM_STEPS, dtype=np.float32), num_rows=len(DATASET.y_test)))
        return made[-1]

    backend = SimpleNamespace(make_trainer=make_trainer, versions=lambda: {"torch": "1"}, build=lambda _: {})
    monkeypatch.setattr(backends, "load", lambda _: backend)
    return made


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return make_task(RUN, DATASET, HOW, TinyLibrary(tmp_path), tmp_path, Pace(stretch_seconds=0.0))


def test_a_task_is_named_by_what_it_trains_and_by_its_identity(task: Task) -> None:
    assert task.identity == run_identity(RUN, DATASET, "cpu", 1)
    assert task.run_id == f"torch-constant-s3-{task.identity[:8]}"
    assert not task.redo


def test_a_run_is_made_and_stored_once(task: Task, trainers: list[ScriptedTrainer], tmp_path: Path) -> None:
    watcher = FakeWatcher()
    assert execute(task, watcher, wait=True) == "made"
    assert sum(watcher.told) == NUM_STEPS
    stored = ResultsFolder(tmp_path).find_run(task.run_id)
    assert stored is not None
    assert (stored.record.identity, stored.spec, stored.status) == (task.identity, RUN, "finished")
    assert (stored.provenance.executor, stored.provenance.data_checksum) == ("fake", "abc")
    assert stored.steps["train_loss"].iloc[-1] == 1.0
    # Rows 0, 4 and 8 are right, and the classes take turns, from 2 on: all that they are of have four or three rows.
    assert LABELS[50:].tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert stored.record.test_rows_by_class == (3, 3, 4)
    assert stored.test_hits_by_class == (1, 1, 1)
    assert stored.test_hits.tolist() == [True, False, False, False] * 2 + [True, False]
    assert stored.evaluations["test_accuracy"].iloc[-1] == pytest.approx(3 / 10)
    assert stored.evaluations["test_balanced_accuracy"].iloc[-1] == pytest.approx((1 / 3 + 1 / 3 + 1 / 4) / 3)
    assert execute(task, FakeWatcher(), wait=True) == "there"
    assert execute(replace(task, redo=True), FakeWatcher(), wait=True) == "made"
    assert len(trainers) == 2


def test_a_run_that_was_stopped_continues_from_its_checkpoint(
    task: Task, trainers: list[ScriptedTrainer], tmp_path: Path
) -> None:
    assert execute(task, FakeWatcher(patience=0), wait=True) == "stopped"
    assert not trainers
    assert execute(task, FakeWatcher(patience=5), wait=True) == "stopped"
    folder = ResultsFolder(tmp_path)
    assert folder.has_checkpoint(task.run_id)
    assert folder.find_run(task.run_id) is None
    watcher = FakeWatcher()
    assert execute(task, watcher, wait=True) == "made"
    first, second = trainers
    assert watcher.told[0] == first.updates_done > 0
    assert sum(second.stretches) == NUM_STEPS - first.updates_done
    assert not folder.has_checkpoint(task.run_id)


def test_a_checkpoint_of_other_evaluations_is_left_out_with_a_warning(
    task: Task, trainers: list[ScriptedTrainer]
) -> None:
    assert execute(task, FakeWatcher(patience=5), wait=True) == "stopped"
    watcher = FakeWatcher()
    other = replace(task, run=RUN.model_copy(update={"evaluation_steps": (NUM_STEPS,)}))
    assert execute(other, watcher, wait=True) == "made"
    (warning,) = watcher.warnings
    assert warning.startswith(f"{task.run_id} continues from the beginning: ")
    assert sum(trainers[-1].stretches) == NUM_STEPS


def test_a_run_that_another_process_makes_is_busy(task: Task, trainers: list[ScriptedTrainer], tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as other, ResultsFolder(tmp_path).run_lock(task.run_id):
        assert other.submit(execute, task, FakeWatcher(), wait=False).result() == "busy"
    assert not trainers


@pytest.mark.usefixtures("trainers")
def test_data_that_changed_since_the_start_is_refused(task: Task) -> None:
    other = replace(task, circumstances=replace(HOW, data_checksum="other"))
    with pytest.raises(DataError, match="tiny: got checksum abc, but the experiment was started with other"):
        execute(other, FakeWatcher(), wait=True)
