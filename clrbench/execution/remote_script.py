"""A run of a script that another machine makes: its folder is made there, and what the script keeps in it comes back."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from clrbench.errors import BackendError, ClrbenchError
from clrbench.execution import scratch
from clrbench.execution.session import Pace, Watcher
from clrbench.execution.task import Task, script_record, script_run
from clrbench.files import disk_errors, write_tree
from clrbench.records import RunLog
from clrbench.spec.train import Train
from clrbench.store import ResultsFolder, RunRecord
from clrbench.store.scripts import MAX_KEPT_BYTES, OURS, ScriptFolder, holds_kept

ASK_SECONDS = 0.5
"""Time between two questions whether to stop; each crosses the network."""

QUIET_SECONDS = 0.1
"""Age of the newest file that a script keeps, before what it keeps is taken for written."""

_ADVICE = "it is where the script works; free up space"


class Link(Watcher, Protocol):
    """Passes on what becomes of a run."""

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Pass on the files of a run folder, for an attempt that may follow."""


@dataclass(frozen=True)
class Attempt:
    """What an attempt at a run of a script came to.

    Attributes:
        made: What is to be stored of it; None where it failed, or was told to stop.
        error: Why it failed.
        files: Those of its run folder where it was not made; None where they are too large to be sent.
    """

    made: tuple[RunRecord, RunLog] | None = None
    error: ClrbenchError | None = None
    files: Mapping[str, bytes] | None = None


def attempt(task: Task, train: Train, kept: Mapping[str, bytes], link: Link) -> Attempt:
    """Make a run of a script in this process, in a folder of its own that goes with it.

    Args:
        task: The run, with the folder of its spec as it lies here.
        train: Its script.
        kept: The files of its run folder that an attempt before this one has left.
        link: Is told how it goes.
    """
    with scratch.folder(task.run_id) as place:
        with disk_errors(place, BackendError, _ADVICE):
            write_tree(place, kept)
        folder = ScriptFolder(place)
        watcher = _Watcher(folder, link, task.pace, task.run_id)
        try:
            run = script_run(task, train, place, ResultsFolder(task.root).script_folder(task.run_id).path)
            log = run.make(watcher)
        except ClrbenchError as err:
            return Attempt(error=err, files=folder.contents())
        if log is None:
            return Attempt(files=folder.contents())
        return Attempt(made=(script_record(task), log))


@dataclass
class _Watcher:
    """Follows a script, and sends back what it keeps for itself, once that has not changed for a moment."""

    folder: ScriptFolder
    link: Link
    pace: Pace
    run_id: str
    _answer: bool = False
    _asked_at: float = 0.0
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    _sent_at: float = 0.0
    _sending_seconds: float = 0.0
    _is_too_large: bool = False

    def advance(self, steps: int) -> None:
        self.link.advance(steps)

    def warn(self, text: str) -> None:
        self.link.warn(text)

    def stopping(self) -> bool:
        now = time.monotonic()
        if not self._answer and now - self._asked_at >= ASK_SECONDS:
            self._asked_at = now
            self._send_kept()
            self._answer = self.link.stopping()
        return self._answer

    def _send_kept(self) -> None:
        """Send the files of the run folder where the script's own ones are new, and it is not just writing them."""
        kept = _stamps(self.folder.path)
        if self._is_too_large or not kept or kept == self._sent or _is_being_written(kept):
            return
        started = time.monotonic()
        if started - self._sent_at < self.pace.pause_seconds(self._sending_seconds):
            return
        contents = self.folder.contents()
        if contents is None:
            self._is_too_large = True
            self.link.warn(
                f"{self.run_id}: what its script keeps in its run folder is more than {MAX_KEPT_BYTES / 1e6:g} MB, and stays on "
                "the machine that makes it; if that is lost, the run starts over"
            )
        elif _stamps(self.folder.path) == kept:
            self.link.keep(contents)
            self._sent, self._sent_at = kept, time.monotonic()
            self._sending_seconds = self._sent_at - started


def _is_being_written(kept: Mapping[str, tuple[int, int]]) -> bool:
    newest = max(modified for modified, _ in kept.values())
    return abs(time.time_ns() - newest) < QUIET_SECONDS * 1e9


def _stamps(place: Path) -> dict[str, tuple[int, int]]:
    """Return time and size of every file that is the script's own; nothing where it keeps none."""
    if not holds_kept(place):
        return {}
    found = {}
    for path in place.rglob("*"):
        name = path.relative_to(place).as_posix()
        try:
            status = path.stat()
        except OSError:  # it is just being replaced
            continue
        if path.is_file() and name not in OURS:
            found[name] = status.st_mtime_ns, status.st_size
    return found
