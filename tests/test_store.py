"""A file that is there is whole."""

import itertools
import json
import multiprocessing
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clrbench.errors import ResultsError
from clrbench.planning.plan import PROTOCOL
from clrbench.records import Checkpoint, Evaluation, RunLog, Split, StepLog, Timing
from clrbench.store import ResultsFolder, files, to_csv


def make_log(loss: float) -> RunLog:
    values = np.full(3, loss, np.float32)
    timing = Timing(1.0, 0.0, 0.0, 0.0, num_images=3)
    return RunLog(StepLog(values, values, values), np.array([3], np.int32), {}, "finished", None, timing)


INFO = {"spec": {"arm": "a", "num_steps": 3, "evaluation_steps": [3]}}


def write(folder: ResultsFolder, loss: float = 1.0) -> None:
    folder.write_run("run", 3, make_log(loss), {**INFO, "loss": loss})


def test_a_run_is_finished_once_it_is_written(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert not folder.is_finished("run")
    write(folder)
    assert folder.is_finished("run")


def test_a_second_writing_takes_the_place_of_the_first(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder, 1.0)
    write(folder, 2.0)
    assert json.loads((tmp_path / "runs/run/run.json").read_text())["loss"] == 2.0
    assert os.listdir(tmp_path / "runs") == ["run"]  # noqa: PTH208


def test_floats_are_written_in_the_shortest_form_that_reads_back_the_same() -> None:
    table = pd.DataFrame({"lr": np.array([0.1, 1e-5, np.nan], np.float32), "p": [0.1, float("inf"), 1e-9]})
    assert to_csv(table).decode() == "lr,p\n0.1,0.1\n1e-05,inf\nnan,1e-09\n"


def test_index_keeps_the_entries_that_are_not_named(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.update_index({"threads": 1, "runs": {"torch": ["a"]}})
    folder.update_index({"runs": {"keras": ["b"]}})
    found = folder.index()
    assert {key: found[key] for key in ("threads", "runs")} == {"threads": 1, "runs": {"torch": ["a"], "keras": ["b"]}}


def test_only_indexed_and_finished_runs_are_listed(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    folder.update_index({"runs": {"torch": ["missing", "run"]}})
    assert [run.folder.name for run in folder.indexed_runs()] == ["run"]


@pytest.mark.parametrize("damage", ["step,lr\n1,2\n", "step,lr,train_loss,train_accuracy\n1,0.1,2.3,0.1\n", ""])
def test_a_table_of_an_earlier_version_bears_no_checksum_and_is_checked_for_its_shape(
    tmp_path: Path, damage: str
) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    spec = {**INFO["spec"], "backend": "torch", "seed": 0, "steps_per_epoch": 3}
    info = {"spec": spec, "status": "finished", "provenance": {}, "timing": {}}
    (tmp_path / "runs/run/run.json").write_text(json.dumps(info))
    (tmp_path / "runs/run/steps.csv").write_text(damage)
    (run,) = folder.indexed_runs()
    with pytest.raises(ResultsError, match=r"steps\.csv: (cannot be read|got 1 rows)"):
        _ = run.steps


def _edit(path: Path) -> None:
    path.write_text(path.read_text().replace("1.0", "1.5", 1))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("name", ["run.json", "steps.csv", "evaluations.csv"])
@pytest.mark.parametrize("damage", [_edit, _truncate, Path.unlink], ids=["edited", "truncated", "missing"])
def test_a_run_whose_files_are_not_what_was_written_is_no_result(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    folder.update_index({"runs": {"torch": ["run"]}})
    damage(tmp_path / "runs/run" / name)
    assert not folder.is_finished("run")
    with pytest.raises(ResultsError, match=rf"runs/run/{name}: .*makes this run anew"):
        folder.indexed_runs()
    write(folder)
    assert folder.is_finished("run")


def test_a_run_under_the_name_of_another_is_no_result(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.write_run("run", 3, make_log(1.0), {**INFO, "run_id": "run"})
    shutil.copytree(tmp_path / "runs/run", tmp_path / "runs/other")
    with pytest.raises(ResultsError, match=r"other/run\.json: is that of run run"):
        folder.find_run("other")


@pytest.mark.parametrize("link", ["runs", "runs/run", ".locks", ".checkpoints", "plots", "search", "range-test"])
def test_no_symbolic_link_is_followed_inside_a_results_folder(tmp_path: Path, link: str) -> None:
    folder, elsewhere = ResultsFolder(tmp_path / "results"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.create()
    (folder.root / link).parent.mkdir(exist_ok=True)
    (folder.root / link).symlink_to(elsewhere)
    with pytest.raises(ResultsError, match=f"{link}: is a symbolic link"):
        use_everything(folder)
    assert list(elsewhere.iterdir()) == []


def use_everything(folder: ResultsFolder) -> None:
    """Write to every place of a results folder."""
    with folder.run_lock("run"):
        checkpoints = folder.checkpoints("run", BELONGS_TO)
        checkpoints.write(make_checkpoint(1))
        write(folder)
        checkpoints.remove()
    with folder.tables_lock():
        folder.write_table("metrics.csv", pd.DataFrame({"a": [1]}))
        folder.write_bytes("plots/a.png", b"png")
    for inner in (folder.range_test(None), folder.search()):
        inner.create()
        write(inner)


def test_a_file_written_over_a_symbolic_link_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "metrics.csv").symlink_to(tmp_path / "victim")
    ResultsFolder(tmp_path).write_text("metrics.csv", "written")
    assert (tmp_path / "victim").read_text() == "kept"
    assert not (tmp_path / "metrics.csv").is_symlink()


def test_a_run_whose_json_is_damaged_is_to_be_made_again(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    (tmp_path / "runs/run/run.json").write_text("{")
    assert not folder.is_finished("run")


def test_a_run_serves_where_it_was_evaluated_at_more_points_than_asked_for(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    assert folder.is_finished("run", (3,))
    assert not folder.is_finished("run", (2, 3))


def test_a_damaged_index_is_named_and_costs_no_run(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    (tmp_path / "experiment.json").write_text("{")
    with pytest.raises(ResultsError, match=r"experiment\.json: cannot be read .* remove this file"):
        folder.indexed_runs()


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no folder runs/"):
        ResultsFolder(tmp_path).indexed_runs()


def test_an_index_that_was_edited_is_named(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.update_index({"threads": 1})
    path = tmp_path / "experiment.json"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(ResultsError, match=r"experiment\.json: is not what was written"):
        folder.index()


@pytest.mark.parametrize(
    "content",
    [
        {"runs": [1]},
        {"runs": None},
        {"runs": {"torch": None}},
        {"runs": {"torch": [1]}},
        {"runs": {"torch": ["../.."]}},
        {"runs": {"torch": [".locks"]}},
        {"protocol": "a"},
        {"threads": "two"},
        {"evaluation_steps": []},
        {"looks": 3},
    ],
    ids=str,
)
def test_an_index_of_another_shape_is_named(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=r"experiment\.json: is not what clrbench writes; remove this file"):
        ResultsFolder(tmp_path).index()


@pytest.mark.parametrize("content", [{}, {"spec": []}, {"spec": {}}, {"spec": {"arm": "a"}, "provenance": {}}], ids=str)
def test_a_run_file_of_another_shape_is_named(tmp_path: Path, content: dict[str, Any]) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    (tmp_path / "runs/run/run.json").write_text(json.dumps(content))
    with pytest.raises(ResultsError, match=r"run\.json: does not say what a run is"):
        folder.find_run("run")


@pytest.mark.parametrize("name", ["experiment.json", "runs/run/run.json", "runs/run/steps.csv"])
def test_a_pipe_in_a_results_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ResultsError, match=f"{name}: cannot be read .it is not a regular file"):
        folder.indexed_runs()


def test_results_of_a_newer_clrbench_are_refused(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.update_index({"protocol": PROTOCOL + 1})
    with pytest.raises(ResultsError, match="newer clrbench"):
        folder.index()


def test_without_an_index_two_runs_for_one_are_refused(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for run_id in ("torch-a-s0-11111111", "torch-a-s1-11111111"):
        folder.write_run(run_id, 3, make_log(1.0), INFO)
    assert len(folder.indexed_runs()) == 2
    folder.write_run("torch-a-s0-22222222", 3, make_log(1.0), INFO)
    with pytest.raises(ResultsError, match="which of several runs torch-a-s0 counts"):
        folder.indexed_runs()


def test_settings_hold_from_their_first_mention_on(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert folder.settle({"threads": 2, "devices": {"torch": "cpu"}}) == {"threads": 2, "devices": {"torch": "cpu"}}
    held = folder.settle({"threads": 1, "devices": {"torch": "cuda", "keras": "cpu"}})
    assert held == {"threads": 2, "devices": {"torch": "cpu", "keras": "cpu"}}
    assert folder.index()["devices"] == held["devices"]


def test_a_folder_that_has_gone_is_not_made_anew(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.create()
    with folder.run_lock("run"):
        shutil.rmtree(folder.root)
        with pytest.raises(ResultsError, match="was removed while it was in use"):
            folder.write_run("run", 3, make_log(1.0), INFO)
    for use in (folder.update_index, lambda _: folder.write_text("a", "b"), lambda _: folder.tables_lock().__enter__()):
        with pytest.raises(ResultsError, match="was removed while it was in use"):
            use({})
    assert not folder.root.exists()


BELONGS_TO = {"identity": "abc", "evaluation_steps": [2, 4], "versions": {"torch": "1"}}


def make_checkpoint(updates_done: int) -> Checkpoint:
    rng = np.random.default_rng(updates_done)
    values = rng.random((3, updates_done), np.float32)
    return Checkpoint(
        state={"dense_1.kernel": rng.normal(size=(3, 4)).astype(np.float32), "step": np.array(updates_done)},
        steps=StepLog(*values),
        evaluations={Split.TEST: (Evaluation(0.1 + 0.2, np.nan),), Split.VALIDATION: ()},
        timing=Timing(0.1, 0.2, 0.3, 0.4, num_images=7),
    )


def same_checkpoint(found: Checkpoint | None, expected: Checkpoint) -> None:
    assert found is not None
    assert found.state.keys() == expected.state.keys()
    for name, array in expected.state.items():
        np.testing.assert_array_equal(found.state[name], array, strict=True)
    for name in ("lr", "loss", "accuracy"):
        np.testing.assert_array_equal(getattr(found.steps, name), getattr(expected.steps, name), strict=True)
    assert repr(found.evaluations) == repr(expected.evaluations)
    assert found.timing == expected.timing


def test_a_checkpoint_reads_back_bit_for_bit_and_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = ResultsFolder(tmp_path).checkpoints("run", BELONGS_TO)
    assert checkpoints.read() == (None, [])
    for updates_done in (1, 5, 12):
        checkpoints.write(make_checkpoint(updates_done))
    found, problems = checkpoints.read()
    same_checkpoint(found, make_checkpoint(12))
    assert problems == []
    assert [path.name for path in checkpoints.paths()] == ["run.000000012.json", "run.000000005.json"]
    ResultsFolder(tmp_path).checkpoints("run-2", BELONGS_TO).write(make_checkpoint(3))
    checkpoints.remove()
    assert sorted(path.name for path in (tmp_path / ".checkpoints").iterdir()) == [
        "run-2.000000003.json",
        "run-2.000000003.npz",
    ]


@pytest.mark.parametrize("name", ["run.000000005.json", "run.000000005.npz"])
@pytest.mark.parametrize("damage", [_truncate, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_serves(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    checkpoints = ResultsFolder(tmp_path).checkpoints("run", BELONGS_TO)
    for updates_done in (1, 5):
        checkpoints.write(make_checkpoint(updates_done))
    damage(tmp_path / ".checkpoints" / name)
    found, problems = checkpoints.read()
    same_checkpoint(found, make_checkpoint(1))
    # Without its JSON file a checkpoint never was one.
    assert len(problems) == (0 if damage is Path.unlink and name.endswith("json") else 1)
    assert all(name in problem for problem in problems)


@pytest.mark.parametrize("change", [{"identity": "abd"}, {"versions": {"torch": "2"}}, {"evaluation_steps": [2]}])
def test_a_checkpoint_of_another_run_or_version_does_not_serve(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = ResultsFolder(tmp_path)
    folder.checkpoints("run", BELONGS_TO).write(make_checkpoint(5))
    found, problems = folder.checkpoints("run", {**BELONGS_TO, **change}).read()
    assert found is None
    assert len(problems) == 1


def test_a_checkpoint_with_pickled_objects_is_not_read(tmp_path: Path) -> None:
    checkpoints = ResultsFolder(tmp_path).checkpoints("run", BELONGS_TO)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        checkpoints.write(replace(make_checkpoint(5), state={"a": np.array([object()])}))


STORE_CALLS = [(os, "fsync"), (Path, "open"), (Path, "mkdir"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")]
KILLED = 9


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


def operations(folder: ResultsFolder) -> dict[str, Callable[[], None]]:
    """Return every operation that writes, each over what lies there already."""
    return {
        "run": lambda: write(folder, 2.0),
        "file": lambda: folder.write_text("metrics.csv", "new"),
        "index": lambda: folder.update_index({"threads": 2}),
        "checkpoint": lambda: folder.checkpoints("run", BELONGS_TO).write(make_checkpoint(7)),
    }


def prepare(folder: ResultsFolder) -> None:
    folder.create()
    write(folder, 1.0)
    folder.write_text("metrics.csv", "old")
    folder.update_index({"threads": 1})
    for updates_done in (3, 5):
        folder.checkpoints("run", BELONGS_TO).write(make_checkpoint(updates_done))


def check_whole(folder: ResultsFolder, operation: str) -> None:
    """Everything is as it was before the operation, or as after it; and after it once more, nothing is left over."""
    with folder.run_lock("run") as held:
        assert held
        assert folder.is_finished("run")
    assert (folder.root / "metrics.csv").read_text() in {"old", "new"}
    assert folder.index()["threads"] in {1, 2}
    found, _ = folder.checkpoints("run", BELONGS_TO).read()
    assert found is not None
    same_checkpoint(found, make_checkpoint(found.updates_done))
    operations(folder)[operation]()
    assert not [path for path in folder.root.rglob("*") if ".part" in path.name]
    if operation == "run":
        assert json.loads((folder.root / "runs/run/run.json").read_text())["loss"] == 2.0


def _die_everywhere(root: Path, operation: str, deaths: Any) -> None:
    """Let a process die at the first, the second, ... call of an operation, until one lives through it."""
    files.NAMELESS_SECONDS = 0.05
    for call in range(200):
        folder = ResultsFolder(root / str(call))
        prepare(folder)
        child = os.fork()
        if child == 0:
            die_at(call)
            operations(folder)[operation]()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        check_whole(folder, operation)
        if os.waitstatus_to_exitcode(status) != KILLED:
            deaths.put(call)
            return


@pytest.mark.parametrize(("operation", "fewest"), [("run", 8), ("file", 4), ("index", 5), ("checkpoint", 8)])
def test_a_process_that_dies_at_any_step_of_a_write_loses_nothing(tmp_path: Path, operation: str, fewest: int) -> None:
    context = multiprocessing.get_context("spawn")
    deaths = context.SimpleQueue()
    process = context.Process(target=_die_everywhere, args=(tmp_path, operation, deaths))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert deaths.get() >= fewest


@pytest.mark.parametrize("operation", ["run", "file", "index", "checkpoint"])
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
        check_whole(folder, operation)
    assert failing > 1


def test_a_disk_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise OSError(30, "Read-only file system")

    folder = ResultsFolder(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ResultsError, match=r"cannot be read or written \(Read-only file system\); free or unlock"):
        folder.update_index({})
    with pytest.raises(ResultsError, match=r"cannot be read or written \(Read-only file system\)"):
        ResultsFolder(tmp_path / "new").create()


def _hold_lock(root: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with ResultsFolder(root).run_lock("run"):
        ready.set()
        signal.pause()


def test_a_dead_process_lets_go_of_its_lock_and_a_living_one_does_not(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold_lock, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(30)
    folder = ResultsFolder(tmp_path)
    with folder.run_lock("run", give_up=lambda: True) as held:
        assert not held
    holder.kill()
    holder.join()
    with folder.run_lock("run") as held:
        assert held
    assert list((tmp_path / ".locks").iterdir()) == []


@pytest.mark.parametrize("names_can_be_exchanged", [True, False])
def test_a_lock_of_another_machine_is_taken_over_once_it_is_no_longer_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names_can_be_exchanged: bool
) -> None:
    monkeypatch.setattr(files, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(files, "ABANDONED_SECONDS", 0.9)
    if not names_can_be_exchanged:
        # As on NFS, where the system refuses it.
        monkeypatch.setattr("filelock._soft.exchange_names", lambda *_: False)
    lock = tmp_path / ".locks/run.lease"
    folder = ResultsFolder(tmp_path)
    with folder.run_lock("run"):
        marker = lock.read_text()
    assert socket.gethostname() in marker
    lock.write_text(marker.replace(socket.gethostname(), "another-machine"))
    with folder.run_lock("run", give_up=lambda: True) as held:
        assert not held
    stop = threading.Event()
    owner = threading.Thread(target=_renew, args=(lock, stop))
    owner.start()
    asked = []

    def give_up() -> bool:
        asked.append(time.monotonic())
        return asked[-1] - asked[0] > 1.5

    with folder.run_lock("run", give_up) as held:
        assert not held
    stop.set()
    owner.join()
    with folder.run_lock("run") as held:
        assert held


def test_a_shorter_list_of_runs_of_the_same_spec_takes_the_place_of_no_longer_one(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.remember("spec", {"torch": ["a", "b"]}, {"x": (1,)})
    folder.remember("spec", {"torch": ["a"]}, {"x": (1,)})
    folder.remember("spec", {"keras": ["c"]}, {"y": (2,)})
    assert folder.index()["runs"] == {"torch": ["a", "b"], "keras": ["c"]}
    folder.remember("spec", {"torch": ["a", "b", "d"]}, {"x": (1,)})
    assert folder.index()["runs"]["torch"] == ["a", "b", "d"]
    folder.remember("another", {"torch": ["a"]}, {"x": (1,)})
    assert folder.index()["runs"]["torch"] == ["a"]
    assert folder.index()["evaluation_steps"] == {"x": [1], "y": [2]}


def test_a_run_is_found_while_a_new_one_is_put_in_its_place(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    folder.update_index({"runs": {"torch": ["run"]}})
    # So it lies between the two renames.
    (tmp_path / "runs/run").rename(tmp_path / "runs/.run.0123.part-replaced")
    assert [run.folder.name for run in folder.indexed_runs()] == ["run"]


def test_a_finished_run_is_kept_where_a_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, usual = ResultsFolder(tmp_path), Path.replace
    write(folder, 1.0)

    def replace_all_but_a_new_run(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            raise OSError(5, "Input/output error")
        return usual(path, target)

    monkeypatch.setattr(Path, "replace", replace_all_but_a_new_run)
    with pytest.raises(ResultsError, match="Input/output error"):
        write(folder, 2.0)
    assert json.loads((tmp_path / "runs/run/run.json").read_text())["loss"] == 1.0
    assert len(list((tmp_path / "runs").iterdir())) == 1


def _renew(lock: Path, stop: threading.Event) -> None:
    while not stop.wait(0.1):
        os.utime(lock)
