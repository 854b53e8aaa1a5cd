"""Figures -> PNG and SVG, half of them in a second process where two processors are free.

Drawing text takes most of the time of a report, and matplotlib draws on one processor.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

from matplotlib.figure import Figure

from clrbench.machine import available_cpus
from clrbench.report.figures.style import house_style, to_png
from clrbench.report.figures.svg import Svg, to_svg

_COMMAND = [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"]


@dataclass(frozen=True)
class Sheet:
    """A figure to be rendered, and whether as a part of the page, too."""

    name: str
    figure: Figure
    on_page: bool


@dataclass(frozen=True)
class Rendered:
    """A figure as the bytes of a PNG, and as SVG where the page shows it."""

    svg: Svg | None
    png: bytes


Render: TypeAlias = Callable[[Sequence[Sheet]], list[Rendered]]


@house_style
def render(sheets: Sequence[Sheet]) -> list[Rendered]:
    """Return figures as files, and as parts of the page; equal figures come out equal, in whichever process."""
    return [
        Rendered(to_svg(sheet.figure, sheet.name) if sheet.on_page else None, to_png(sheet.figure)) for sheet in sheets
    ]


def serve() -> None:
    """Render the figures that another process asks for on standard input, pickled, and answer on standard output."""
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        sys.stdout.buffer.write(pickle.dumps(render(pickle.load(sys.stdin.buffer))))


@contextmanager
def rendering() -> Iterator[Render]:
    """Yield what renders figures, once; the second process starts at once, as it takes a while to come up.

    What it cannot do, for whatever reason, is done in this one.
    """
    process = _start() if sys.executable and available_cpus() > 1 else None
    if process is None:
        yield render
        return
    with process:
        try:
            yield lambda sheets: _side_by_side(process, sheets)
        finally:
            process.kill()


def _start() -> subprocess.Popen[bytes] | None:
    with suppress(OSError):
        return subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return None


def _side_by_side(process: subprocess.Popen[bytes], sheets: Sequence[Sheet]) -> list[Rendered]:
    theirs = _half(sheets)
    with ThreadPoolExecutor(max_workers=1) as thread:
        answer = _ask(process, thread, [sheets[i] for i in theirs])
        mine = [i for i in range(len(sheets)) if i not in theirs]
        found = dict(zip(mine, render([sheets[i] for i in mine]), strict=True))
        there = _answer(answer) or render([sheets[i] for i in theirs])
    found |= zip(theirs, there, strict=True)
    return [found[i] for i in range(len(sheets))]


def _half(sheets: Sequence[Sheet]) -> list[int]:
    """Return the indices of the figures for the second process, about half by their height."""
    theirs: list[int] = []
    lead = 0.0
    for i, sheet in enumerate(sheets):
        height = float(sheet.figure.get_figheight())
        if lead > 0:
            theirs.append(i)
        lead += -height if lead > 0 else height
    return theirs


def _ask(process: subprocess.Popen[bytes], thread: ThreadPoolExecutor, sheets: list[Sheet]) -> Future[bytes] | None:
    # A figure that holds a function without a name cannot be sent.
    with suppress(pickle.PicklingError, AttributeError, TypeError):
        content = pickle.dumps(sheets)
        return thread.submit(lambda: process.communicate(content)[0])
    return None


def _answer(asked: Future[bytes] | None) -> list[Rendered] | None:
    if asked is None:
        return None
    with suppress(OSError, EOFError, pickle.UnpicklingError):
        found: list[Rendered] = pickle.loads(asked.result())
        return found
    return None
