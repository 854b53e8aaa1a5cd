"""An experiment as one HTML file that needs nothing but itself: `report.html`."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from clrbench.report.arm_curves import arm_curves, metric_label
from clrbench.report.figure_words import figure_words
from clrbench.report.page_table import PageTable, by_metric
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.spec import Spec, to_yaml
from clrbench.store import StoredRun

Prose: TypeAlias = tuple[str | tuple[str, ...], ...]
"""Paragraphs, and lists of lines."""

_LONGEST_TABLE_ROWS = 250
_CURVE_CHARACTERS = 40
_CURVE_LINES = 12
_CAPTIONS = {
    "best": "Each run where its validation accuracy was best, beside its end and its last cycle end",
    "bands": "Every metric over the epochs: mean over the seeds and its 95 % interval",
    "chosen": "The rates that the search chose for the tuned arms",
    "comparison": "Paired comparison of every metric; all but that of the verdict are exploratory",
    "cost_curve": "The metric of the verdict over all updates, those that found the rates among them",
    "cycle_peaks": "Whether accuracy peaks where cycles end",
    "cycles": "Every metric at each cycle end",
    "costs": "What each arm costs in updates: its training, and what found its rates",
    "differences": "Candidate - baseline, a row a pair of runs",
    "evidence": "What each comparison rests on: its time, correction and noise, and what it could have shown",
    "given": "Every metric at the end, of the tuned arms at the rates that they were given",
    "metrics": "Every evaluation of every run",
    "published": "Where values published elsewhere lie among the runs of their arm",
    "schedule": "Learning rate of each arm over its steps, thinned",
    "search": "The tries of the tuned arms, on validation rows",
    "summary": "Every metric at the end, over the runs that did not diverge",
    "targets": "When each run first reached each target, and from when on it stayed there",
    "time_to_target": "How much sooner an arm reaches a target than its baseline",
    "time_to_target/timing": "The same in seconds, between runs of equal device, threads and executor",
    "timing": "Where the time of every run went, in seconds",
}


@dataclass(frozen=True)
class PageFigure:
    """A plot.

    Attributes:
        name: As in `plots/<name>.png`.
        png: The picture.
        caption: What it is.
        alt: What it shows, with the numbers that matter.
    """

    name: str
    png: bytes
    caption: str
    alt: str

    @property
    def data_uri(self) -> str:
        """The picture as a `data:` URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class TextCurve:
    """A curve drawn with characters.

    Attributes:
        caption: What it shows.
        drawing: Its lines.
        words: What they show, in words.
    """

    caption: str
    drawing: str
    words: str


@dataclass(frozen=True)
class PageContent:
    """All that a page says.

    Attributes:
        title: Of the experiment.
        verdict: The answer in words.
        warnings: What may mislead in it.
        tables: Those that carry the answer.
        figures: The plots, in order.
        text_curves: Curves for those who cannot or do not want to see the plots.
        more_tables: All other tables, folded away.
        spec_yaml: The resolved spec.
        provenance: With what the runs were made, by its name.
    """

    title: str
    verdict: Prose
    warnings: tuple[str, ...]
    tables: tuple[PageTable, ...]
    figures: tuple[PageFigure, ...]
    text_curves: tuple[TextCurve, ...]
    more_tables: tuple[PageTable, ...]
    spec_yaml: str
    provenance: Mapping[str, str]


def page(content: PageContent) -> str:
    """Return the page as HTML; equal content gives equal text."""
    environment = Environment(
        loader=PackageLoader("clrbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.jinja")
    return template.render(content=content, longest_table_rows=_LONGEST_TABLE_ROWS)


def page_content(
    spec: Spec,
    runs: Sequence[StoredRun],
    files: Mapping[str, pd.DataFrame],
    figures: Mapping[str, bytes],
    verdict: str,
    warnings: Sequence[str],
) -> PageContent:
    """Return what the page of an experiment says.

    Args:
        spec: The experiment, resolved.
        runs: Its finished runs.
        files: Every table of the experiment by the name of its file; the page shows all that have rows.
        figures: The plots as PNG, by the name of their file without its ending.
        verdict: The answer in words, without the warnings.
        warnings: What may mislead in the outcome.
    """
    overview_first = sorted(figures.items(), key=lambda figure: figure[0] != "overview")
    return PageContent(
        title=spec.name,
        verdict=prose(verdict),
        warnings=tuple(warnings),
        tables=tuple(_answer_tables(spec, files)),
        figures=tuple(PageFigure(name, png, *figure_words(name, spec, files)) for name, png in overview_first),
        text_curves=tuple(_text_curves(spec, files["metrics.csv"])),
        more_tables=tuple(_more_tables(files)),
        spec_yaml=to_yaml(spec),
        provenance=provenance(runs),
    )


def prose(text: str) -> Prose:
    """Return plain text as paragraphs, one a line, and lists: the lines that are indented."""
    blocks: list[str | tuple[str, ...]] = []
    for line in filter(str.strip, text.splitlines()):
        if not line.startswith(" "):
            blocks.append(line)
            continue
        # Columns are aligned with spaces, which HTML would run together.
        item = re.sub(r" {2,}", ", ", line.strip().removeprefix("- "))
        earlier = blocks.pop() if blocks and isinstance(blocks[-1], tuple) else ()
        blocks.append((*earlier, item))
    return tuple(blocks)


def provenance(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return with what the runs were made: the value that all share, or `mixed` and how many runs have which."""
    found: dict[str, Counter[str]] = {}
    for run in runs:
        for name, value in _flat(run.info["provenance"]):
            found.setdefault(name, Counter())[value] += 1
    return {name: _shared_value(counts) for name, counts in found.items()}


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        name = prefix + key.replace("_", " ")
        if isinstance(value, dict):
            yield from _flat(value, f"{name}: ")
        else:
            yield name, value if isinstance(value, str) else "unknown" if value is None else json.dumps(value)


def _shared_value(counts: Counter[str]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return "mixed: " + ", ".join(f"{value} ({number} run{'s' * (number != 1)})" for value, number in counts.items())


def _answer_tables(spec: Spec, files: Mapping[str, pd.DataFrame]) -> Iterator[PageTable]:
    metric = spec.verdict.metric
    plain = metric.replace("_", " ")
    captions = {
        "summary.csv": f"{plain.capitalize()} at the end, over the runs that did not diverge",
        "comparison.csv": f"Paired comparison of {plain}, candidate - baseline",
    }
    for file, caption in captions.items():
        rows = by_metric(files[file])
        chosen = rows[rows["metric"] == metric].drop(columns="metric")
        if not chosen.empty:
            yield PageTable(file, caption, chosen, metric)


def _more_tables(files: Mapping[str, pd.DataFrame]) -> Iterator[PageTable]:
    for file, table in files.items():
        if not table.empty:
            name = file.removesuffix(".csv")
            yield PageTable(file, _CAPTIONS.get(name, name.replace("_", " ").capitalize()), by_metric(table))


def _text_curves(spec: Spec, metrics: pd.DataFrame) -> Iterator[TextCurve]:
    metric = spec.verdict.metric
    curves = arm_curves(metrics, metric, list(spec.arms))
    for backend in dict.fromkeys(curve.backend for curve in curves):
        means = pd.DataFrame(
            {curve.arm: pd.Series(curve.band[0], curve.epochs) for curve in curves if curve.backend == backend}
        ).sort_index()
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
        some_left_out = any(curve.diverged.any() for curve in curves if curve.backend == backend)
        of = "the seeds that had not diverged" if some_left_out else "the seeds"
        caption = f"{metric.replace('_', ' ').capitalize()} over the epochs on {backend}, mean over {of}"
        yield TextCurve(caption, "\n".join(drawing), "\n".join(words))
