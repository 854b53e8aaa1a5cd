"""Figures come out the same in one process and in two, whatever becomes of the second."""

import io
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from clrbench.report.figures import rendering
from clrbench.report.figures.rendering import Sheet, render, serve
from clrbench.report.figures.style import draw_line, log_scale, row_of_panels

ARMS = ("constant", "clr", "one_cycle")


def sheet(name: str, height: float = 2.0, *, on_page: bool = True) -> Sheet:
    """Return a figure with lines, text, a logarithmic axis and a clipped image of many points."""
    figure, (left, right) = row_of_panels(height, 2)
    for i, arm in enumerate(ARMS):
        draw_line(left, np.arange(1.0, 9.0), np.exp(-i * np.arange(8.0)) + 0.1, arm, ARMS)
    log_scale(left, "y", 3.0)
    right.scatter(np.sin(np.arange(50.0)), np.cos(np.arange(50.0)))
    right.set_title(f"{name}: a title")
    left.legend()
    return Sheet(name, figure, on_page)


def sheets() -> list[Sheet]:
    return [sheet("tall", 4.0), sheet("small"), sheet("hidden", on_page=False), sheet("last", 1.5)]


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "available_cpus", lambda: 2)


@pytest.mark.usefixtures("two_processors")
def test_two_processes_draw_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = render(sheets())
    drawn_here: list[str] = []

    def counted(sheets: list[Sheet]) -> list[rendering.Rendered]:
        drawn_here.extend(sheet.name for sheet in sheets)
        return render(sheets)

    monkeypatch.setattr(rendering, "render", counted)
    with rendering.rendering() as side_by_side:
        found = side_by_side(sheets())
    assert found == expected
    assert drawn_here == ["tall", "last"]
    assert [one.svg is None for one in found] == [False, False, True, False]


def test_one_processor_starts_no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "available_cpus", lambda: 1)
    monkeypatch.setattr(subprocess, "Popen", None)
    with rendering.rendering() as found:
        assert found is render


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize(
    "command",
    [
        ["/nonexistent"],
        [sys.executable, "-c", ""],
        [sys.executable, "-c", "import sys; sys.exit(3)"],
        [sys.executable, "-c", "print('no pickle')"],
        [sys.executable, "-c", "import sys; sys.stdin.buffer.read(10); import os; os.kill(os.getpid(), 9)"],
    ],
    ids=["does not start", "says nothing", "fails", "says something else", "dies"],
)
def test_what_the_second_process_does_not_draw_is_drawn_here(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(rendering, "_COMMAND", command)
    with rendering.rendering() as side_by_side:
        found = side_by_side(sheets())
    assert [one.png[:4] for one in found] == [b"\x89PNG"] * 4


@pytest.mark.usefixtures("two_processors")
def test_a_figure_that_cannot_be_sent_is_drawn_here() -> None:
    nameless = sheet("nameless")
    nameless.figure.axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:.1e}")
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(nameless)
    with rendering.rendering() as side_by_side:
        found = side_by_side([sheet("tall", 4.0), nameless])
    assert found == render([sheet("tall", 4.0), nameless])


@pytest.mark.usefixtures("two_processors")
def test_the_second_process_ends_where_nothing_is_to_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = rendering._start

    def seen() -> subprocess.Popen[bytes] | None:
        process = start()
        assert process is not None
        started.append(process)
        return process

    monkeypatch.setattr(rendering, "_start", seen)

    def fails() -> None:
        with rendering.rendering():
            raise KeyError("a table is missing")

    with pytest.raises(KeyError):
        fails()
    assert [process.poll() for process in started] == [-9]


def test_the_second_process_answers_what_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, content: bytes = b"") -> None:
            self.buffer = io.BytesIO(content)

    asked = sheets()[2:]
    out = Stream()
    monkeypatch.setattr(sys, "stdin", Stream(pickle.dumps(asked)))
    monkeypatch.setattr(sys, "stdout", out)
    serve()
    assert pickle.loads(out.buffer.getvalue()) == render([replace(one) for one in asked])
    monkeypatch.setattr(sys, "stdin", Stream())
    serve()  # asked for nothing: the process that started it has gone
