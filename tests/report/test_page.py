"""The page of an experiment, as text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from answers import shown
from page_samples import HOSTILE, sample_content, sample_findings, sample_spec
from runs_on_disk import findings_of, provenance, write_run
from specs import CONSTANT

from clrbench.analysis.glance import glance
from clrbench.report.answer import NOTHING_TO_COMPARE
from clrbench.report.figures.style import arm_colours
from clrbench.report.page import PageContent, page_content, provenance_entries, render_page
from clrbench.report.page_table import PageTable
from clrbench.store import ResultsFolder

BAD = HOSTILE.format(address="https://example.org/spy.png")
VOID = {"meta", "link", "img", "br", "hr"}


class Elements(HTMLParser):
    """Every element in order, with its attributes and the text right inside it; checks that tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, list[str]]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append((tag, self.found[-1][2]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1][1].append(data)

    def texts(self, tag: str) -> list[str]:
        return ["".join(text).strip() for name, _, text in self.found if name == tag]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.found if name == tag]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> PageContent:
    return sample_content(tmp_path_factory.mktemp("page"), hostile=BAD)


@pytest.fixture(scope="module")
def html(content: PageContent) -> str:
    return render_page(content)


@pytest.fixture(scope="module")
def elements(html: str) -> Elements:
    return Elements(html)


def test_the_answers_stand_first_then_table_and_forest_plot_and_the_rest_is_folded(
    elements: Elements, html: str
) -> None:
    headings = ["Which rate?", "Does any arm beat the baseline?", "Warnings", "Plots", "Details", "All tables"]
    assert elements.texts("h1") == ["sample"]
    assert elements.texts("h2") == headings
    assert not [name for name, _, _ in elements.found if re.fullmatch("h[3-6]", name)]
    assert elements.texts("p")[1:3] == [
        "torch: as given in the spec; no search was run",
        "torch: clr beats constant (untuned).",
    ]
    order = ['id="rate"', 'id="verdict"', 'class="standings"', 'class="picture forest"', 'id="warnings"', 'id="plots"']
    places = [html.index(part) for part in order]
    assert places == sorted(places)
    answer, rest = html.split('<h2 id="more">')
    assert len(re.sub(r"<style>.*?</style>|<[^>]+>", " ", answer, flags=re.DOTALL).split()) < 900
    assert answer.count("<details>") == 0
    assert rest.count("<table>") == rest.count("<caption")


@pytest.mark.acceptance
def test_the_page_says_the_words_of_the_terminal(tmp_path: Path) -> None:
    findings = sample_findings(tmp_path)
    page = Elements(render_page(page_content(findings, glance(findings), [], ())))
    said = {
        text for name, _, parts in page.found if name in {"p", "td", "th", "li", "span"} for text in ["".join(parts)]
    }
    lines = [line[10:] for line in shown(findings).splitlines() if line.startswith(("Rates", "Verdict", "Use it"))]
    assert set(lines) <= said
    (table,) = page_content(findings, glance(findings), [], ()).standings
    assert {cell for row in table.rows for cell in table.cells(row)} <= said


def test_the_page_says_how_to_have_the_arm_to_use_as_code(tmp_path: Path) -> None:
    findings = sample_findings(tmp_path)
    page = Elements(render_page(page_content(findings, glance(findings), [], ())))
    assert "clrbench export . --arm clr --to torch" in page.texts("code")


def test_a_page_weighs_little_and_its_pictures_are_markup(html: str) -> None:
    assert len(html) < 500_000
    assert "<img" not in html
    assert "data:image" not in html


def test_text_that_means_harm_stays_text(html: str, elements: Elements) -> None:
    assert "<script" not in html
    assert elements.attributes("script") == []
    assert BAD in elements.texts("li")
    assert any(f"dataset: {BAD}.npz" in text.replace("''", "'") for text in elements.texts("pre"))
    assert f"2.0{BAD}" in elements.texts("dd")


def test_text_that_means_harm_stays_text_in_titles_tables_and_figures(content: PageContent) -> None:
    frame = pd.DataFrame({BAD: [BAD], "value": [0.5]})
    figures = tuple(replace(figure, name=BAD, caption=BAD, alt=BAD) for figure in content.figures)
    curves = tuple(replace(curve, caption=BAD, drawing=BAD, words=BAD) for curve in content.text_curves)
    tables = (PageTable(BAD, BAD, frame),)
    changed = replace(
        content, title=BAD, figures=figures, text_curves=curves, more_tables=tables, provenance={BAD: BAD}
    )
    html = render_page(changed)
    elements = Elements(html)
    assert "<script" not in html
    assert elements.texts("h1") == [BAD]
    pictures = [found["aria-label"] for found in elements.attributes("svg")]
    assert pictures[1:] == [BAD] * len(figures)


def test_nothing_is_asked_of_any_other_place(elements: Elements) -> None:
    policies = [meta["content"] for meta in elements.attributes("meta") if "http-equiv" in meta]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    places = [value for _, found, _ in elements.found for name, value in found.items() if name in {"src", "href"}]
    assert len(places) > 50
    assert {str(place)[0] for place in places} == {"#", "d"}
    assert [place for place in places if not str(place).startswith("#")] == ["data:,"]
    assert not re.search(r"url\((?!#)", "".join(str(found) for _, found, _ in elements.found))
    (style,) = elements.texts("style")
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.acceptance
def test_equal_experiments_give_equal_bytes(html: str, tmp_path: Path) -> None:
    assert render_page(sample_content(tmp_path, hostile=BAD)) == html


def test_tables_have_captions_and_headings_for_rows_and_columns(elements: Elements) -> None:
    num_tables = len(elements.attributes("table"))
    assert num_tables == len(elements.attributes("caption")) > 5
    assert {cell["scope"] for cell in elements.attributes("th")} == {"row", "col"}
    regions = [found for found in elements.attributes("div") if found.get("role") == "region"]
    names = [caption["id"] for caption in elements.attributes("caption")]
    assert [region["aria-labelledby"] for region in regions if "aria-labelledby" in region] == names
    assert {region["tabindex"] for region in regions} == {"0"}
    assert len(set(names)) == num_tables


def test_every_id_is_there_once_and_every_reference_leads_to_one(elements: Elements) -> None:
    ids = [found["id"] for _, found, _ in elements.found if "id" in found]
    references = {found["aria-labelledby"] for _, found, _ in elements.found if "aria-labelledby" in found}
    references |= {str(found["href"])[1:] for found in elements.attributes("use")}
    references |= set(re.findall(r"url\(#([^)]+)\)", " ".join(str(found) for _, found, _ in elements.found)))
    assert len(set(ids)) == len(ids)
    assert len(references) > 20
    assert references <= set(ids)


def test_a_table_that_the_page_knows_nothing_of_is_shown(content: PageContent) -> None:
    frame = pd.DataFrame({"arm": ["clr"], "tried_lr": [0.0123456]})
    table = PageTable("search.csv", "Search", frame)
    assert "0.01235" in Elements(render_page(replace(content, more_tables=(table,)))).texts("td")


def test_a_table_too_long_for_a_page_is_named(content: PageContent) -> None:
    rows = pd.DataFrame({"step": range(251), "lr": 0.125})
    for frame, number in ((rows, 0), (rows[:250], 250)):
        shown = render_page(replace(content, more_tables=(PageTable("schedule.csv", "Rates", frame),)))
        assert shown.count('<td class="number">0.125</td>') == number
        assert ("see schedule.csv beside it. Its columns: step, lr." in shown) is (number == 0)


def test_provenance_names_what_is_mixed() -> None:
    made_with = [provenance(version=version) for version in ("2.0", "2.0", "2.1")]
    made_with.append(provenance("keras", "3.0", git_commit="abc", threads=2))
    assert provenance_entries(made_with) == {
        "versions: torch": "mixed: 2.0 (2 runs), 2.1 (1 run)",
        "versions: keras": "3.0",
        "protocol": "3",
        "python": "3.11",
        "machine": "x86_64",
        "system": "Linux",
        "libc": "unknown",
        "processor": "a processor",
        "logical cpus": "2",
        "git commit": "mixed: unknown (3 runs), abc (1 run)",
        "device": "cpu",
        "threads": "mixed: 1 (3 runs), 2 (1 run)",
        "executor": "local",
        "data checksum": "0" * 64,
        "rows: train": "100",
        "rows: validation": "0",
        "rows: test": "400",
        "standardisation": "unknown",
    }


def test_provenance_shows_what_lies_in_it_as_json() -> None:
    made_with = provenance(build={"threads": [1, 2], "mkl": True}, standardisation={"mean": [0.5], "deviation": [0.25]})
    found = provenance_entries([made_with])
    assert (found["build: threads"], found["build: mkl"], found["standardisation: mean"]) == ("[1, 2]", "true", "[0.5]")


def test_alternative_texts_hold_the_numbers_of_the_plot(content: PageContent) -> None:
    words = {figure.name: figure.alt for figure in content.figures}
    assert words["test_accuracy"] == (
        "Test accuracy of constant (torch): 0.4000 (epoch 1), last 0.7000 (epoch 2.5), 95 % interval 0.7000 to "
        "0.7000. Test accuracy of clr (torch): 0.6000 (epoch 1), last 0.8250 (epoch 2.5), 95 % interval 0.8054 to "
        "0.8446."
    )
    assert content.forest is not None
    assert content.forest.alt == "clr - constant (torch): +12.5 %, interval +10.0 to +15.0; better."
    assert words["time_to_target"] == (
        "Test accuracy at least 0.5 (torch): 6 of 6 runs of constant reach it, the median run at epoch 2, 6 stay there; 6 of "
        "6 runs of clr reach it, the median run at epoch 1, 6 stay there. Test accuracy at least 0.9 (torch): 0 of 6 runs of "
        "constant reach it, 0 stay there; 0 of 6 runs of clr reach it, 0 stay there."
    )


def test_every_figure_has_its_picture_alternative_text_and_caption(content: PageContent, elements: Elements) -> None:
    assert [figure.name for figure in content.figures] == [
        *("test_accuracy", "test_loss", "train_loss", "lr_schedule", "time_to_target")
    ]
    pictures = elements.attributes("svg")
    assert content.forest is not None
    assert [picture["aria-label"] for picture in pictures] == [one.alt for one in (content.forest, *content.figures)]
    assert {picture["role"] for picture in pictures} == {"img"}
    captions = elements.texts("figcaption")
    assert captions[: len(content.figures)] == [figure.caption for figure in content.figures]


def test_texts_of_a_picture_stay_text_and_greys_follow_the_scheme(content: PageContent) -> None:
    (curves,) = (figure for figure in content.figures if figure.name == "test_accuracy")
    assert ">test accuracy (fraction)</text>" in curves.svg.body
    assert "var(--ground)" in curves.svg.body
    assert set(re.findall("#[0-9a-f]{6}", curves.svg.body)) == {"#0072b2", "#d55e00"}


def test_text_curves_are_those_of_the_means(content: PageContent, tmp_path: Path) -> None:
    (curve,) = content.text_curves
    assert curve.caption == "Test accuracy by epoch on torch, mean over the seeds"
    assert curve.drawing.splitlines()[0] == "test accuracy (fraction)"
    assert curve.drawing.splitlines()[-1].strip() == "epoch"
    assert "o clr: starts at 0.6 (epoch 1)" in curve.words.replace("\n  ", " ")
    folder = ResultsFolder(tmp_path)
    write_run(folder, "constant", 0, [0.4, 0.6, 0.7])
    write_run(folder, "clr", 0, [0.4, 0.6, 0.7], status="diverged")
    findings = findings_of(folder, sample_spec(seeds=1))
    (curve,) = page_content(findings, glance(findings), [], ()).text_curves
    assert curve.caption.endswith("on torch, mean over the seeds that had not diverged")


def test_a_single_arm_without_targets_makes_a_page(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_run(folder, "constant", 0, [0.4, 0.6, 0.5])
    findings = findings_of(folder, sample_spec(seeds=1, arms={"constant": CONSTANT}, targets={}))
    elements = Elements(render_page(page_content(findings, glance(findings), [], ())))
    assert elements.texts("h2") == ["Which rate?", "Does any arm beat the baseline?", "Details", "All tables"]
    assert elements.attributes("svg") == []
    assert NOTHING_TO_COMPARE in elements.texts("p")[2]


def test_colours_have_enough_contrast_in_both_schemes() -> None:
    light, dark = schemes()
    for scheme in (light, dark):
        for text, ground in product(("text", "quiet"), ("ground", "warning")):
            assert contrast(scheme[text], scheme[ground]) >= 4.5
        assert contrast(scheme["focus"], scheme["ground"]) >= 3
        assert contrast(scheme["bound"], scheme["ground"]) >= 4.5
    assert set(light) == set(dark)


def test_lines_of_arms_are_seen_in_the_dark() -> None:
    _, dark = schemes()
    arms = set(arm_colours([f"arm {number}" for number in range(20)]).values()) - {"#000000"}
    assert all(contrast(colour, dark["ground"]) >= 3 for colour in arms)


def schemes() -> list[dict[str, str]]:
    """Return the colours of the light and of the dark scheme."""
    css = files("clrbench.report").joinpath("templates/page.css").read_text()
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part)) for part in css.split("@media", 2)[:2]]


def contrast(first: str, second: str) -> float:
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
