"""Progress on a stderr that nobody reads any more, and names that a terminal of few characters cannot show."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest

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
    assert display.count == "1 of 1 runs"
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
