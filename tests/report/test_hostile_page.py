"""Whatever text reaches the page or a table, nothing but text comes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from page_samples import sample_content, sample_spec
from runs_on_disk import findings_of, write_run
from specs import CONSTANT

from clrbench.commands.report import report
from clrbench.errors import SpecError
from clrbench.report.console import WordTable
from clrbench.report.page import PageContent, render_page
from clrbench.report.page_table import PageTable
from clrbench.report.standings import StandingsTable
from clrbench.spec import load_spec, to_yaml
from clrbench.store import ResultsFolder

HARMLESS = "harmless"
PUBLISHED = {"test_accuracy": 0.75}
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</pre></details></title></style><script>alert(1)</script>",
    "<!-- ",
    "--><base href=//example.org>",
    "]]><![CDATA[",
    "{{ 7 * 7 }}{% include 'page.css' %}",
    "&lt;b&gt;&quot;&#x3c;",
    "javascript:alert(1)",
    "\x00\x1b]0;title\x07\u202e\ufeff",
    "<meta http-equiv=refresh content=0>",
]


class Structure(HTMLParser):
    """Every element with its attributes, but for the texts that an attribute may hold, and all text of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Any] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kept = [
            (name, {"alt": "", "aria-label": "", "data-heading": "", "src": str(value)[:11]}.get(name, value))
            for name, value in attrs
        ]
        self.elements.append((tag, kept))
        self.text += "".join(f"\n{value}" for name, value in attrs if name in {"alt", "aria-label"})

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.elements.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.elements.append(decl)

    def unknown_decl(self, data: str) -> None:
        self.elements.append("unknown declaration")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> PageContent:
    return sample_content(tmp_path_factory.mktemp("page"))


def standings(table: StandingsTable, text: str) -> StandingsTable:
    """Return a table with a text in every cell and heading."""
    rows = tuple(
        replace(row, label=text, mean=text, difference=text, p_value=text, verdict=text, times=(text,) * len(row.times))
        for row in table.rows
    )
    headings = dict.fromkeys(("backend", "metric", "difference", "p_value"), text)
    return replace(table, rows=rows, targets=(text,) * len(table.targets), **headings)


def filled(content: PageContent, text: str) -> PageContent:
    """Return a page with a text wherever one can stand."""
    table = PageTable(text, text, pd.DataFrame({text: [text], "value": [0.5]}))
    long = PageTable(text, text, pd.DataFrame({text: [text] * 300}))
    return replace(
        content,
        title=text,
        asked=text,
        rates=(text,),
        verdicts=(text,),
        use=(text,),
        standings=tuple(standings(one, text) for one in content.standings),
        forest=content.forest and replace(content.forest, alt=text),
        warnings=(text,) * 4,
        notes=(text,),
        detail_tables=(WordTable(text, (text,), ((text,),)),),
        figures=tuple(replace(figure, name=text, caption=text, alt=text) for figure in content.figures),
        text_curves=tuple(replace(curve, caption=text, drawing=text, words=text) for curve in content.text_curves),
        more_tables=(table, long),
        spec_yaml=text,
        provenance={text: text},
    )


@pytest.fixture(scope="module")
def expected(content: PageContent) -> Structure:
    return Structure(render_page(filled(content, HARMLESS)))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_element_or_attribute_comes_of_a_text(payload: str, content: PageContent, expected: Structure) -> None:
    found = Structure(render_page(filled(content, payload)))
    assert len(expected.elements) > 100
    assert found.elements == expected.elements
    assert found.text.count(payload.rstrip()) >= expected.text.count(HARMLESS) > 20


def test_a_picture_holds_its_pixels_and_no_text_beside_what_drew_it(content: PageContent) -> None:
    for figure in content.figures:
        kinds = re.findall(rb"(?s)....(IHDR|pHYs|tEXt|zTXt|iTXt|IDAT|IEND)", figure.png)
        assert kinds[0] == b"IHDR"
        texts = re.findall(rb"tEXt([^\0]+)\0", figure.png)
        assert set(texts) <= {b"Software"}


def test_text_columns_of_tables_hold_names_and_words_of_a_fixed_list_alone(tmp_path: Path) -> None:
    """So no cell of a CSV file is a formula to a spreadsheet: a name may start with - but holds no bracket or operator."""
    folder = ResultsFolder(tmp_path)
    for seed in range(6):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7], version='=cmd|"/c calc"!A0')
        write_run(folder, "clr", seed, [0.6, 0.4, 0.8], version='=cmd|"/c calc"!A0')
    spec = sample_spec(
        data={"dataset": "=1+1.npz"}, arms={"constant": CONSTANT, "clr": {**CONSTANT, "published": PUBLISHED}}
    )
    found: set[str] = set()
    for table in findings_of(folder, spec).tables.values():
        assert all(re.fullmatch(r"[a-z0-9_]+", str(column)) for column in table)
        found |= {cell for column in table for cell in table[column] if isinstance(cell, str)}
    assert {"clr", "constant", "sample", "torch", "test_accuracy"} <= found
    assert not [cell for cell in found if re.match(r"[=+@\t\r]", cell)]
    assert not [cell for cell in found if not re.fullmatch(r"[A-Za-z0-9 ._-]*", cell)]


@pytest.mark.parametrize("name", ["=1+1", "+1", "@x", "-1+1", "a|b", "a(b)", "<b>", "a,b", 'a"b'])
@pytest.mark.parametrize("place", ["name", "arm"])
def test_names_that_a_spreadsheet_or_a_page_would_act_on_are_refused(name: str, place: str, tmp_path: Path) -> None:
    spec: Callable[[str, str], str] = (
        "name: {!r}\ndata: {{dataset: mnist}}\nmodel: {{name: mlp}}\nbatch_size: 9\nduration: 1 steps\n"
        "arms: {{{!r}: {{schedule: {{name: constant, lr: 0.1}}}}}}\n"
    ).format
    path = tmp_path / "s.yaml"
    path.write_text(spec(name, "a") if place == "name" else spec("a", name))
    with pytest.raises(SpecError, match="a name of at most 100 letters"):
        load_spec(path)


@pytest.mark.acceptance
def test_a_report_runs_no_code_that_its_spec_names(tmp_path: Path) -> None:
    folder, mark = ResultsFolder(tmp_path), tmp_path / "mark"
    for seed in range(2):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.6, 0.4, 0.8])
    (tmp_path / "own.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n")
    spec = sample_spec(data={"dataset": "./own.py:f"}, seeds=2)
    folder.begin(to_yaml(spec), [])
    report([tmp_path])
    assert (tmp_path / "report.html").is_file()
    assert not mark.exists()
