"""Progress on a stderr that nobody reads any more, and names that a terminal of few characters cannot show."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from clrbench import progress
from clrbench.progress import Display


class Gone(io.StringIO):
    """A stream whose reader has gone; `tries` counts what was written to it all the same."""

    def __init__(self, error: int) -> None:
        super().__init__()
        self.error = error
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise OSError(self.error, os.strerror(self.error))


@pytest.mark.parametrize("error", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_training_goes_on_without_a_reader_of_its_progress(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Gone(error)
    monkeypatch.setattr(sys, "stderr", gone)
    display = Display(quiet=False)
    display.note("a line")
    display.warn("a warning")
    with display.showing("runs", 1, 1.0):
        display.advance(1.0)
        display.finish("run")
    assert display.count == "1 of 1 run"
    assert gone.tries >= 3


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_stderr_that_is_not_there(stream: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed if stream else None)
    display = Display(quiet=False)
    display.note("a line")
    display.warn("a warning")


def test_a_broken_pipe_is_tried_once_and_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        os.close(reader)
        display = Display(quiet=False)
        display.note("a line")
        display.note("another")
        stream.write("what else goes there")
        stream.flush()


def test_progress_is_written_where_stderr_is_at_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    display = Display(quiet=False)
    display.note("first")
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        display.note("second")
        monkeypatch.undo()
    assert (tmp_path / "log").read_text() == "second\n"
    assert capsys.readouterr().err == "first\n"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def train(display: Display, clock: Clock, phase: str, num_runs: int, seconds: float) -> None:
    """Show runs that each take so long."""
    with display.showing(phase, num_runs, float(num_runs)):
        for number in range(num_runs):
            clock.now += seconds
            display.advance(1.0)
            display.finish(f"run {number}")


def test_without_a_terminal_there_is_a_line_every_ten_seconds_and_one_at_the_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    display = Display(quiet=False)
    train(display, clock, "runs", 10, 4.0)
    assert capsys.readouterr().err.splitlines() == [
        "runs: 1 of 10 runs, last run 0; about 0:00:36 left",
        "runs: 4 of 10 runs, last run 3; about 0:00:24 left",
        "runs: 7 of 10 runs, last run 6; about 0:00:12 left",
        "runs: 10 of 10 runs, last run 9; done",
    ]


def test_many_short_rounds_of_a_phase_do_not_fill_a_log(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(quiet=False)
    for _ in range(50):
        train(display, clock, "range test", 2, 0.01)
    train(display, clock, "runs", 4, 0.01)
    assert capsys.readouterr().err.splitlines() == [
        "range test: 1 of 2 runs, last run 0; about 0:00:00 left",
        "range test: 2 of 2 runs, last run 1; done",
        "runs: 4 of 4 runs, last run 3; done",
    ]


def test_quiet_says_nothing_but_warnings(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(quiet=True)
    display.note("a note")
    train(display, clock, "runs", 10, 20.0)
    display.warn("what must be known")
    assert capsys.readouterr().err == "Warning: what must be known\n"


def test_a_terminal_shows_one_bar_with_phase_runs_and_time_left(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    display = Display(quiet=False)
    with display.showing("runs", 4, 4.0):
        clock.now += 8.0
        display.advance(2.0)
        display.finish("run 0")
        assert display._bar is not None
        display._bar.refresh()
    shown = capsys.readouterr().err
    assert "1 of 4 runs, about 0:00:08 left" in shown
    assert "runs \x1b" in shown
    assert "last run 0" not in shown


def test_a_notebook_keeps_nothing_but_the_last_state(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(quiet=False)
    display._in_notebook = True
    train(display, clock, "range test", 3, 20.0)
    train(display, clock, "runs", 2, 20.0)
    display.warn("what must be known")
    display.note("a note")
    first, *rest = capsys.readouterr().err.split("\n")
    assert first.split("\r")[-1].rstrip() == "runs: 2 of 2 runs, last run 1; done"
    assert len(first.split("\r")) == 6
    assert rest == ["Warning: what must be known", "a note", ""]
