"""An experiment as one HTML file that needs nothing but itself: `report.html`."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd

from clrbench.analysis.glance import Glance
from clrbench.analysis.tables import TABLES, Findings
from clrbench.counted import counted
from clrbench.records import Provenance
from clrbench.report import answer as said
from clrbench.report.console import WordTable
from clrbench.report.details import detail_tables, notes
from clrbench.report.export.command import export_command
from clrbench.report.figures.curves import by_backend
from clrbench.report.figures.forest import draw_forest, forest_alt
from clrbench.report.figures.plot import DrawnPlot
from clrbench.report.figures.svg import to_svg
from clrbench.report.page_table import PageTable, by_metric
from clrbench.report.standings import StandingsTable, standings_table
from clrbench.report.template import fill_template
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.report.words import capitalised, metric_label, plain
from clrbench.spec import to_yaml

_LAST = ("lr_schedule", "range_test", "cost", "time_to_target")
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
    """All that a page says: the answer stands open, the pictures below it, and the rest is folded away.

    Attributes:
        asked: What was asked, in one line.
        rates: The rates of each backend.
        verdicts: Which arms beat the baseline, on each backend.
        use: What to train with.
        export: The command, for the folder that the page lies in, that prints it as code.
        standings: The table of each backend.
        forest: The differences as a forest plot; None where nothing is compared.
        notes: How the numbers are to be read.
        detail_tables: What stands behind the answer, in words.
        more_tables: Every table of the experiment.
    """

    title: str
    asked: str
    rates: tuple[str, ...]
    verdicts: tuple[str, ...]
    use: tuple[str, ...]
    export: str
    standings: tuple[StandingsTable, ...]
    forest: DrawnPlot | None
    warnings: tuple[str, ...]
    figures: tuple[DrawnPlot, ...]
    notes: tuple[str, ...]
    detail_tables: tuple[WordTable, ...]
    text_curves: tuple[TextCurve, ...]
    more_tables: tuple[PageTable, ...]
    spec_yaml: str
    provenance: Mapping[str, str]


def render_page(content: PageContent) -> str:
    """Return the page as HTML; equal content gives equal text."""
    return fill_template("page.html.jinja", content=content, max_table_rows=_MAX_TABLE_ROWS)


def page_content(
    findings: Findings, answer: Glance, warnings: Sequence[str], figures: Sequence[DrawnPlot]
) -> PageContent:
    """Return what the page of an experiment says: its answer, its pictures, and every table that has rows."""
    return PageContent(
        title=findings.spec.name,
        asked=said.asked_line(answer).partition(": ")[2],
        rates=tuple(said.rate_lines(answer)),
        verdicts=tuple(said.beat_lines(answer, findings)),
        use=tuple(said.use_lines(answer)),
        export=export_command(Path(), findings.spec, answer),
        standings=tuple(standings_table(answer, backend) for backend in answer.backends),
        forest=_forest(answer, findings),
        warnings=tuple(warnings),
        figures=tuple(sorted((one for one in figures if one.svg is not None), key=_place)),
        notes=tuple(notes(answer, findings)),
        detail_tables=tuple(detail_tables(answer, findings)),
        text_curves=tuple(_text_curves(findings)),
        more_tables=tuple(_more_tables(findings)),
        spec_yaml=to_yaml(findings.spec),
        provenance=provenance_entries(findings.provenances),
    )


def _place(figure: DrawnPlot) -> int:
    """Return where a picture stands: curves first, then in the order of `_LAST`."""
    return next((place for place, name in enumerate(_LAST, 1) if figure.name.startswith(name)), 0)


def _forest(answer: Glance, findings: Findings) -> DrawnPlot | None:
    figure = draw_forest(answer, findings)
    if figure is None:
        return None
    return DrawnPlot("forest", to_svg(figure, "forest"), "", forest_alt(answer))


def provenance_entries(provenances: Sequence[Provenance]) -> dict[str, str]:
    """Return what the runs were made with: the value that all share, or `mixed` and how many runs have which."""
    found: dict[str, Counter[str]] = {}
    # Nearly always all are alike.
    for provenance, alike in groupby(provenances):
        number = sum(1 for _ in alike)
        for name, value in _flat(_shown(provenance)):
            found.setdefault(name, Counter())[value] += number
    return {name: _shared_value(counts) for name, counts in found.items()}


def _shown(provenance: Provenance) -> dict[str, object]:
    """Return the entries of a provenance; the initial weights of a network of the user's own differ from seed to seed."""
    content = asdict(provenance)
    network = content.pop("network")
    return content if network is None else {**content, "trainable parameters": network["num_parameters"]}


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
            y_axis=TextAxis(metric_label(metric, own=findings.spec.train is not None)),
            width=_CURVE_CHARACTERS,
            height=_CURVE_LINES,
        ).split("\n")
        # The title of the axis stands above the plotting area; its line, ticks and label below.
        drawing, words = lines[: _CURVE_LINES + 4], lines[_CURVE_LINES + 4 :]
        of = "the seeds that had not diverged" if any(curve.diverged.any() for curve in curves) else "the seeds"
        caption = f"{capitalised(metric)} by epoch on {backend}, mean over {of}"
        yield TextCurve(caption, "\n".join(drawing), "\n".join(words))
