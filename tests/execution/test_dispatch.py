"""Runs that other machines make: stored by this process alone, sent again where they are lost, and at last reported."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import NO_TIME, FakeWatch, made_run, write_run
from tiny_runs import DATASET, HOW, NUM_STEPS, RUN, TinyLibrary

from clrbench.errors import BackendError, ClrbenchError, DataError, ResultsError
from clrbench.execution import dispatch as room
from clrbench.execution.dispatch import MAX_RETRIES, Dispatch, Lost, make_all
from clrbench.execution.remote import News, Order, Reply
from clrbench.execution.session import Pace
from clrbench.execution.task import Task, make_task
from clrbench.records import Checkpoint, StepLog
from clrbench.spec.train import Train
from clrbench.store import ResultsFolder


def tasks(root: Path, number: int) -> list[Task]:
    """Return the tasks of runs with different seeds, of an experiment that has begun."""
    root.mkdir(exist_ok=True)
    specs = [RUN.model_copy(update={"seed": seed}) for seed in range(number)]
    return [make_task(spec, DATASET, HOW, TinyLibrary(), root, Pace()) for spec in specs]


def checkpoint(updates_done: int) -> Checkpoint:
    """Return a checkpoint after so many updates."""
    values = np.zeros(updates_done, np.float32)
    return Checkpoint({"a": np.arange(3)}, StepLog(values, values, values), {}, NO_TIME)


@dataclass
class FakeMachines:
    """Makes runs at once, but for those whose fate is written down: what becomes of each attempt, by seed."""

    fates: dict[int, list[Any]] = field(default_factory=dict)
    checkpoints: dict[int, int] = field(default_factory=dict)
    room: bool = True
    versions: dict[str, str] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    avoided: list[tuple[str, ...]] = field(default_factory=list)
    most_at_once: int = 0
    ended: list[int] = field(default_factory=list)
    told_to_stop: bool = False
    files: list[dict[str, bytes]] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)

    def send(self, order: Order, avoid: Sequence[str]) -> int:
        self.orders.append(order)
        self.avoided.append(tuple(avoid))
        self._open.add(len(self.orders) - 1)
        self.most_at_once = max(self.most_at_once, len(self._open))
        return len(self.orders) - 1

    def _fate(self, handle: int) -> Any:
        order = self.orders[handle]
        fates = self.fates.get(order.task.run.seed, [])
        return fates[order.attempt - 1] if order.attempt <= len(fates) else "made"

    def finished(self, handles: Sequence[int], timeout_seconds: float) -> Sequence[int]:
        done = [handle for handle in handles if self._fate(handle) != "never" and self.room]
        return done if self.told_to_stop else done[:1]

    def reply(self, handle: int) -> Reply:
        self._open.discard(handle)
        fate = self._fate(handle)
        if fate == "lost":
            raise Lost("NodeDiedError")
        if isinstance(fate, ClrbenchError):
            return Reply(error=fate, files=self.files.pop() if self.files else None)
        if fate == "stopped":
            return Reply()
        record, log = made_run(self.orders[handle].task, 0.5)
        versions = self.versions.get(self._node(handle), "1")
        provenance = replace(record.provenance, versions={"torch": versions}, processor=f"p{versions}")
        return Reply(made=(replace(record, provenance=provenance), log))

    def _node(self, handle: int) -> str:
        return "ab"[handle % 2]

    def news(self) -> Sequence[News]:
        found = []
        for handle in sorted(self._open) if self.room else ():
            order = self.orders[handle]
            task, done = order.task, self.checkpoints.get(order.task.run.seed)
            kept = None if done is None else ({"versions": "1"}, checkpoint(done))
            files = self.files.pop(0) if len(self.files) > 1 else None
            found.append(News(task.run_id, order.attempt, self._node(handle), done or 5, None, kept, files))
            # Of an attempt that was given up, which no longer counts.
            found.append(News(task.run_id, order.attempt - 1, "z", NUM_STEPS, "late", kept))
        return found

    def has_room(self, device: str) -> bool:
        return self.room

    def wanted(self, device: str) -> str:
        return "64 CPUs"

    def name_of(self, node: str) -> str:
        return f"node {node}"

    def stop(self) -> None:
        self.told_to_stop = True

    def end(self, handles: Iterable[int]) -> None:
        self.ended = list(handles)


def dispatch(machines: FakeMachines, wanted: Sequence[Task], watch: FakeWatch, **options: Any) -> Dispatch[int]:
    return Dispatch(machines, options.pop("at_once", 2), watch, deque(wanted), [], **options)


@pytest.fixture
def watch() -> FakeWatch:
    return FakeWatch()


def stored(root: Path) -> set[str]:
    return {path.name for path in (root / "runs").glob("[!.]*")}


def leftovers(root: Path) -> list[str]:
    return [path.name for folder in (".locks", ".checkpoints") for path in (root / folder).glob("*")]


def test_runs_are_stored_here_as_they_come_back_so_many_at_a_time(tmp_path: Path, watch: FakeWatch) -> None:
    wanted, machines = tasks(tmp_path, 5), FakeMachines()
    dispatch(machines, wanted, watch).make()
    assert stored(tmp_path) == {task.run_id for task in wanted}
    assert watch.finished == [task.run_id for task in wanted]
    assert machines.most_at_once == 2
    assert watch.steps == {task.run_id: NUM_STEPS for task in wanted}
    assert watch.warnings == []
    assert leftovers(tmp_path) == []


def test_what_is_stored_is_not_sent(tmp_path: Path, watch: FakeWatch) -> None:
    wanted, machines = tasks(tmp_path, 3), FakeMachines()
    write_run(wanted[1], 0.5)
    dispatch(machines, wanted, watch).make()
    assert [order.task.run.seed for order in machines.orders] == [0, 2]
    assert sorted(watch.finished) == sorted(task.run_id for task in wanted)
    again = FakeMachines()
    dispatch(again, [replace(task, redo=True) for task in wanted], watch).make()
    assert len(again.orders) == 3


def test_a_lost_run_is_sent_again_elsewhere_from_its_checkpoint_and_counts_its_updates_once(
    tmp_path: Path, watch: FakeWatch
) -> None:
    wanted = tasks(tmp_path, 1)
    machines = FakeMachines(fates={0: ["lost", "lost"]}, checkpoints={0: 7})
    dispatch(machines, wanted, watch).make()
    assert [order.attempt for order in machines.orders] == [1, 2, 3]
    assert machines.avoided == [(), ("a",), ("a", "b")]
    names = [sorted(order.checkpoints) for order in machines.orders]
    pair = [f"{wanted[0].run_id}.000000007.{kind}" for kind in ("json", "npz")]
    assert names == [[], pair, pair]
    assert watch.steps == {wanted[0].run_id: NUM_STEPS}
    said = [warning for warning in watch.warnings if "was lost" in warning]
    assert len(said) == len(watch.warnings) == 2
    assert "was lost on node a (NodeDiedError)" in said[0]
    assert said[1].endswith("(retry 2 of 3)")
    assert leftovers(tmp_path) == []


def test_a_run_goes_on_from_its_checkpoint_under_another_name(tmp_path: Path, watch: FakeWatch) -> None:
    (task,) = tasks(tmp_path, 1)
    old = make_task(task.run.model_copy(update={"arm": "old"}), DATASET, HOW, TinyLibrary(), tmp_path, Pace())
    folder = ResultsFolder(tmp_path)
    belongs = {"identity": old.identity, "evaluation_steps": list(old.run.evaluation_steps), "versions": {}}
    assert old.identity == task.identity
    folder.checkpoints(old.run_id, belongs).write(checkpoint(7))
    others = ({**belongs, "identity": "0"}, {**belongs, "evaluation_steps": [1]})
    for place, other in zip(("search", "range-test"), others, strict=True):
        (tmp_path / place).mkdir()
        ResultsFolder(tmp_path / place).checkpoints(old.run_id, other).write(checkpoint(9))
    machines = FakeMachines()
    dispatch(machines, [replace(task, experiment=tmp_path)], watch).make()
    (order,) = machines.orders
    assert sorted(order.checkpoints) == [f"{task.run_id}.000000007.{kind}" for kind in ("json", "npz")]
    assert leftovers(tmp_path) == []
    assert len(list((tmp_path / "search/.checkpoints").iterdir())) == 2


def test_what_a_script_keeps_is_kept_here_sent_again_and_cleared_at_the_end(tmp_path: Path, watch: FakeWatch) -> None:
    (task,) = tasks(tmp_path, 1)
    train = Train.model_validate({"command": "sh train.sh", "steps_per_epoch": 2})
    run = task.run.model_copy(update={"train": train})
    task = replace(task, run=run)
    old = replace(task, run=run.model_copy(update={"arm": "old"}))
    place = ResultsFolder(tmp_path).script_folder(old.run_id)
    place.write({"kept": b"1"})
    machines = FakeMachines(fates={3: ["lost", BackendError("exit code 3")], 0: ["lost", BackendError("exit code 3")]})
    machines.files = [{"kept": b"2"}, {"kept": b"3", "train.log": b"no memory"}]
    with pytest.raises(BackendError, match="exit code 3"):
        dispatch(machines, [replace(task, experiment=tmp_path)], watch).make()
    assert [order.checkpoints for order in machines.orders] == [{"kept": b"1"}, {"kept": b"2"}]
    assert place.contents() == {}
    mine = ResultsFolder(tmp_path).script_folder(task.run_id)
    assert mine.contents() == {"kept": b"3", "train.log": b"no memory"}
    dispatch(FakeMachines(), [replace(task, experiment=tmp_path)], watch).make()
    assert stored(tmp_path) == {task.run_id}
    assert list((tmp_path / ".scripts").iterdir()) == []


def test_a_run_that_is_lost_too_often_is_reported_and_the_others_finish(tmp_path: Path, watch: FakeWatch) -> None:
    wanted = tasks(tmp_path, 4)
    machines = FakeMachines(fates={1: ["lost"] * 9})
    with pytest.raises(
        BackendError, match=r"lost 4 times each, and given up: \S+-s1-\w+; the last time: on node"
    ) as caught:
        dispatch(machines, wanted, watch).make()
    assert wanted[1].run_id in str(caught.value)
    assert stored(tmp_path) == {task.run_id for task in wanted} - {wanted[1].run_id}
    assert [order.attempt for order in machines.orders if order.task.run.seed == 1] == [1, 2, 3, MAX_RETRIES + 1]
    assert leftovers(tmp_path) == []


def test_an_error_of_a_run_is_raised_says_where_it_was_and_frees_all_locks(tmp_path: Path, watch: FakeWatch) -> None:
    wanted = tasks(tmp_path, 3)
    machines = FakeMachines(fates={0: [DataError("got another checksum")], 1: ["never"]})
    round_ = dispatch(machines, wanted, watch)
    with pytest.raises(DataError, match="another checksum") as caught:
        round_.make()
    assert caught.value.__notes__ == [f"this came from node a, which made {wanted[0].run_id}"]
    round_.stop(0.0)
    assert machines.ended == [1]
    assert leftovers(tmp_path) == []


def test_stopping_keeps_what_comes_in_time_and_ends_the_rest(tmp_path: Path, watch: FakeWatch) -> None:
    wanted = tasks(tmp_path, 3)
    machines = FakeMachines(fates={0: ["stopped"], 2: ["never"]}, checkpoints={0: 9})
    round_ = dispatch(machines, wanted, watch, at_once=3)
    round_._send_more()
    round_.stop(0.5)
    assert machines.told_to_stop
    assert stored(tmp_path) == {wanted[1].run_id}
    assert watch.finished == [wanted[1].run_id]
    assert ResultsFolder(tmp_path).has_checkpoint(wanted[0].run_id)
    assert machines.ended == [2]
    assert not list((tmp_path / ".locks").glob("*"))


def test_a_run_lost_while_stopping_is_not_sent_again(tmp_path: Path, watch: FakeWatch) -> None:
    machines = FakeMachines(fates={0: ["lost"]})
    round_ = dispatch(machines, tasks(tmp_path, 1), watch)
    round_._send_more()
    round_.stop(0.5)
    assert len(machines.orders) == 1
    assert leftovers(tmp_path) == []


def test_a_disk_that_is_full_ends_it_and_keeps_what_was_stored(
    tmp_path: Path, watch: FakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = ResultsFolder.write_run, []

    def fill(folder: ResultsFolder, *made: Any) -> None:
        if len(written) == 2:
            raise ResultsError("No space left on device")
        write(folder, *made)
        written.append(made)

    monkeypatch.setattr(ResultsFolder, "write_run", fill)
    wanted, machines = tasks(tmp_path, 4), FakeMachines()
    with pytest.raises(ResultsError, match="No space left"):
        make_all(lambda left, wait: dispatch(machines, left, watch, wait_for_others=wait), wanted, watch)
    assert stored(tmp_path) == {wanted[0].run_id, wanted[1].run_id}
    assert leftovers(tmp_path) == []


def test_runs_of_other_processes_are_waited_for_last(tmp_path: Path, watch: FakeWatch) -> None:
    wanted, machines = tasks(tmp_path, 3), FakeMachines()
    rounds: list[Dispatch[int]] = []

    def begin(left: Sequence[Task], wait: bool) -> Dispatch[int]:
        if wait:
            assert [task.run_id for task in left] == [wanted[0].run_id]
            write_run(wanted[0], 0.25)
            other.submit(lock.__exit__, None, None, None).result()
        rounds.append(dispatch(machines, left, watch, wait_for_others=wait))
        return rounds[-1]

    lock = ResultsFolder(tmp_path).run_lock(wanted[0].run_id)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lock.__enter__).result()
        make_all(begin, wanted, watch)
    assert len(rounds) == 2
    assert [order.task.run.seed for order in machines.orders] == [1, 2]
    assert watch.warnings == ["waiting for 1 run that another process is making"]
    assert watch.finished[-1] == wanted[0].run_id


def test_the_last_run_of_another_process_is_waited_for_at_its_lock(
    tmp_path: Path, watch: FakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "ROOM_SECONDS", 30.0)
    mine, theirs = tasks(tmp_path, 2)
    turns: list[int] = []
    lock = ResultsFolder(tmp_path).run_lock(theirs.run_id)

    class Counted(Dispatch[int]):
        def _send_more(self) -> None:
            turns.append(len(self.waiting))
            assert len(turns) < 20, "it goes round and round instead of waiting"
            super()._send_more()

    class Ending(FakeMachines):
        def reply(self, handle: int) -> Reply:
            write_run(theirs, 0.25)
            other.submit(lock.__exit__, None, None, None)
            return super().reply(handle)

    with ThreadPoolExecutor(1) as other:
        assert other.submit(lock.__enter__).result()
        Counted(Ending(), 2, watch, deque([mine, theirs]), [], wait_for_others=True).make()
    assert turns[:2] == [2, 1]
    assert watch.finished == [mine.run_id, theirs.run_id]


def test_no_room_is_said_and_given_up_at_last(
    tmp_path: Path, watch: FakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "ROOM_SECONDS", 0.0)
    monkeypatch.setattr(room, "MAX_WITHOUT_ROOM_SECONDS", 0.05)
    machines = FakeMachines(room=False)
    with pytest.raises(BackendError, match="no machine with 64 CPUs, which each run needs, came within"):
        make_all(lambda left, _: dispatch(machines, left, watch), tasks(tmp_path, 2), watch)
    (said,) = watch.warnings
    assert said.startswith("no machine of the cluster has 64 CPUs, which each run needs; waiting")
    assert leftovers(tmp_path) == []


def test_machines_that_differ_are_said_once(tmp_path: Path, watch: FakeWatch) -> None:
    machines = FakeMachines(versions={"b": "2"})
    dispatch(machines, tasks(tmp_path, 6), watch).make()
    versions, processor = watch.warnings
    assert versions.startswith("node b has torch 2, not 1 as node a has; ")
    assert "runs with different versions are not paired (mixed provenance)" in versions
    assert processor.startswith("node b has another processor (p2) than node a (p1)")


def test_news_of_an_attempt_that_was_given_up_count_for_nothing(tmp_path: Path, watch: FakeWatch) -> None:
    machines = FakeMachines(checkpoints={0: 3})
    dispatch(machines, tasks(tmp_path, 1), watch).make()
    assert "late" not in watch.warnings
    assert math.isclose(sum(watch.steps.values()), NUM_STEPS)
