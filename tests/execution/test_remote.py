"""What a worker on another machine does with a run: it trains as here, and writes nothing there."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import ScriptedTrainer
from tiny_runs import DATASET, HOW, NUM_STEPS, RUN, TinyLibrary

from clrbench import backends
from clrbench.data import Library
from clrbench.errors import BackendError, DataError
from clrbench.execution import remote
from clrbench.execution.remote import Desk, News, Order, fulfil, in_memory
from clrbench.execution.session import Pace
from clrbench.execution.task import belongs_to, make_task
from clrbench.planning.plan import PROTOCOL
from clrbench.records import Dataset
from clrbench.store import Checkpoints, ResultsFolder

HASTY = Pace(stretch_seconds=0.0, checkpoint_seconds=0.0, checkpoint_share=1.0)


@dataclass
class Telephone:
    """Notes what it is told, and says after so many calls that the run is to stop."""

    patience: int = 10**6
    heard: list[News] = field(default_factory=list)

    def __call__(self, news: News) -> bool:
        self.heard.append(news)
        return len(self.heard) > self.patience

    @property
    def kept(self) -> list[int]:
        return [news.checkpoint[1].updates_done for news in self.heard if news.checkpoint]


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedTrainer]:
    made: list[ScriptedTrainer] = []

    def make_trainer(*_: Any) -> ScriptedTrainer:
        made.append(ScriptedTrainer(np.full(NUM_STEPS, 0.5, np.float32), num_rows=10))
        return made[-1]

    threads: list[int] = []
    backend = SimpleNamespace(
        make_trainer=make_trainer, versions=lambda: {"torch": "1"}, build=lambda _: {}, set_threads=threads.append
    )
    monkeypatch.setattr(backends, "load", lambda _: backend)
    remote.load_backend.cache_clear()
    yield made
    assert threads == [1]
    remote.load_backend.cache_clear()


def order(root: Path, **changes: Any) -> Order:
    task = make_task(RUN, DATASET, HOW, TinyLibrary(), root, HASTY)
    return replace(Order(task, 1, {}), **changes)


def fetch() -> Dataset:
    return DATASET


@pytest.mark.usefixtures("trainers")
def test_a_run_comes_back_and_nothing_is_written(tmp_path: Path) -> None:
    told = Telephone()
    reply = fulfil(order(tmp_path), "n", told, None)
    assert reply.error is None
    record, log = reply.made
    assert (record.run_id, log.status, len(log.steps.loss)) == (order(tmp_path).task.run_id, "finished", NUM_STEPS)
    assert told.heard[-1].updates_done == NUM_STEPS
    assert {news.node for news in told.heard} == {"n"}
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_come_back_and_a_later_attempt_continues_from_them(
    tmp_path: Path, trainers: list[ScriptedTrainer]
) -> None:
    told = Telephone(patience=3)
    assert fulfil(order(tmp_path), "n", told, None).made is None
    assert told.kept
    belongs, last = [news.checkpoint for news in told.heard if news.checkpoint][-1]
    kept = Checkpoints(tmp_path / "kept", order(tmp_path).task.run_id, belongs)
    kept.write(last)
    again = Telephone()
    reply = fulfil(order(tmp_path, attempt=2, checkpoints=kept.contents()), "m", again, None)
    assert reply.made is not None
    assert trainers[-1].updates_done == NUM_STEPS
    assert sum(trainers[-1].stretches) == NUM_STEPS - last.updates_done
    assert all(news.warning is None for news in again.heard)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_checkpoint_of_another_processor_is_left_and_said(tmp_path: Path, trainers: list[ScriptedTrainer]) -> None:
    told = Telephone(patience=3)
    fulfil(order(tmp_path), "n", told, None)
    belongs, last = next(news.checkpoint for news in told.heard if news.checkpoint)
    kept = Checkpoints(tmp_path / "kept", order(tmp_path).task.run_id, {**belongs, "processor": "another"})
    kept.write(last)
    again = Telephone()
    assert fulfil(order(tmp_path, checkpoints=kept.contents()), "m", again, None).made is not None
    (said,) = [news.warning for news in again.heard if news.warning]
    assert "continues from the beginning: torch-constant-s3" in said
    assert "another processor" in said
    assert sum(trainers[-1].stretches) == NUM_STEPS


def test_a_worker_that_is_told_to_stop_before_it_begins_trains_nothing(
    tmp_path: Path, trainers: list[ScriptedTrainer]
) -> None:
    reply = fulfil(order(tmp_path), "n", Telephone(patience=0), None)
    assert (reply.made, reply.error, trainers) == (None, None, [])


class Elsewhere(Library):
    """Has what is called here, or nothing."""

    here: Dataset | Exception | None = None

    def is_at_hand(self, dataset: str) -> bool:
        return self.here is not None

    def load(self, dataset: str, show: object = None, how: object = None) -> Dataset:
        if isinstance(self.here, Exception):
            raise self.here
        assert self.here is not None
        return self.here


@pytest.mark.parametrize(
    ("here", "is_fetched"),
    [
        (DATASET, False),
        (None, True),
        (replace(DATASET, checksum="other"), True),
        (DataError("damaged"), True),
        (OSError("no such folder"), True),
    ],
)
@pytest.mark.usefixtures("trainers")
def test_data_is_fetched_unless_it_is_at_hand_and_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Any, is_fetched: bool
) -> None:
    monkeypatch.setattr(Elsewhere, "here", here)
    remote.load_dataset.cache_clear()
    fetched: list[bool] = []

    def fetch() -> Dataset:
        fetched.append(True)
        return DATASET

    asked = order(tmp_path)
    asked = replace(asked, task=replace(asked.task, library=Elsewhere()))
    assert fulfil(asked, "n", Telephone(), fetch).made is not None
    assert bool(fetched) == is_fetched
    remote.load_dataset.cache_clear()


@pytest.mark.usefixtures("trainers")
def test_data_that_has_changed_is_an_error_that_comes_back(tmp_path: Path) -> None:
    asked = order(tmp_path)
    asked = replace(asked, task=replace(asked.task, circumstances=replace(HOW, data_checksum="then")))
    reply = fulfil(asked, "n", Telephone(), fetch)
    assert isinstance(reply.error, DataError)
    assert "the data has changed meanwhile" in str(reply.error)


def test_another_protocol_is_refused(tmp_path: Path) -> None:
    reply = fulfil(order(tmp_path, protocol=PROTOCOL + 1, version="9.9"), "n", Telephone(), fetch)
    assert isinstance(reply.error, BackendError)
    assert f"from clrbench 9.9 (protocol {PROTOCOL + 1}), which sent the run; install the same version" in str(
        reply.error
    )


def test_the_desk_holds_the_last_checkpoint_of_each_run_until_it_is_taken() -> None:
    desk = Desk()

    def news(run_id: str, updates_done: int, *, kept: bool) -> News:
        return News(run_id, 1, "n", updates_done, checkpoint=({}, f"{run_id}{updates_done}") if kept else None)  # type: ignore[arg-type]

    for one in (news("a", 1, kept=True), news("b", 1, kept=True), news("a", 2, kept=False), news("a", 3, kept=True)):
        assert desk.tell(one) is False
    assert [(one.run_id, one.updates_done) for one in desk.take()] == [("b", 1), ("a", 2), ("a", 3)]
    assert desk.take() == []
    desk.stop()
    assert desk.tell(news("a", 4, kept=False)) is True
    desk.begin()
    assert desk.tell(news("a", 5, kept=False)) is False


def test_data_is_sent_as_plain_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", DATASET.x_train)
    mapped = replace(DATASET, x_train=np.lib.format.open_memmap(tmp_path / "x.npy", mode="r"))
    sent = in_memory(mapped)
    assert type(sent.x_train) is np.ndarray
    np.testing.assert_array_equal(sent.x_train, DATASET.x_train, strict=True)
    assert (sent.checksum, sent.x_validation) == (DATASET.checksum, None)


@pytest.mark.usefixtures("trainers")
def test_what_a_checkpoint_belongs_to_is_found_out_where_the_run_is_made(tmp_path: Path) -> None:
    told = Telephone(patience=3)
    fulfil(order(tmp_path), "n", told, None)
    (belongs,) = {str(news.checkpoint[0]) for news in told.heard if news.checkpoint}
    assert belongs == str(belongs_to(order(tmp_path).task))
    assert ResultsFolder(tmp_path).has_runs() is False
