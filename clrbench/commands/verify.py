"""Finished runs of an experiment made once more, elsewhere, and set beside what lies on disk."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from clrbench.analysis.reruns import RunTables, compare
from clrbench.commands.opening import check_installed
from clrbench.commands.rerun_report import Rerun, Verification
from clrbench.data import Library
from clrbench.errors import BackendError, DataError, ResultsError, SpecError
from clrbench.execution.local import LocalWorkers, Progress, available_cpus, local_workers
from clrbench.execution.provenance import changes, unrecorded
from clrbench.execution.task import Task
from clrbench.planning.plan import PROTOCOL, run_identity
from clrbench.progress import Display
from clrbench.records import Dataset
from clrbench.spec import BACKEND_NAMES, RunSpec, load_spec
from clrbench.spec.messages import nearest
from clrbench.store import SPEC_FILE, ResultsFolder, StoredRun

SHOWN_NAMES = 10


@dataclass(frozen=True)
class _Chosen:
    """A run to be made again.

    Attributes:
        stored: The run as it lies on disk, with all its evaluations.
        run: What it trained.
    """

    stored: StoredRun
    run: RunSpec

    @property
    def provenance(self) -> dict[str, Any]:
        """With what it was made."""
        found: dict[str, Any] = self.stored.info["provenance"]
        return found

    @property
    def images(self) -> int:
        """How many images it trains on, which its time goes with."""
        return self.run.num_steps * self.run.batch_size


def verify(root: Path, *, run_id: str | None, every: bool, library: Library, display: Display) -> Verification:
    """Make runs of an experiment once more, in a temporary folder, and say whether they come out the same.

    Nothing is written into the folder of the experiment. Device and threads are those that each run was made with.

    Args:
        root: The folder of the experiment.
        run_id: The run; None for the one that takes the least training.
        every: Whether all runs are made again, those of searches and range tests too.
        library: Has the data sets.
        display: Shows how far they are.

    Raises:
        SpecError: If there is no such run.
        ResultsError: If there are no runs, or one is damaged.
        DataError: If a data set is not here, or not the one that the runs were made with.
        BackendError: If a backend or a device is missing, or fails.
    """
    chosen = _choose(root, run_id, every=every)
    check_installed(tuple(dict.fromkeys(one.run.backend for one in chosen)))
    datasets = _load_datasets(chosen, library, display)
    with tempfile.TemporaryDirectory(prefix="clrbench-verify-") as place:
        # A folder for each, as a run at the rate given may bear the name of a try.
        folders = [ResultsFolder(Path(place) / str(number)) for number in range(len(chosen))]
        tasks = [
            _task(one, datasets[one.run.data.dataset], library, folder)
            for one, folder in zip(chosen, folders, strict=True)
        ]
        _make(tasks, display)
        return Verification(
            str(root),
            [
                _rerun(root, one, task, made)
                for one, task, folder in zip(chosen, tasks, folders, strict=True)
                for made in folder.indexed_runs()
            ],
        )


def _choose(root: Path, run_id: str | None, *, every: bool) -> list[_Chosen]:
    groups = [_finished(folder) for folder in _folders(root) if folder.has_runs()]
    stored = [run for group in groups for run in group]
    if not stored:
        raise ResultsError(f"{root}: no finished runs lie there; run clrbench compare or clrbench range-test first")
    if every:
        return [_chosen(run) for run in stored]
    if run_id is None:
        return [min(map(_chosen, next(filter(None, groups))), key=lambda one: one.images)]
    found = [_chosen(run) for run in stored if run.folder.name == run_id]
    if not found:
        names = list(dict.fromkeys(run.folder.name for run in stored))
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        allowed = f"{', '.join(names[:SHOWN_NAMES])}{more}"
        raise SpecError(f"--run: got {run_id!r}; allowed: a run of {root}: {allowed}{nearest(run_id, names)}")
    return found


def _finished(folder: ResultsFolder) -> list[StoredRun]:
    """Return the finished runs of a folder, each with all its evaluations, also those that no table holds any more."""
    return [replace(run, evaluation_steps=None) for run in folder.indexed_runs()]


def _folders(root: Path) -> Iterator[ResultsFolder]:
    """Yield every folder of an experiment that may hold runs, that of the arms first."""
    folder = ResultsFolder(root)
    yield folder
    yield folder.search()
    try:
        arms = load_spec(root / SPEC_FILE).spec.arms
    except SpecError as err:
        raise ResultsError(
            f"{root}: is not the folder of an experiment, such as results/demo, or is damaged: {err}"
        ) from err
    for arm in (None, *arms):
        yield folder.range_test(arm)
        yield folder.range_test(arm).half_length()


def _chosen(stored: StoredRun) -> _Chosen:
    try:
        return _Chosen(stored, RunSpec.model_validate(stored.info["spec"]))
    except ValueError as err:
        raise ResultsError(
            f"{stored.folder}: this version of clrbench cannot read what was trained ({err}); verify it with the version "
            f"that made it, {stored.info['provenance']['versions']['clrbench']}"
        ) from err


def _load_datasets(chosen: Sequence[_Chosen], library: Library, display: Display) -> dict[str, Dataset]:
    """Return the data set of every run, by what its spec calls it, once it is known to be the one of then."""
    found: dict[str, Dataset] = {}
    for one in chosen:
        name, wanted = one.run.data.dataset, one.provenance["data_checksum"]
        if name not in found:
            try:
                found[name] = library.load(name, display.counting)
            except SpecError as err:
                raise DataError(
                    f"{one.stored.folder.name}: its data set cannot be had here: {err}; put the data that it was trained on "
                    "back into its place, and verify again"
                ) from err
        if found[name].checksum != wanted:
            raise DataError(
                f"{one.stored.folder.name}: was trained on {name} with checksum {wanted}, but here it has "
                f"{found[name].checksum}; put the data that it was trained on back into its place, and verify again"
            )
    return found


def _task(one: _Chosen, dataset: Dataset, library: Library, folder: ResultsFolder) -> Task:
    folder.root.mkdir()
    device, threads = one.provenance["device"], one.provenance["threads"]
    return Task(
        run_id=one.stored.folder.name,
        identity=run_identity(one.run, dataset, device, threads),
        run=one.run,
        library=library,
        root=folder.root,
        device=device,
        threads=threads,
        data_checksum=dataset.checksum,
        executor=LocalWorkers.name,
        git_commit=None,
    )


def _make(tasks: Sequence[Task], display: Display) -> None:
    def workers_key(task: Task) -> tuple[int, int]:
        return BACKEND_NAMES.index(task.run.backend), task.threads

    with display.showing("reruns", len(tasks), sum(task.run.num_steps * task.run.batch_size for task in tasks)):
        for _, group in groupby(sorted(tasks, key=workers_key), workers_key):
            _make_alike(list(group), display)


def _make_alike(tasks: list[Task], display: Display) -> None:
    """Make runs of one backend with as many threads each."""
    backend, threads = tasks[0].run.backend, tasks[0].threads
    batch_sizes = {task.run_id: task.run.batch_size for task in tasks}

    def show(news: Progress) -> None:
        if news.warning is not None:
            display.warn(news.warning)
        elif news.finished:
            display.finish(news.run_id)
        else:
            display.advance(batch_sizes[news.run_id] * news.steps)

    with local_workers(backend, min(max(1, available_cpus() // threads), len(tasks)), threads) as workers:
        for device in dict.fromkeys(task.device for task in tasks):
            _check_device(device, backend, workers)
        workers.run(tasks, show)


def _check_device(device: str, backend: str, workers: LocalWorkers) -> None:
    try:
        workers.find_device(device)
    except BackendError as err:
        raise BackendError(
            f"runs on {backend} were made on {device}, which cannot be used here ({err}); verify them where it can"
        ) from err


def _rerun(root: Path, one: _Chosen, task: Task, made: StoredRun) -> Rerun:
    before, after = one.stored.info, made.info
    return Rerun(
        run_id=task.run_id,
        folder=one.stored.folder.relative_to(root).as_posix(),
        likeness=compare(_tables(one.stored), _tables(made)),
        statuses=(before["status"], after["status"]),
        changes=changes(before["provenance"], after["provenance"]),
        unrecorded=unrecorded(before["provenance"], after["provenance"]),
        new_identity=None if before["identity"] == task.identity else task.identity,
        protocols=(before["provenance"].get("protocol"), PROTOCOL),
    )


def _tables(run: StoredRun) -> RunTables:
    return RunTables(run.steps, run.evaluations)
