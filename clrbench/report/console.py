"""How the text of a command is laid out on a terminal: labelled lines and plain tables that fit its width."""

import io
import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

MIN_WIDTH = 40
MAX_TEXT_WIDTH = 100
"""A sentence is not drawn out over a wider terminal."""
LABEL_COLUMNS = 10
KEPT_TOGETHER = "\xa0"
"""A space that no line ends at; a terminal is shown a plain one."""
_ENOUGH_COLUMNS = 10_000
_CODE = "\x1b\\[[0-9;]*m"
_COLOURS = {"+ ": "green", "- ": "red", "= ": "cyan", "? ": "yellow", "* ": "bold"}
"""Of cells that begin with a sign."""


@dataclass(frozen=True)
class WordTable:
    """A table whose cells are words."""

    caption: str
    headings: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def rendered(write: Callable[[Console], None], width: int) -> str:
    """Return what is written to a console of so many columns, with the codes that colour it."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=max(width, MIN_WIDTH),
        force_terminal=True,
        color_system="standard",
        highlight=False,
        legacy_windows=False,
    )
    write(console)
    return "\n".join(_without_end(line) for line in file.getvalue().splitlines())


def plain(text: str) -> str:
    """Return a text without the codes that colour it."""
    return re.sub(_CODE, "", text)


def _without_end(line: str) -> str:
    """Return a line without the spaces at its end, which codes may stand among."""
    return re.sub(rf"(?: |{_CODE})*\Z", lambda end: end[0].replace(" ", ""), line, count=1)


def _word_table(table: WordTable, wrapping: Container[int]) -> Table:
    shown = plain_table(title=Text(table.caption, style="bold") if table.caption else None)
    for number, heading in enumerate(table.headings):
        shown.add_column(heading, overflow="fold", no_wrap=number not in wrapping)
    for row in table.rows:
        shown.add_row(*(Text(cell, style=_COLOURS.get(cell[:2], "")) for cell in row))
    return shown


def print_table(console: Console, table: WordTable, *, wrapping: Container[int]) -> None:
    """Print a table after an empty line; where it is too wide, its columns stand closer, or a row is a line of words.

    Args:
        console: Where to.
        table: Not printed without rows; no caption is shown where that is empty.
        wrapping: The columns whose cells may take several lines.
    """
    if not table.rows:
        return
    wide = console.options.update(max_width=_ENOUGH_COLUMNS)
    shown = _word_table(table, wrapping)
    if console.measure(shown, options=wide).maximum > console.width:
        shown.padding = (0, 1, 0, 0)
    console.print()
    if console.measure(shown, options=wide).minimum <= console.width:
        console.print(shown)
        return
    if table.caption:
        console.print(Text(table.caption, style="bold"))
    for row in table.rows:
        print_line(
            console, "", "; ".join(f"{name}: {cell}" for name, cell in zip(table.headings, row, strict=True) if cell)
        )


def plain_table(title: Text | None = None) -> Table:
    """Return a table without lines, which fits its content."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", title=title, title_justify="left")


def print_list(console: Console, label: str, lines: Iterable[str]) -> None:
    """Print lines beside a label that stands before the first of them."""
    for number, line in enumerate(lines):
        print_line(console, "" if number else label, line, indent=LABEL_COLUMNS)


def print_line(console: Console, label: str, line: str, indent: int = 0) -> None:
    """Print a line after its label, the rest of one that is too long below it."""
    indent = LABEL_COLUMNS if label else indent
    below = indent or 2
    first = (f"{label:<{indent}}", "bold" if label else "")
    for number, part in enumerate(
        wrap(line, min(console.width, MAX_TEXT_WIDTH) - below, break_long_words=False, break_on_hyphens=False)
    ):
        console.print(
            Text.assemble(" " * below if number else first, part.replace(KEPT_TOGETHER, " ")),
            soft_wrap=True,
        )
