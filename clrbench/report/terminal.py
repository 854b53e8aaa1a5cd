"""The answer of an experiment as a terminal shows it: tables that fit its width, plain where there is no terminal."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrbench.analysis.comparison import Comparison
from clrbench.analysis.glance import Glance, Standing
from clrbench.analysis.tables import Findings
from clrbench.report import answer as said
from clrbench.report.console import (
    KEPT_TOGETHER,
    LABEL_COLUMNS,
    MAX_TEXT_WIDTH,
    plain_table,
    print_line,
    print_list,
    print_table,
    rendered,
)
from clrbench.report.details import NAME_HEADINGS, detail_tables, notes
from clrbench.report.export.command import export_command
from clrbench.report.standings import StandingsTable, standings_table

LAYOUT_WIDTHS = (40, 60, 80, 90, 100, 110, 130, 160)
"""Columns that an answer is laid out for; a terminal shows the widest that fits."""
_ANY_WIDTH = 10_000
BAR_WIDTH = 110
"""From so many columns on, each interval is also drawn as a bar, where the table stays as narrow as the text."""
TARGETS_WIDTH = 90
"""From so many columns on, the table shows when each arm reached the targets."""
MAX_WARNINGS = 3
_BAR_CHARACTERS = (8, 5)
"""Characters of a bar, and how many where the table has no room for it."""
_COLOURS = {"better": "green", "worse": "red", "equivalent": "cyan", "no difference shown": "", "cannot tell": "yellow"}


def answer_text(
    answer: Glance, findings: Findings, warnings: Sequence[str], root: Path, width: int, *, details: bool
) -> str:
    """Return the answer at a glance; with `details` also every table and note behind it, and all warnings.

    Args:
        answer: The answer.
        findings: What it was read off.
        warnings: Those that may be folded: what the answer says itself is none of them.
        root: The results folder, which holds the page and what is exported.
        width: Columns of the terminal.
        details: Whether to show all.
    """

    def write(console: Console) -> None:
        print_line(console, "", said.asked_line(answer))
        print_list(console, "Rates", said.rate_lines(answer))
        print_list(console, "Verdict", said.beat_lines(answer, findings))
        for backend in answer.backends:
            console.print()
            console.print(fitting_table(console, standings_table(answer, backend)))
        console.print()
        command = export_command(root, findings.spec, answer).replace(" ", KEPT_TOGETHER)
        print_list(console, "Use it", [*said.use_lines(answer), f"as code: {command}"])
        if details:
            _write_details(console, answer, findings)
            print_list(console, "Warnings", warnings)
        else:
            _write_warnings(console, warnings)
        print_line(console, "Page", str(root / "report.html"))

    return rendered(write, width)


def fitting_table(console: Console, table: StandingsTable) -> Table:
    """Return the arms of a backend in as many columns as fit: first the bar goes, then the times, then who is the baseline."""
    text_width = min(MAX_TEXT_WIDTH, console.width)
    for bar, targets, baselines in (
        *((characters, True, True) for characters in _BAR_CHARACTERS),
        (0, True, True),
        (0, False, True),
        (0, False, False),
    ):
        if console.width < (BAR_WIDTH if bar else TARGETS_WIDTH if targets else 0):
            continue
        several = table.several_baselines and baselines
        shown = _standings(replace(table, several_baselines=several), bar=bar, targets=targets)
        if _full_width(console, shown) > text_width:
            shown.padding = (0, 1, 0, 0)
        if _full_width(console, shown) <= (text_width if bar else console.width):
            break
    return shown


def _full_width(console: Console, table: Table) -> int:
    """Return the width of a table where nothing is wrapped; measured otherwise, it is never wider than the console."""
    return console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum


def _standings(table: StandingsTable, *, bar: int, targets: bool) -> Table:
    shown = plain_table()
    headings = table.headings if targets else table.headings[: len(table.headings) - len(table.targets)]
    for number, heading in enumerate(headings):
        indent = " " * (bar + 1) if bar and heading == table.difference else ""
        shown.add_column(f"{indent}{heading}", overflow="fold", no_wrap=number > 0)
    span = _span([row.standing for row in table.rows])
    for row in table.rows:
        cells = {heading: Text(cell) for heading, cell in zip(table.headings, table.cells(row), strict=True)}
        comparison = row.standing.comparison
        if comparison is not None:
            cells["verdict"].stylize(_COLOURS[comparison.verdict])
        if bar and table.compared:
            drawn = "" if comparison is None or not comparison.pairs else interval_bar(comparison, span, bar)
            cells[table.difference] = Text(f"{drawn:<{bar}} {row.difference}")
        shown.add_row(*(cells[heading] for heading in headings))
    return shown


def interval_bar(row: Comparison, span: tuple[float, float], characters: int) -> str:
    """Draw an interval with characters: `|` is zero, `o` the mean; where there are no ends, an arrow points each way.

    Args:
        row: The comparison.
        span: What the first and the last character stand for.
        characters: How many there are.
    """
    last = characters - 1
    left, right = span

    def place(value: float) -> int:
        return round(min(1.0, max(0.0, (value - left) / ((right - left) or 1.0))) * last)

    cells = [" "] * characters
    cells[place(row.ci_low) : place(row.ci_high) + 1] = "-" * (place(row.ci_high) - place(row.ci_low) + 1)
    if math.isinf(row.ci_low):
        cells[0], cells[last] = "<", ">"
    cells[place(0.0)] = "|"
    cells[place(row.mean_difference)] = "o"
    return "".join(cells)


def _span(standings: Sequence[Standing]) -> tuple[float, float]:
    """Return the ends of an axis that holds zero and every interval."""
    rows = [one.comparison for one in standings if one.comparison]
    ends = [end for row in rows for end in (row.ci_low, row.ci_high, row.mean_difference) if math.isfinite(end)]
    return min([0.0, *ends]), max([0.0, *ends])


def _write_details(console: Console, answer: Glance, findings: Findings) -> None:
    for table in detail_tables(answer, findings):
        print_table(
            console, table, wrapping={number for number, name in enumerate(table.headings) if name not in NAME_HEADINGS}
        )
    console.print()
    print_list(console, "Notes", notes(answer, findings))


def _write_warnings(console: Console, warnings: Sequence[str]) -> None:
    """Print the gist of the first warnings, a line each, and how many more there are."""
    shown = [said.gist(warning) for warning in warnings[:MAX_WARNINGS]]
    more = f" ({len(warnings) - len(shown)} more: --details)" if len(warnings) > len(shown) else ""
    ends = [""] * (len(shown) - 1) + [more]
    room = min(console.width, MAX_TEXT_WIDTH) - LABEL_COLUMNS
    lines = [shorten(line, room - len(end), placeholder=" ...") + end for line, end in zip(shown, ends, strict=False)]
    print_list(console, "Warnings", lines)
