"""A script on another machine: what comes back of it, when, and what is left there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes import Watching
from sent_code_samples import script_task

from clrbench.execution import remote_script, scratch
from clrbench.execution.remote import News, Order, fulfil
from clrbench.execution.remote_script import Attempt, attempt
from clrbench.execution.session import Pace
from clrbench.execution.task import Task
from clrbench.store.scripts import MAX_KEPT_BYTES, ScriptFolder

WHOLE = "for s in 1 2 3 4; do echo $s,0.$s; done >> $CLRBENCH_RUN/metrics.csv"
HEADER = "echo step,test_accuracy > $CLRBENCH_RUN/metrics.csv"


@dataclass
class FakeLink(Watching):
    """Notes what the script keeps, too."""

    kept: list[Mapping[str, bytes]] = field(default_factory=list)

    def keep(self, files: Mapping[str, bytes]) -> None:
        self.kept.append(files)


@pytest.fixture(autouse=True)
def nodes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the machine that makes the run keeps what it was sent."""
    place = tmp_path / "node"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr(remote_script, "ASK_SECONDS", 0.0)
    scratch._own.cache_clear()
    yield place
    assert {path.name for path in place.glob("*/*")} <= {"lock"}
    scratch._own.cache_clear()


def task(folder: Path, body: str) -> Task:
    (folder / "train.sh").write_text(f"{body}\n")
    made = script_task(folder)
    return replace(made, pace=Pace(checkpoint_seconds=0.0, checkpoint_share=1.0), needs=("test_accuracy",))


def made(asked: Task, link: FakeLink, kept: Mapping[str, bytes] | None = None) -> Attempt:
    assert asked.run.train is not None
    return attempt(asked, asked.run.train, kept or {}, link)


def test_a_run_comes_back_whole_and_its_folder_goes(tmp_path: Path) -> None:
    link = FakeLink()
    found = made(task(tmp_path, f"pwd; {HEADER}; {WHOLE}"), link)
    assert found.made is not None
    record, log = found.made
    assert (record.spec.arm, log.status, log.kept["train.log"].decode().strip()) == ("a", "finished", str(tmp_path))
    assert (found.error, found.files, link.kept) == (None, None, [])
    assert not (tmp_path / "results").exists()


def test_a_failure_says_where_its_folder_will_be_and_sends_it(tmp_path: Path) -> None:
    asked = task(tmp_path, f"{HEADER}; echo no memory; touch $CLRBENCH_RUN/own; exit 3")
    found = made(asked, FakeLink())
    assert "exit code 3" in str(found.error)
    assert f"its folder is {tmp_path / 'results/.scripts' / asked.run_id}" in str(found.error)
    assert found.files is not None
    assert found.files["train.log"] == b"no memory\n"
    assert set(found.files) == {"run.json", "lr.csv", "metrics.csv", "train.log", "own"}


def test_what_it_keeps_is_sent_while_it_runs_and_the_next_attempt_goes_on_from_it(tmp_path: Path) -> None:
    body = f"""if [ -e $CLRBENCH_RUN/deep/kept ]; then cat $CLRBENCH_RUN/deep/kept; {WHOLE}; exit; fi
    {HEADER}; mkdir $CLRBENCH_RUN/deep; echo 2 > $CLRBENCH_RUN/deep/kept; sleep 60"""
    link = FakeLink()
    link.stops = lambda: bool(link.kept)
    stopped = made(task(tmp_path, body), link)
    assert stopped.made is None
    assert stopped.error is None
    (sent,) = link.kept
    assert sent["deep/kept"] == b"2\n"
    assert stopped.files is not None
    again = made(task(tmp_path, body), FakeLink(), stopped.files)
    assert again.made is not None
    assert again.made[1].kept["train.log"].endswith(b"2\n")


def test_what_is_too_large_stays_and_that_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptFolder, "contents", lambda _: None)
    body = f"{HEADER}; echo 1 > $CLRBENCH_RUN/kept; sleep 1.5; echo 2 > $CLRBENCH_RUN/kept; sleep 1; {WHOLE}"
    link = FakeLink()
    assert made(task(tmp_path, body), link).made is not None
    (said,) = link.warnings
    assert f"more than {MAX_KEPT_BYTES / 1e6:g} MB" in said
    assert "the run starts over" in said
    assert link.kept == []


def test_a_script_is_asked_for_as_any_run(tmp_path: Path) -> None:
    heard: list[News] = []

    def tell(news: News) -> bool:
        heard.append(news)
        return False

    started = time.monotonic()
    reply = fulfil(Order(task(tmp_path, f"{HEADER}; {WHOLE}"), 1, {}), "n", tell, None)
    assert reply.error is None
    assert reply.made is not None
    assert time.monotonic() - started < 60
    assert {news.node for news in heard} == {"n"}
