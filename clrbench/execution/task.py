"""One run: task -> plan -> trainer -> run files."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from clrbench import backends
from clrbench.backends.protocol import Trainer
from clrbench.data import Library, Reading
from clrbench.errors import DataError
from clrbench.execution.provenance import Circumstances, describe, describe_script, processor, versions
from clrbench.execution.script import ScriptRun
from clrbench.execution.session import Pace, Session, Watcher
from clrbench.hits import count_by_class
from clrbench.layers import BuiltNetwork
from clrbench.parity import nudged
from clrbench.planning.plan import make_plan, run_identity
from clrbench.planning.script import Purpose, files_checksum
from clrbench.records import Checkpoint, Dataset, FloatArray, Json, RunLog, Timing, TrainPlan
from clrbench.spec import RunSpec
from clrbench.spec.train import Train
from clrbench.store import Checkpoints, ResultsFolder, RunId, RunRecord, StoredRun
from clrbench.store.twins import RunFolders, checkpointed_runs, find_twin, kept_by_scripts, run_folders


@dataclass(frozen=True)
class Task:
    """A run to be made, with all that a worker needs for it.

    Attributes:
        identity: sha256, in hex, of everything that decides its numbers.
        root: The results folder that it is stored in.
        redo: Whether to make it even if it is stored already.
        experiment: The folder of the experiment, where the same run may be stored under another name; None to look nowhere.
        needs: Metrics of which a script must have written one at its last step; nothing to other runs.
        purpose: What it is made for, which decides the arm that a script is told.
    """

    run: RunSpec
    identity: str
    circumstances: Circumstances
    library: Library
    root: Path
    pace: Pace
    redo: bool = False
    experiment: Path | None = None
    needs: tuple[str, ...] = ()
    purpose: Purpose = "runs"

    @property
    def run_id(self) -> str:
        """The name of its folder."""
        return str(RunId.of(self.run, self.identity))


def make_task(
    run: RunSpec, dataset: Dataset, circumstances: Circumstances, library: Library, root: Path, pace: Pace
) -> Task:
    """Return the task of a run, to be stored in the results folder `root`."""
    identity = run_identity(run, dataset, circumstances.device, circumstances.threads, library.place)
    return Task(run, identity, circumstances, library, root, pace)


Outcome: TypeAlias = Literal["made", "there", "busy", "stopped"]
"""A run was made now; was stored already, if under another name; is being made by another process; stopped at a checkpoint."""


def execute(task: Task, watcher: Watcher, *, wait: bool) -> Outcome:
    """Make a run and store it, unless it is stored already; one that was stopped or killed continues from its checkpoint.

    Where another process is making the run, `wait` says whether to wait for it. Raises DataError where the data has
    changed since the experiment was started.
    """
    if watcher.stopping():
        return "stopped"
    folder = ResultsFolder(task.root)
    with folder.run_lock(task.run_id, give_up=lambda: not wait or watcher.stopping()) as held:
        if not held:
            return "stopped" if watcher.stopping() else "busy"
        checkpoints = folder.checkpoints(task.run_id, belongs_to(task))
        if is_stored(task, folder):
            clear(task, folder)
            return "there"
        if task.run.train is not None:
            take_script_over(task, folder)
        elif not checkpoints.paths():
            _take_checkpoint_over(task, checkpoints)
        if not _make_and_store(task, folder, checkpoints, watcher):
            return "stopped"
        clear(task, folder)
        return "made"


def clear(task: Task, folder: ResultsFolder) -> None:
    """Remove what a run that is stored has no use for any more: its checkpoints, and the folder that its script worked in."""
    folder.checkpoints(task.run_id, {}).remove()
    if task.run.train is not None:
        folder.clear_script(task.run_id)


def _make_and_store(task: Task, folder: ResultsFolder, checkpoints: Checkpoints, watcher: Watcher) -> bool:
    """Return whether a run was made and stored, rather than stopped."""
    if task.run.train is not None:
        return _make_by_script(task, task.run.train, folder, watcher)
    made = make(task, checkpoints, watcher)
    if made is not None:
        folder.write_run(*made)
    return made is not None


def is_stored(task: Task, folder: ResultsFolder) -> bool:
    """Return whether there is nothing left to do for a run, whose lock the caller holds; a copy of an equal one will do."""
    if task.redo:
        return False
    if folder.is_finished(task.run_id, task.run.evaluation_steps):
        return True
    # An equal arm may have been trained since the task was planned.
    twin, _ = _find_twin(task)
    return twin is not None and folder.adopt_run(twin, task.run_id, task.run.arm)


def adopt(task: Task, stored: RunFolders) -> tuple[bool, list[str]]:
    """Store a copy of a run that is finished under another name in the experiment, unless the task is to be done anew.

    Args:
        task: A run that is not stored under its own name.
        stored: The folders of all runs of the experiment.

    Returns:
        Whether the run is stored now, and what is wrong with the runs of its digits that are damaged.
    """
    twin, problems = (None, []) if task.redo else _find_twin(task, stored)
    if twin is None:
        return False, problems
    folder = ResultsFolder(task.root)
    with folder.run_lock(task.run_id, give_up=lambda: True) as held:
        adopted = held and folder.adopt_run(twin, task.run_id, task.run.arm)
        if adopted:
            clear(task, folder)
    return adopted, problems


def _find_twin(task: Task, stored: RunFolders | None = None) -> tuple[StoredRun | None, list[str]]:
    """Return what `find_twin` does; `stored` are the folders of all runs of the experiment, None to look for them now."""
    if task.experiment is None:
        return None, []
    folders = run_folders(task.experiment) if stored is None else stored
    return find_twin(task.experiment, folders, task.identity, task.run.evaluation_steps)


def _take_checkpoint_over(task: Task, checkpoints: Checkpoints) -> None:
    """Let the run, which has no checkpoint, continue from its last one under another name."""

    def take(folder: ResultsFolder, run_id: str) -> bool:
        other = folder.checkpoints(run_id, checkpoints.belongs_to)
        last = other.find()
        if last is not None:
            checkpoints.write(last)
            other.remove()
        return last is not None

    _try_others(task, checkpointed_runs, take)


def take_checkpoint_files_over(task: Task, folder: ResultsFolder) -> None:
    """Let the run continue elsewhere from its checkpoints under another name, unless it has some under its own."""
    mine = folder.checkpoints(task.run_id, {})

    def take(other: ResultsFolder, run_id: str) -> bool:
        return mine.take_over(other.checkpoints(run_id, {}), task.identity, task.run.evaluation_steps)

    if not mine.paths():
        _try_others(task, checkpointed_runs, take)


def take_script_over(task: Task, folder: ResultsFolder) -> None:
    """Let a script go on from what it has kept under another name of the same run, unless it has kept some under this one."""
    mine = folder.script_folder(task.run_id)
    _try_others(task, kept_by_scripts, lambda other, run_id: mine.take_over(other.script_folder(run_id)))


def _try_others(
    task: Task, find: Callable[[Path, str], list[tuple[Path, str]]], take: Callable[[ResultsFolder, str], bool]
) -> None:
    """Try to take over what a run has left under other names in the experiment, until it is taken; not if it is done anew.

    Args:
        task: The run, whose lock the caller holds.
        find: Returns where there may be anything: each results folder, and the name of the run there.
        take: Takes it over and returns whether there was any; called under the lock of a name that no process works on.
    """
    found = [] if task.redo or task.experiment is None else find(task.experiment, task.identity)
    for root, run_id in found:
        if (root, run_id) == (task.root, task.run_id):
            continue
        folder = ResultsFolder(root)
        with folder.run_lock(run_id, give_up=lambda: True) as held:
            if held and take(folder, run_id):
                return


class KeptCheckpoints(Protocol):
    """Where the checkpoints of one run are kept."""

    def read(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the last checkpoint that can be used, if any, and what is wrong with each later one."""

    def write(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint."""


def make(
    task: Task, checkpoints: KeptCheckpoints, watcher: Watcher, load: Callable[[Task], Dataset] | None = None
) -> tuple[RunRecord, RunLog] | None:
    """Train a run, from its last checkpoint on where there is one; nothing but checkpoints is stored.

    Args:
        task: The run.
        checkpoints: Where its checkpoints are kept.
        watcher: Follows it, and may stop it.
        load: Returns its data set; None to read it where the spec says.

    Returns:
        What is to be stored of it; None if it was told to stop, and a checkpoint is kept.
    """
    started = time.perf_counter()
    dataset = (load or _load)(task)
    _check_unchanged(dataset, task)
    plan = make_plan(task.run, dataset, task.library.place)
    load_seconds = time.perf_counter() - started
    trainer, compile_seconds = _compiled_trainer(task, plan, dataset)
    for warning in trainer.network.warnings if trainer.network else ():
        watcher.warn(f"{task.run.model.name}: {warning}")
    limit = task.run.divergence_factor * math.log(dataset.num_classes)
    timing = Timing(0.0, 0.0, compile_seconds, load_seconds, num_images=0)
    session = Session(trainer, plan, limit, watcher, checkpoints.write, timing, task.pace)
    last, problems = checkpoints.read()
    if problems:
        where = "the beginning" if last is None else f"update {last.updates_done}"
        watcher.warn(f"{task.run_id} continues from {where}: " + "; ".join(problems))
    if last is not None:
        session.resume(last)
    log = session.run()
    return None if log is None else (_record(task, plan, trainer.network), log)


def _compiled_trainer(task: Task, plan: TrainPlan, dataset: Dataset) -> tuple[Trainer, float]:
    """Return what trains a run, once it has compiled what it needs, and how many seconds that took."""
    started = time.perf_counter()
    trainer = backends.load(task.run.backend).make_trainer(plan, dataset, task.circumstances.device)
    trainer.train(plan.batches[:0], plan.lr[:0])
    return trainer, time.perf_counter() - started


def _record(task: Task, plan: TrainPlan, network: BuiltNetwork | None) -> RunRecord:
    """Return what is known of a run that is planned, and of its network where that is the user's own."""
    return RunRecord(
        run_id=task.run_id,
        identity=task.identity,
        spec=task.run,
        num_classes=plan.num_classes,
        validation_rows_by_class=count_by_class(plan.validation_classes, plan.num_classes),
        test_rows_by_class=count_by_class(plan.test_classes, plan.num_classes),
        provenance=replace(describe(task.circumstances, plan), network=network),
    )


def _load(task: Task) -> Dataset:
    return load_dataset(task.library, task.run.data.dataset, task.run.reading())


def _make_by_script(task: Task, train: Train, folder: ResultsFolder, watcher: Watcher) -> bool:
    """Return whether a run was made and stored where a script of the user's own trains, rather than stopped."""
    place = folder.script_folder(task.run_id)
    log = script_run(task, train, place.path).make(watcher)
    if log is None:
        return False
    folder.write_run(script_record(task), log)
    return True


def script_run(task: Task, train: Train, place: Path, kept_in: Path | None = None) -> ScriptRun:
    """Return a run of a script of the user's own, to be made in the folder `place`; see `ScriptRun`.

    Raises:
        DataError: If its files have changed.
    """
    spec_folder = task.library.base or Path()
    if files_checksum(train, spec_folder) != task.circumstances.data_checksum:
        raise DataError(
            f"{task.run_id}: the files of the script have changed since the command was started; run it again once they are "
            "as they should be"
        )
    return ScriptRun(task.run_id, task.run, train, spec_folder, place, task.needs, kept_in, task.purpose)


def script_record(task: Task) -> RunRecord:
    """Return what is known of a run of a script before it is made."""
    return RunRecord(
        run_id=task.run_id,
        identity=task.identity,
        spec=task.run,
        num_classes=0,
        validation_rows_by_class=(),
        test_rows_by_class=(),
        provenance=describe_script(task.circumstances),
    )


def belongs_to(task: Task) -> dict[str, Json]:
    """Return what a checkpoint must have in common with the run, for it to continue as if it had never stopped."""
    return {
        "identity": task.identity,
        "evaluation_steps": list(task.run.evaluation_steps),
        "versions": dict(versions(task.run.backend)),
        "processor": processor(),
    }


def _check_unchanged(dataset: Dataset, task: Task) -> None:
    started_with = task.circumstances.data_checksum
    if dataset.checksum != started_with:
        raise DataError(
            f"{dataset.name}: got checksum {dataset.checksum}, but the experiment was started with {started_with}; the "
            "data has changed meanwhile, or its function gives other arrays at every call; start again once it is stable"
        )


def first_losses(library: Library, run: RunSpec, device: str, num_steps: int, *, control: int | None) -> FloatArray:
    """Return the mini-batch losses of the first `num_steps` steps of a run, or of all it has; nothing is stored.

    `control` is the number of the control to train, from `nudged` weights; None for the run as planned.
    """
    dataset = load_dataset(library, run.data.dataset, run.reading())
    plan = make_plan(run, dataset, library.place)
    if control is not None:
        plan = replace(plan, weights=nudged(plan.weights, control))
    trainer = backends.load(run.backend).make_trainer(plan, dataset, device)
    return trainer.train(plan.batches[:num_steps], plan.lr[:num_steps]).loss


@lru_cache(maxsize=1)
def load_dataset(library: Library, name: str, how: Reading) -> Dataset:
    """Return a data set; the last one is kept in memory, since the next run of a worker has the same."""
    return library.load(name, how=how)
