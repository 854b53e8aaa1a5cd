"""An experiment as one HTML file that needs nothing but itself: `report.html`."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TypeAlias

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from clrbench.analysis.tables import TABLES, Findings
from clrbench.records import Provenance
from clrbench.report.figures.curves import by_backend
from clrbench.report.figures.plot import DrawnPlot
from clrbench.report.page_table import PageTable, by_metric
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.report.words import capitalised, counted, metric_label, plain
from clrbench.spec import to_yaml

Prose: TypeAlias = tuple[str | tuple[str, ...], ...]
"""Paragraphs, each a string, and lists, each a tuple of items."""

_MAX_TABLE_ROWS = 250
_CURVE_CHARACTERS = 40
_CURVE_LINES = 12


@dataclass(frozen=True)
class TextCurve:
    """A curve drawn with characters, and what it shows in words."""

    caption: str
    drawing: str
    words: str


@dataclass(frozen=True)
class PageContent:
    """All that a page says; `tables` carry the answer, `more_tables` are folded away."""

    title: str
    verdict: Prose
    warnings: tuple[str, ...]
    tables: tuple[PageTable, ...]
    figures: tuple[DrawnPlot, ...]
    text_curves: tuple[TextCurve, ...]
    more_tables: tuple[PageTable, ...]
    spec_yaml: str
    provenance: Mapping[str, str]


def render_page(content: PageContent) -> str:
    """Return the page as HTML; equal content gives equal text."""
    environment = Environment(
        loader=PackageLoader("clrbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(content=content, max_table_rows=_MAX_TABLE_ROWS)


def page_content(findings: Findings, text: str, warnings: Sequence[str], figures: Sequence[DrawnPlot]) -> PageContent:
    """Return what the page of an experiment says: the answer in words (`text`), and every table that has rows."""
    return PageContent(
        title=findings.spec.name,
        verdict=prose(text),
        warnings=tuple(warnings),
        tables=tuple(_answer_tables(findings)),
        figures=tuple(figures),
        text_curves=tuple(_text_curves(findings)),
        more_tables=tuple(_more_tables(findings)),
        spec_yaml=to_yaml(findings.spec),
        provenance=provenance_entries(findings.provenances),
    )


def prose(text: str) -> Prose:
    """Return plain text as paragraphs, one a line, and lists: the lines that are indented."""
    blocks: list[str | tuple[str, ...]] = []
    for indented, lines in groupby(filter(str.strip, text.splitlines()), lambda line: line.startswith(" ")):
        if indented:
            # Columns are aligned with spaces, which HTML would run together.
            blocks.append(tuple(re.sub(r" {2,}", ", ", line.strip().removeprefix("- ")) for line in lines))
        else:
            blocks.extend(lines)
    return tuple(blocks)


def provenance_entries(provenances: Sequence[Provenance]) -> dict[str, str]:
    """Return what the runs were made with: the value that all share, or `mixed` and how many runs have which."""
    found: dict[str, Counter[str]] = {}
    for provenance in provenances:
        for name, value in _flat(asdict(provenance)):
            found.setdefault(name, Counter())[value] += 1
    return {name: _shared_value(counts) for name, counts in found.items()}


def _flat(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        name = prefix + plain(key)
        if isinstance(value, dict):
            yield from _flat(value, f"{name}: ")
        else:
            yield name, value if isinstance(value, str) else "unknown" if value is None else json.dumps(value)


def _shared_value(counts: Counter[str]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return "mixed: " + ", ".join(f"{value} ({counted(number, 'run')})" for value, number in counts.items())


def _answer_tables(findings: Findings) -> Iterator[PageTable]:
    metric = findings.spec.verdict.metric
    captions = {
        "summary": f"{capitalised(metric)} at the end, over the runs that did not diverge",
        "comparison": f"Paired comparison of {plain(metric)}, candidate - baseline",
    }
    for name, caption in captions.items():
        rows = by_metric(findings.tables[name])
        chosen = rows[rows["metric"] == metric].drop(columns="metric")
        if not chosen.empty:
            yield PageTable(f"{name}.csv", caption, chosen, metric)


def _more_tables(findings: Findings) -> Iterator[PageTable]:
    for table in TABLES:
        frame = findings.tables.get(table.name)
        if frame is not None and not frame.empty:
            yield PageTable(f"{table.name}.csv", table.caption, by_metric(frame))


def _text_curves(findings: Findings) -> Iterator[TextCurve]:
    metric = findings.spec.verdict.metric
    for backend, curves in by_backend(findings.curves[metric]).items():
        means = pd.DataFrame({curve.arm: pd.Series(curve.mean, curve.epochs) for curve in curves}).sort_index()
        lines = text_curve(
            means.index,
            {str(arm): means[arm] for arm in means},
            x_axis=TextAxis("epoch"),
            y_axis=TextAxis(metric_label(metric)),
            width=_CURVE_CHARACTERS,
            height=_CURVE_LINES,
        ).split("\n")
        # The title of the axis stands above the plotting area; its line, ticks and label below.
        drawing, words = lines[: _CURVE_LINES + 4], lines[_CURVE_LINES + 4 :]
        of = "the seeds that had not diverged" if any(curve.diverged.any() for curve in curves) else "the seeds"
        caption = f"{capitalised(metric)} over the epochs on {backend}, mean over {of}"
        yield TextCurve(caption, "\n".join(drawing), "\n".join(words))
