"""A process that dies at any step, and a disk that is full at any write, lose nothing that is finished."""

import itertools
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from store_samples import (
    BELONGS_TO,
    RUN_ID,
    check_same_checkpoint,
    sample_checkpoint,
    sample_look,
    stored_loss,
    write_sample,
)

from clrbench.errors import ResultsError
from clrbench.store import ResultsFolder

KILLED = 9
STORE_CALLS = [(os, "fsync"), (Path, "open"), (Path, "mkdir"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")]
OPERATIONS = ("run", "file", "index", "checkpoint")


def _hold_lock(root: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with ResultsFolder(root).run_lock(RUN_ID):
        ready.set()
        signal.pause()


def test_a_dead_process_lets_go_of_its_lock_and_a_living_one_does_not(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold_lock, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(30)
    folder = ResultsFolder(tmp_path)
    assert folder.needs_cleanup(RUN_ID)
    with folder.run_lock(RUN_ID, give_up=lambda: True) as held:
        assert not held
    holder.kill()
    holder.join()
    with folder.run_lock(RUN_ID) as held:
        assert held
    assert not folder.needs_cleanup(RUN_ID)
    assert list((tmp_path / ".locks").iterdir()) == []


def operations(folder: ResultsFolder) -> dict[str, Callable[[], object]]:
    """Return every operation that writes, each over what lies there already."""
    return {
        "run": lambda: write_sample(folder, 2.0),
        "file": lambda: folder.write_bytes("metrics.csv", b"new"),
        "index": lambda: folder.record_looks(lambda _: (sample_look(0, 1), sample_look(0, 1, 2))),
        "checkpoint": lambda: folder.checkpoints(RUN_ID, BELONGS_TO).write(sample_checkpoint(7)),
    }


def prepare(folder: ResultsFolder) -> None:
    folder.create()
    write_sample(folder, 1.0)
    folder.write_bytes("metrics.csv", b"old")
    folder.record_looks(lambda _: (sample_look(0, 1),))
    for updates_done in (3, 5):
        folder.checkpoints(RUN_ID, BELONGS_TO).write(sample_checkpoint(updates_done))


def check_complete(folder: ResultsFolder, operation: str) -> None:
    """Everything is as it was before the operation, or as after it; and after it once more, nothing is left over."""
    with folder.run_lock(RUN_ID) as held:
        assert held
        assert folder.is_finished(RUN_ID)
    assert stored_loss(folder) in {1.0, 2.0}
    assert (folder.root / "metrics.csv").read_text() in {"old", "new"}
    assert folder.index().looks in ((sample_look(0, 1),), (sample_look(0, 1), sample_look(0, 1, 2)))
    found, _ = folder.checkpoints(RUN_ID, BELONGS_TO).read()
    assert found is not None
    check_same_checkpoint(found, sample_checkpoint(found.updates_done))
    operations(folder)[operation]()
    assert not [path for path in folder.root.rglob("*") if ".part" in path.name]
    if operation == "run":
        assert stored_loss(folder) == 2.0


def die_at(call: int) -> None:
    """Let this process end, as if killed, at the n-th call from now on that the store makes of the system."""
    made = itertools.count()

    def deadly(function: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if next(made) == call:
                os._exit(KILLED)
            return function(*arguments, **options)

        return wrapped

    for owner, name in STORE_CALLS:
        setattr(owner, name, deadly(getattr(owner, name)))


def count_deaths(root: Path, operation: str) -> int:
    """Let a process die at the first, the second, ... call of an operation, until one lives through it."""
    for call in range(200):
        folder = ResultsFolder(root / f"{operation}-{call}")
        prepare(folder)
        child = os.fork()
        if child == 0:
            die_at(call)
            operations(folder)[operation]()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        check_complete(folder, operation)
        if os.waitstatus_to_exitcode(status) != KILLED:
            return call
    raise AssertionError(f"{operation}: makes more than 200 calls")


def _count_all_deaths(root: Path, deaths: Any) -> None:
    deaths.put({operation: count_deaths(root, operation) for operation in OPERATIONS})


@pytest.fixture(scope="module")
def deaths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Return at how many calls of each operation a process died, and lost nothing."""
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=_count_all_deaths, args=(tmp_path_factory.mktemp("deaths"), queue))
    process.start()
    process.join()
    assert process.exitcode == 0
    found: dict[str, int] = queue.get()
    return found


@pytest.mark.acceptance
@pytest.mark.parametrize(("operation", "fewest"), [("run", 8), ("file", 4), ("index", 5), ("checkpoint", 8)])
def test_a_process_that_dies_at_any_step_of_a_write_loses_nothing(
    deaths: dict[str, int], operation: str, fewest: int
) -> None:
    assert deaths[operation] >= fewest


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_disk_that_is_full_at_any_write_is_an_error_and_loses_nothing(tmp_path: Path, operation: str) -> None:
    usual = os.fsync
    for failing in range(50):
        folder = ResultsFolder(tmp_path / str(failing))
        prepare(folder)
        flushes = itertools.count()

        def fsync(descriptor: int, flushes: Iterator[int] = flushes, failing: int = failing) -> None:
            if next(flushes) == failing:
                raise OSError(28, "No space left on device")
            usual(descriptor)

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(os, "fsync", fsync)
            try:
                operations(folder)[operation]()
            except ResultsError as err:
                message = str(err)
            else:
                break
        assert "cannot be read or written (No space left on device)" in message
        assert not [path for path in folder.root.rglob("*") if ".part" in path.name]
        check_complete(folder, operation)
    assert failing > 1


def test_a_disk_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError(30, "Read-only file system")

    folder = ResultsFolder(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ResultsError, match=r"cannot be read or written \(Read-only file system\); free space"):
        folder.settle_threads(1)
    with pytest.raises(ResultsError, match=r"cannot be read or written \(Read-only file system\)"):
        ResultsFolder(tmp_path / "new").create()
