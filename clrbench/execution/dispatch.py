"""Runs that other machines make, as the process sees it that asks for them: claimed, sent out, heard of, stored, sent again.

Only this process writes to the results folder, and it holds the lock of every run that is under way.
"""

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from clrbench.errors import BackendError, ClrbenchError
from clrbench.execution.executor import GRACE_SECONDS, POLL_SECONDS, Watch, say_waiting
from clrbench.execution.provenance import changes
from clrbench.execution.remote import News, Order, Reply
from clrbench.execution.task import Task, clear, is_stored, take_checkpoint_files_over, take_script_over
from clrbench.records import Provenance
from clrbench.store import ResultsFolder
from clrbench.store.scripts import MAX_KEPT_BYTES, holds_kept

MAX_RETRIES = 3
"""Times that a run is sent out anew after what made it was lost."""

MAX_AT_ONCE = 500
"""Runs that are sent out at a time; more would only wait there, and no other command could make them."""

MAX_WITHOUT_ROOM_SECONDS = 600.0
"""How long to wait for a machine that is large enough, which a cluster that grows may yet start."""

ROOM_SECONDS = 2.0
"""Time between two looks at whether there is one."""

H = TypeVar("H", bound=Hashable)


class Lost(Exception):  # noqa: N818
    """What made a run has gone, with all that it had not sent back: a process was killed, a machine died."""


class Machines(Protocol[H]):
    """Where runs are sent; H is what a run is known by there."""

    def send(self, order: Order, avoid: Sequence[str]) -> H:
        """Ask for a run, made on none of the machines to `avoid` if there is any other."""

    def finished(self, handles: Sequence[H], timeout_seconds: float) -> Sequence[H]:
        """Return those that have a reply, or are lost; wait for the first one until the time is over."""

    def reply(self, handle: H) -> Reply:
        """Return the reply of a run; raise Lost, or BackendError where it failed."""

    def news(self) -> Sequence[News]:
        """Return what was heard since this was last asked for."""

    def has_room(self, device: str) -> bool:
        """Return whether any machine is large enough for a run on a device, be it busy or not."""

    def wanted(self, device: str) -> str:
        """Return what a run on a device asks of a machine, in words."""

    def name_of(self, node: str) -> str:
        """Return what to call a machine."""

    def stop(self) -> None:
        """Tell all runs to stop at their next checkpoints."""

    def end(self, handles: Iterable[H]) -> None:
        """End runs at once."""


@dataclass
class _Run:
    """A run under way, its lock held.

    Attributes:
        lost_on: The machines that it was lost on.
        node: The machine that makes it, once it has been heard of.
    """

    task: Task
    claim: ExitStack
    attempt: int = 1
    updates_told: int = 0
    node: str | None = None
    lost_on: list[str] = field(default_factory=list)


@dataclass
class Dispatch(Generic[H]):
    """Makes runs on other machines, so many at a time at most.

    What the first run was made with is kept from one round to the next, to say where another machine differs.
    """

    machines: Machines[H]
    at_once: int
    watch: Watch
    waiting: deque[Task]
    made_with: list[tuple[str, Provenance]]
    wait_for_others: bool = False
    busy: list[Task] = field(default_factory=list)
    _under_way: dict[H, _Run] = field(default_factory=dict)
    _lost: dict[str, str] = field(default_factory=dict)
    _no_room_since: float | None = None
    _next_look: float = 0.0
    _next_claim: float = 0.0

    def make(self) -> None:
        """Make all runs, and leave those that other processes are making in `busy` unless they are to be waited for.

        Raises:
            BackendError: If a run fails; or, once all others are made, if one was lost too often.
        """
        while self.waiting or self._under_way:
            self._send_more()
            if self._under_way:
                done = self.machines.finished(list(self._under_way), POLL_SECONDS)
                self._hear()
                for handle in done:
                    self._land(handle)
                self._look_for_room()
        if self._lost:
            names = ", ".join(self._lost)
            raise BackendError(
                f"lost {MAX_RETRIES + 1} times each, and given up: {names}; the last time: "
                f"{list(self._lost.values())[-1]}; the rest are finished and kept; find out what kills workers (memory: fewer "
                "workers, or a larger machine), then run the same command again"
            )

    def stop(self, grace_seconds: float) -> None:
        """Have the runs under way stop at their next checkpoints, and end what does not come to one in time."""
        try:
            if self._under_way:
                self.machines.stop()
            deadline = time.monotonic() + grace_seconds
            while self._under_way and (left := deadline - time.monotonic()) > 0:
                done = self.machines.finished(list(self._under_way), min(POLL_SECONDS, left))
                with suppress(ClrbenchError):
                    self._hear()
                for handle in done:
                    with suppress(ClrbenchError):
                        self._land(handle, again=False)
        finally:
            self.machines.end(self._under_way)
            for run in self._under_way.values():
                run.claim.close()
            self._under_way.clear()

    def _send_more(self) -> None:
        """Claim and send out runs as long as more may be under way."""
        most = min(self.at_once, MAX_AT_ONCE)
        while self.waiting and len(self._under_way) < most and self._may_claim():
            task = self.waiting.popleft()
            run = self._claim(task)
            if run is not None:
                self._send(run)

    def _may_claim(self) -> bool:
        """Return whether to try the next lock: at once where no run is under way, as the lock itself is then waited for."""
        return not self._under_way or time.monotonic() >= self._next_claim

    def _claim(self, task: Task) -> _Run | None:
        """Return a run whose lock is held now; None where another process holds it, or the run is stored."""
        folder = ResultsFolder(task.root)
        with ExitStack() as claim:
            if not claim.enter_context(folder.run_lock(task.run_id, self._gives_up)):
                if self.wait_for_others:
                    self.waiting.append(task)
                    self._next_claim = time.monotonic() + ROOM_SECONDS
                else:
                    self.busy.append(task)
                return None
            if is_stored(task, folder):
                clear(task, folder)
                self.watch.finish(task.run_id)
                return None
            if task.run.train is not None:
                take_script_over(task, folder)
            else:
                take_checkpoint_files_over(task, folder)
            return _Run(task, claim.pop_all())

    def _gives_up(self) -> bool:
        """Return whether not to wait for another process's run: while runs of its own are under way, they must be heard of."""
        return not self.wait_for_others or bool(self._under_way)

    def _send(self, run: _Run) -> None:
        task = run.task
        try:
            handle = self.machines.send(Order(task, run.attempt, self._kept(task)), run.lost_on)
        except BaseException:
            run.claim.close()
            raise
        run.node = None
        self._under_way[handle] = run

    def _kept(self, task: Task) -> Mapping[str, bytes]:
        """Return the files that a run may continue from."""
        folder = ResultsFolder(task.root)
        if task.run.train is None:
            return folder.checkpoints(task.run_id, {}).contents()
        place = folder.script_folder(task.run_id)
        found = place.contents() if holds_kept(place.path) else {}
        if found is None:
            self.watch.warn(
                f"{place.path}: what the script has kept is more than {MAX_KEPT_BYTES / 1e6:g} MB, and is not sent to another "
                "machine; the run starts over"
            )
        return found or {}

    def _hear(self) -> None:
        """Take in what was heard of the runs under way."""
        current = {(run.task.run_id, run.attempt): run for run in self._under_way.values()}
        for news in self.machines.news():
            run = current.get((news.run_id, news.attempt))
            if run is None:
                continue
            run.node = news.node
            if news.warning is not None:
                self.watch.warn(news.warning)
            if news.checkpoint is not None:
                belongs_to, checkpoint = news.checkpoint
                ResultsFolder(run.task.root).checkpoints(news.run_id, belongs_to).write(checkpoint)
            if news.files is not None:
                ResultsFolder(run.task.root).script_folder(news.run_id).write(news.files)
            self._advance(run, news.updates_done)

    def _advance(self, run: _Run, updates_done: int) -> None:
        """Count the updates of a run; those that are made again after a loss count once."""
        if updates_done > run.updates_told:
            self.watch.advance(run.task.run_id, updates_done - run.updates_told)
            run.updates_told = updates_done

    def _land(self, handle: H, *, again: bool = True) -> None:
        """Store a run that was made, or send one that was lost out again."""
        run = self._under_way.pop(handle)
        try:
            reply = self.machines.reply(handle)
            if reply.files:
                ResultsFolder(run.task.root).script_folder(run.task.run_id).write(reply.files)
            if reply.error is not None:
                raise self._located(reply.error, run)
            if reply.made is not None:
                self._store(run, reply)
        except Lost as err:
            if again and self._is_tried_again(run, str(err)):
                self._send(run)
            else:
                run.claim.close()
        except BaseException:
            run.claim.close()
            raise
        else:
            run.claim.close()

    def _located(self, error: ClrbenchError, run: _Run) -> ClrbenchError:
        if run.node is not None:
            error.add_note(f"this came from {self.machines.name_of(run.node)}, which made {run.task.run_id}")
        return error

    def _store(self, run: _Run, reply: Reply) -> None:
        assert reply.made is not None
        record, log = reply.made
        folder = ResultsFolder(run.task.root)
        folder.write_run(record, log)
        clear(run.task, folder)
        self._advance(run, run.task.run.num_steps)
        self.watch.finish(record.run_id)
        self._say_differences(run, record.provenance)

    def _is_tried_again(self, run: _Run, reason: str) -> bool:
        """Return whether a run that was lost is sent out again, and say so; note it as given up where it is not."""
        where = "before it reported in" if run.node is None else f"on {self.machines.name_of(run.node)}"
        if run.attempt > MAX_RETRIES:
            self._lost[run.task.run_id] = f"{where} ({reason})"
            return False
        if run.node is not None and run.node not in run.lost_on:
            run.lost_on.append(run.node)
        self.watch.warn(
            f"{run.task.run_id} was lost {where} ({reason}); it is made again, from its last checkpoint if there is one "
            f"(retry {run.attempt} of {MAX_RETRIES})"
        )
        run.attempt += 1
        return True

    def _look_for_room(self) -> None:
        """Say that no machine is large enough for the runs, once; raise BackendError where none comes."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + ROOM_SECONDS
        unheard = [run for run in self._under_way.values() if run.node is None]
        device = unheard[0].task.circumstances.device if unheard else "cpu"
        if len(unheard) < len(self._under_way) or not unheard or self.machines.has_room(device):
            self._no_room_since = None
            return
        wanted = self.machines.wanted(device)
        if self._no_room_since is None:
            self._no_room_since = now
            self.watch.warn(
                f"no machine of the cluster has {wanted}, which each run needs; waiting for one to be started; threads says "
                "how many CPUs a run needs"
            )
        elif now - self._no_room_since > MAX_WITHOUT_ROOM_SECONDS:
            raise BackendError(
                f"no machine with {wanted}, which each run needs, came within {MAX_WITHOUT_ROOM_SECONDS:.0f} s; add one to "
                "the cluster, or ask for fewer threads, or for another device, in a results folder of its own (out)"
            )

    def _say_differences(self, run: _Run, provenance: Provenance) -> None:
        """Say, once a machine, that it has other versions or another processor than the first one that was heard of."""
        node = run.node or "?"
        if node in {known for known, _ in self.made_with}:
            return
        self.made_with.append((node, provenance))
        first, reference = self.made_with[0]
        both = changes(reference, provenance)
        if versions := [
            f"{key.partition('.')[2]} {now}, not {then}" for key, (then, now) in both.items() if "versions." in key
        ]:
            self.watch.warn(
                f"{self.machines.name_of(node)} has {', '.join(versions)} as {self.machines.name_of(first)} has; runs with "
                "different versions are not paired (mixed provenance), and are left out of the verdict; install the same on "
                "every machine"
            )
        if "processor" in both:
            then, now = both["processor"]
            self.watch.warn(
                f"{self.machines.name_of(node)} has another processor ({now}) than {self.machines.name_of(first)} ({then}), so "
                "the last digits of its runs may differ"
            )


def make_all(dispatch: Callable[[Sequence[Task], bool], Dispatch[H]], tasks: Sequence[Task], watch: Watch) -> None:
    """Make runs; those that other processes are making are waited for last.

    `dispatch` returns what makes them, and whether it is to wait for other processes.
    """
    for wait_for_others in (False, True):
        round_ = dispatch(tasks, wait_for_others)
        try:
            round_.make()
        except BaseException:
            round_.stop(GRACE_SECONDS)
            raise
        tasks = round_.busy
        if not tasks:
            return
        say_waiting(watch, len(tasks))
