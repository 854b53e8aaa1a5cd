"""A run that another machine makes: what goes there, what comes back, and what is done there.

Nothing is written there: checkpoints and the finished run come back to the process that asked for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from clrbench import __version__
from clrbench.errors import BackendError, ClrbenchError
from clrbench.execution.executor import load_backend
from clrbench.execution.remote_script import Attempt, attempt
from clrbench.execution.sent_code import SentCode, settled, told_of
from clrbench.execution.task import Task, belongs_to, load_dataset, make
from clrbench.own_code.parcel import Parcel
from clrbench.planning.plan import PROTOCOL
from clrbench.records import Checkpoint, Dataset, Json, RunLog
from clrbench.silence import silence_libraries
from clrbench.store import Checkpoints, RunRecord


@dataclass(frozen=True)
class Order:
    """A run to be made elsewhere.

    Attributes:
        attempt: From 1 on; what is heard of an earlier one, which was given up, no longer counts.
        checkpoints: The files of its checkpoints by name, as `Checkpoints.contents` returns them; of a script, those of its
            run folder.
        code: What is told of code of the user's own; None where the run has none.
        protocol: That of the process that asks for it.
        version: Of clrbench there.
    """

    task: Task
    attempt: int
    checkpoints: Mapping[str, bytes]
    code: SentCode | None = None
    protocol: int = PROTOCOL
    version: str = __version__


@dataclass(frozen=True)
class News:
    """What is heard of a run while it is made.

    Attributes:
        node: The machine, by an identifier of the executor's.
        updates_done: In all, those that a checkpoint saved included.
        checkpoint: One to be kept, with what it belongs to; see `Checkpoints`.
        files: Those of the run folder of a script, to be kept.
    """

    run_id: str
    attempt: int
    node: str
    updates_done: int
    warning: str | None = None
    checkpoint: tuple[Mapping[str, Json], Checkpoint] | None = None
    files: Mapping[str, bytes] | None = None

    @property
    def is_kept(self) -> bool:
        """Whether there is something to be kept, which what is kept later takes the place of."""
        return self.checkpoint is not None or self.files is not None


@dataclass(frozen=True)
class Reply:
    """What became of a run: what is to be stored of it, or an error, or neither where it was told to stop.

    Attributes:
        files: Those of the run folder of a script that was not finished; None where there are none to be kept.
    """

    made: tuple[RunRecord, RunLog] | None = None
    error: ClrbenchError | None = None
    files: Mapping[str, bytes] | None = None


Tell: TypeAlias = Callable[[News], bool]
"""Passes news on, and returns whether the run is to stop at its next checkpoint."""


def fulfil(
    order: Order,
    node: str,
    tell: Tell,
    fetch: Callable[[], Dataset] | None,
    fetch_code: Callable[[], Parcel] | None = None,
) -> Reply:
    """Make a run in this process.

    Args:
        order: The run.
        node: This machine, as in `News`.
        tell: Is told how it goes.
        fetch: Returns the data set as the process has it that asks for the run, for where it is not at hand here; None
            where both are on one machine.
        fetch_code: Returns code of the user's own likewise.
    """
    silence_libraries()
    # What the library found out on the other machine holds for that one.
    task = replace(order.task, library=replace(order.task.library))
    here = task
    try:
        _check_protocol(order)
        load_backend(task.run.backend, task.circumstances.threads)
        link = _Link(order, node, tell, belongs_to(task))
        if link.stopping():
            return Reply()
        here = settled(task, order.code, fetch_code, link.warn)
        if here.run.train is not None:
            return _by_script(attempt(here, here.run.train, order.checkpoints, link))
        made = make(here, link, link, lambda _: _dataset(task, fetch))
    except ClrbenchError as err:
        return Reply(error=told_of(err, here, task))
    # Its code may lie elsewhere here, which is no part of it.
    return Reply(None if made is None else (replace(made[0], spec=task.run), made[1]))


class Desk:
    """Holds what is heard of runs until the process takes it that asked for them."""

    def __init__(self) -> None:
        self._news: list[News] = []
        self._is_stopping = False

    def begin(self) -> None:
        """Let runs go on, after others were told to stop."""
        self._is_stopping = False

    def tell(self, news: News) -> bool:
        """Take news, and return whether the run is to stop; of what is to be kept only the last is held."""
        if news.is_kept:
            before = (old for old in self._news if not old.is_kept or old.run_id != news.run_id)
            self._news = list(before)
        self._news.append(news)
        return self._is_stopping

    def take(self) -> list[News]:
        """Return all news since this was last called."""
        news, self._news = self._news, []
        return news

    def stop(self) -> None:
        """Have every run that is heard of stop."""
        self._is_stopping = True


def in_memory(dataset: Dataset) -> Dataset:
    """Return a data set whose arrays are plain ones, which processes of a machine can share."""
    arrays: dict[str, Any] = {
        name: np.asarray(value) for name, value in vars(dataset).items() if isinstance(value, np.ndarray)
    }
    return replace(dataset, **arrays)


def _check_protocol(order: Order) -> None:
    if order.protocol != PROTOCOL:
        raise BackendError(
            f"clrbench {__version__} (protocol {PROTOCOL}) differs numerically from clrbench {order.version} (protocol "
            f"{order.protocol}), which sent the run; install the same version on every machine"
        )


def _by_script(found: Attempt) -> Reply:
    return Reply(found.made, found.error, found.files)


def _dataset(task: Task, fetch: Callable[[], Dataset] | None) -> Dataset:
    """Return the data set of a run: by its name where it is at hand and the same, and else as it is fetched."""
    name, library = task.run.data.dataset, task.library
    if fetch is None:
        return load_dataset(library, name, task.run.reading())
    try:
        if library.is_at_hand(name):
            found = load_dataset(library, name, task.run.reading())
            if found.checksum == task.circumstances.data_checksum:
                return found
    except (ClrbenchError, OSError):
        pass  # something else lies there, on this machine
    return fetch()


@dataclass
class _Link:
    """Follows a run and keeps its checkpoints, by telling all of it to the process that asked for the run."""

    order: Order
    node: str
    tell: Tell
    belongs_to: Mapping[str, Json]
    _updates_done: int = field(default=0)

    def advance(self, steps: int) -> None:
        self._updates_done += steps

    def warn(self, text: str) -> None:
        self._tell(warning=text)

    def stopping(self) -> bool:
        return self._tell()

    def read(self) -> tuple[Checkpoint | None, list[str]]:
        with TemporaryDirectory(prefix="clrbench-") as place:
            for name, content in self.order.checkpoints.items():
                Path(place, name).write_bytes(content)
            last, problems = Checkpoints(Path(place), self.order.task.run_id, self.belongs_to).read()
            return last, [problem.replace(f"{place}/", "") for problem in problems]

    def write(self, checkpoint: Checkpoint) -> None:
        self._tell(checkpoint=(self.belongs_to, checkpoint))

    def keep(self, files: Mapping[str, bytes]) -> None:
        self._tell(files=files)

    def _tell(
        self,
        warning: str | None = None,
        checkpoint: tuple[Mapping[str, Json], Checkpoint] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> bool:
        order = self.order
        news = News(order.task.run_id, order.attempt, self.node, self._updates_done, warning, checkpoint, files)
        return self.tell(news)
