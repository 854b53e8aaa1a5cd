"""One run from its task to its files, on a trainer whose losses are known."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import FakeWatcher, ScriptedTrainer
from tiny_runs import DATASET, HOW, LABELS, NUM_STEPS, RUN, TinyLibrary

from clrbench import backends
from clrbench.errors import DataError
from clrbench.execution.session import Pace
from clrbench.execution.task import Task, execute, make_task
from clrbench.planning.plan import run_identity
from clrbench.store import ResultsFolder


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


def renamed(task: Task, arm: str, root: Path | None = None) -> Task:
    """Return the task of an equal arm, in the same results folder or in another."""
    run = task.run.model_copy(update={"arm": arm})
    return replace(task, run=run, root=root or task.root)


def files_of(task: Task) -> dict[str, bytes]:
    """Return the content of the files of a stored run, but for `run.json`."""
    folder = task.root / "runs" / task.run_id
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


def test_the_name_of_an_arm_is_no_part_of_its_identity(task: Task) -> None:
    other = make_task(
        RUN.model_copy(update={"arm": "other"}), DATASET, HOW, task.library, task.root, Pace(stretch_seconds=0.0)
    )
    assert other.identity == task.identity
    assert other.run_id == f"torch-other-s3-{task.identity[:8]}"


def test_a_run_that_an_equal_arm_made_meanwhile_is_copied(task: Task, trainers: list[ScriptedTrainer]) -> None:
    task = replace(task, experiment=task.root)
    assert execute(task, FakeWatcher(), wait=True) == "made"
    watcher = FakeWatcher()
    other = renamed(task, "other")
    assert execute(other, watcher, wait=True) == "there"
    assert (len(trainers), watcher.told) == (1, [])
    assert files_of(other) == files_of(task)
    assert len(files_of(other)) == 3
    stored = ResultsFolder(task.root).find_run(other.run_id)
    assert (stored.spec.arm, stored.record.identity) == ("other", task.identity)
    assert execute(renamed(replace(task, experiment=None), "third"), FakeWatcher(), wait=True) == "made"
    assert execute(replace(renamed(task, "fourth"), redo=True), FakeWatcher(), wait=True) == "made"
    assert len(trainers) == 3


@pytest.mark.parametrize("patience", [2, 5, 9])
@pytest.mark.parametrize("elsewhere", ["", "search", "range-test", "range-test/constant"])
def test_a_run_continues_from_its_checkpoint_under_another_name(
    task: Task, trainers: list[ScriptedTrainer], tmp_path: Path, patience: int, elsewhere: str
) -> None:
    whole = replace(task, root=tmp_path / "whole")
    whole.root.mkdir()
    assert execute(whole, FakeWatcher(), wait=True) == "made"
    task = replace(task, experiment=tmp_path, root=tmp_path / elsewhere)
    task.root.mkdir(parents=True, exist_ok=True)
    assert execute(task, FakeWatcher(patience), wait=True) == "stopped"
    done = trainers[-1].updates_done
    assert 0 < done < NUM_STEPS
    other, watcher = renamed(task, "other", tmp_path), FakeWatcher()
    assert execute(other, watcher, wait=True) == "made"
    assert watcher.told[0] == done
    assert watcher.warnings == []
    assert sum(trainers[-1].stretches) == NUM_STEPS - done
    assert files_of(other) == files_of(whole)
    assert not ResultsFolder(task.root).has_checkpoint(task.run_id)
    assert not ResultsFolder(other.root).has_checkpoint(other.run_id)
    assert list(tmp_path.rglob(".locks/*")) == []


def test_a_checkpoint_that_another_process_works_on_or_that_does_not_fit_is_left_alone(
    task: Task, trainers: list[ScriptedTrainer], tmp_path: Path
) -> None:
    task = replace(task, experiment=tmp_path)
    folder = ResultsFolder(tmp_path)
    assert execute(task, FakeWatcher(patience=5), wait=True) == "stopped"
    with ThreadPoolExecutor(1) as other, folder.run_lock(task.run_id):
        assert other.submit(execute, renamed(task, "second"), FakeWatcher(), wait=False).result() == "made"
    assert sum(trainers[-1].stretches) == NUM_STEPS
    assert folder.has_checkpoint(task.run_id)
    fewer = renamed(task, "third").run.model_copy(update={"evaluation_steps": (5, 10, NUM_STEPS)})
    assert execute(replace(task, run=fewer), FakeWatcher(), wait=True) == "made"
    assert sum(trainers[-1].stretches) == NUM_STEPS
    assert folder.has_checkpoint(task.run_id)


def test_a_run_has_its_own_checkpoint_rather_than_that_of_an_equal_arm(
    task: Task, trainers: list[ScriptedTrainer], tmp_path: Path
) -> None:
    task = replace(task, experiment=tmp_path)
    other = renamed(task, "other")
    assert execute(task, FakeWatcher(patience=9), wait=True) == "stopped"
    assert execute(replace(other, experiment=None), FakeWatcher(patience=3), wait=True) == "stopped"
    done = trainers[-1].updates_done
    watcher = FakeWatcher()
    assert execute(other, watcher, wait=True) == "made"
    assert watcher.told[0] == done < trainers[0].updates_done
    assert ResultsFolder(tmp_path).has_checkpoint(task.run_id)
    # Now that the equal run is finished, neither training nor checkpoint is left to do.
    assert execute(task, FakeWatcher(), wait=True) == "there"
    assert not ResultsFolder(tmp_path).has_checkpoint(task.run_id)
