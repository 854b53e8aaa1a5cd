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
from clrbench.report.figure_words import figure_words, seeds_in_words
from clrbench.report.verdict import verdict_text
from page_samples import CONSTANT, HOSTILE, PAIRS, make_spec, sample_content
from runs_on_disk import write_run

from clrbench.analysis.tables import make_tables
from clrbench.report.page import PageContent, page, page_content, prose, provenance
from clrbench.report.page_table import PageTable, by_metric
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
    return page(content)


@pytest.fixture(scope="module")
def elements(html: str) -> Elements:
    return Elements(html)


def test_the_verdict_stands_first_then_numbers_plots_text_tables_spec_and_provenance(elements: Elements) -> None:
    headings = ["Verdict", "Mind", "In numbers", "Plots", "As text", "All tables", "Spec", "Provenance"]
    assert elements.texts("h1") == ["sample"]
    assert elements.texts("h2") == headings
    assert not [name for name, _, _ in elements.found if re.fullmatch("h[3-6]", name)]
    assert elements.texts("p")[0].startswith("torch: clr beats constant. Test accuracy: clr 0.8250, constant 0.7000;")


def test_every_word_of_the_verdict_is_on_the_page(tmp_path: Path) -> None:
    content = sample_content(tmp_path, with_figures=False)
    tables = make_tables(make_spec(), ResultsFolder(tmp_path).indexed_runs(), PAIRS)
    parts = Elements(page(content)).found
    said = " ".join("".join(text) for name, _, text in parts if name in {"p", "li"})
    words = verdict_text(make_spec(), tables, []).split()
    assert [word.strip(",") for word in words] == [word.strip(",") for word in said.split()][: len(words)]


def test_prose_makes_paragraphs_of_lines_and_lists_of_indented_ones() -> None:
    text = "One.\nTwo.\n\nAt the end:\n  torch  clr       mean 0.9\n  torch  constant  mean 0.8\n\nMind:\n  - this"
    lists = ("torch, clr, mean 0.9", "torch, constant, mean 0.8"), ("this",)
    assert prose(text) == ("One.", "Two.", "At the end:", lists[0], "Mind:", lists[1])


def test_text_that_means_harm_stays_text(html: str, elements: Elements) -> None:
    assert "<script" not in html
    assert elements.attributes("script") == []
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in elements.attributes("img"))
    assert BAD in elements.texts("li")
    assert any(f"dataset: {BAD}.npz" in text.replace("''", "'") for text in elements.texts("pre"))
    assert f"2.0{BAD}" in elements.texts("dd")


def test_text_that_means_harm_stays_text_in_titles_tables_and_figures(content: PageContent) -> None:
    frame = pd.DataFrame({BAD: [BAD], "value": [0.5]})
    figures = tuple(replace(figure, name=BAD, caption=BAD, alt=BAD) for figure in content.figures)
    curves = tuple(replace(curve, caption=BAD, drawing=BAD, words=BAD) for curve in content.text_curves)
    tables = (PageTable(BAD, BAD, frame),)
    changed = replace(content, title=BAD, figures=figures, text_curves=curves, tables=tables, provenance={BAD: BAD})
    html = page(changed)
    elements = Elements(html)
    assert "<script" not in html
    assert elements.texts("h1") == [BAD]
    assert len(elements.attributes("img")) == len(figures)
    assert {image["alt"] for image in elements.attributes("img")} == {BAD}


def test_nothing_is_asked_of_any_other_place(elements: Elements) -> None:
    policies = [meta["content"] for meta in elements.attributes("meta") if "http-equiv" in meta]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    places = [value for _, found, _ in elements.found for name, value in found.items() if name in {"src", "href"}]
    assert len(places) == 4
    assert all(str(place).startswith("data:") for place in places)
    (style,) = elements.texts("style")
    assert "url(" not in style
    assert "@import" not in style


def test_equal_experiments_give_equal_bytes(html: str, tmp_path: Path) -> None:
    assert page(sample_content(tmp_path, hostile=BAD)) == html


def test_tables_have_captions_and_headings_for_rows_and_columns(elements: Elements) -> None:
    num_tables = len(elements.attributes("table"))
    assert num_tables == len(elements.attributes("caption")) > 5
    assert {cell["scope"] for cell in elements.attributes("th")} == {"row", "col"}
    regions = [found for found in elements.attributes("div") if found.get("role") == "region"]
    names = [caption["id"] for caption in elements.attributes("caption")]
    assert [region["aria-labelledby"] for region in regions] == names
    assert {region["tabindex"] for region in regions} == {"0"}
    assert len(set(names)) == num_tables


def test_every_id_is_there_once_and_every_reference_leads_to_one(elements: Elements) -> None:
    ids = [found["id"] for _, found, _ in elements.found if "id" in found]
    references = {found["aria-labelledby"] for _, found, _ in elements.found if "aria-labelledby" in found}
    assert len(set(ids)) == len(ids)
    assert references <= set(ids)


def test_a_table_that_the_page_knows_nothing_of_is_shown(content: PageContent) -> None:
    frame = pd.DataFrame({"arm": ["clr"], "tried_lr": [0.0123456]})
    table = PageTable("search.csv", "Search", frame)
    assert table.columns == [("arm", False), ("tried lr", True)]
    assert "0.01235" in Elements(page(replace(content, more_tables=(table,)))).texts("td")


def test_a_table_too_long_for_a_page_is_named(content: PageContent) -> None:
    rows = pd.DataFrame({"step": range(251), "lr": 0.125})
    for frame, number in ((rows, 0), (rows[:250], 250)):
        shown = page(replace(content, tables=(), more_tables=(PageTable("schedule.csv", "Rates", frame),)))
        assert shown.count('<td class="number">0.125</td>') == number
        assert ("see schedule.csv beside it. Its columns: step, lr." in shown) is (number == 0)


def cells(frame: pd.DataFrame, metric: str = "") -> list[list[str]]:
    return PageTable("file.csv", "caption", frame, metric).rows


def test_numbers_are_rounded_for_reading() -> None:
    row = {"backend": "torch", "metric": "test_accuracy", "pairs": 10, "mean_difference": 0.00499, "ci_low": -np.inf}
    row |= {"ci_high": 0.0, "p_value": 0.001953125}
    assert cells(pd.DataFrame([row])) == [
        ["torch", "test_accuracy", "10", "+0.0050", "-∞", "+0.0000", "0.00195"],
    ]
    row = {"metric": "test_accuracy", "target": 0.975, "first_epoch": 5.0, "first_step": np.inf}
    assert cells(pd.DataFrame([row])) == [["test_accuracy", "0.975", "5", "missed"]]
    row = {"train_seconds": 3.507577, "images_per_second": 188164.07, "train_loss": 0.0913102, "speedup": np.nan}
    assert cells(pd.DataFrame([row])) == [["3.508", "188164", "0.0913", "n/a"]]
    assert cells(pd.DataFrame([{"mean": 0.974, "lr": 0.0000123456}]), "test_accuracy") == [["0.9740", "1.235e-05"]]


def test_the_columns_before_the_first_number_name_a_row() -> None:
    for row, expected in (({"a": "x", "b": "y", "c": 1}, 2), ({"a": 1, "b": 2}, 1), ({"a": "x"}, 1)):
        assert PageTable("", "", pd.DataFrame([row])).num_row_headings == expected


def test_a_table_with_columns_for_each_metric_gets_a_row_for_each_that_was_measured() -> None:
    wide = {"backend": "torch", "arm": "clr", "runs": 2, "diverged": 0, "cost": 7}
    for metric, value in (("test_accuracy", 0.5), ("test_loss", 0.25), ("validation_loss", np.nan)):
        wide |= {f"{metric}_mean": value, f"{metric}_sd": value / 5}
    expected = pd.DataFrame(
        {"backend": "torch", "arm": "clr", "metric": ["test_accuracy", "test_loss"], "runs": 2, "diverged": 0}
        | {"cost": 7, "mean": [0.5, 0.25], "sd": [0.1, 0.05]}
    )
    pd.testing.assert_frame_equal(by_metric(pd.DataFrame([wide])), expected)
    pd.testing.assert_frame_equal(by_metric(expected), expected)


def test_provenance_names_what_is_mixed(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for seed, version in enumerate(["2.0", "2.0", "2.1"]):
        write_run(folder, "clr", seed, [0.1, 0.2, 0.3], version=version)
    write_run(folder, "clr", 0, [0.1, 0.2, 0.3], backend="keras", version="3.0")
    found = provenance(folder.indexed_runs())
    assert {name: value for name, value in found.items() if not name.startswith("rows")} == {
        "versions: torch": "mixed: 2.0 (2 runs), 2.1 (1 run)",
        "versions: keras": "3.0",
        "threads": "1",
        "device": "cpu",
        "executor": "local",
    }


def test_seeds_in_words() -> None:
    assert [seeds_in_words(seeds) for seeds in ([], [3], [2, 0, 1, 2], [0, 4, 9], range(0, 40, 2))] == [
        "",
        "seed 3",
        "seeds 0 to 2",
        "seeds 0, 4, 9",
        "20 seeds between 0 and 38",
    ]


def test_alternative_texts_hold_the_numbers_of_the_plot(content: PageContent) -> None:
    words = {figure.name: figure.alt for figure in content.figures}
    assert words["test_accuracy"] == (
        "Test accuracy of constant (torch): 0.4000 (epoch 1), last 0.7000 (epoch 2.5), 95 % interval 0.7000 to "
        "0.7000. Test accuracy of clr (torch): 0.6000 (epoch 1), last 0.8250 (epoch 2.5), 95 % interval 0.8054 to "
        "0.8446."
    )
    assert words["differences"].startswith(
        "clr - constant (torch): mean +0.1250, interval +0.1000 to +0.1500, 6 pairs: 6 won"
    )
    assert words["time_to_target"] == (
        "Test accuracy at least 0.5 (torch): 6 of 6 runs of constant reach it, the median run at epoch 2, 6 stay there; 6 of "
        "6 runs of clr reach it, the median run at epoch 1, 6 stay there. Test accuracy at least 0.9 (torch): 0 of 6 runs of "
        "constant reach it, 0 stay there; 0 of 6 runs of clr reach it, 0 stay there."
    )


def test_alternative_texts_name_the_best_point_divergence_and_published_values(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_run(folder, "constant", 0, [0.4, 0.6, 0.5])
    write_run(folder, "clr", 0, [0.1, np.nan, np.nan], status="diverged")
    spec = make_spec(
        seeds=1,
        arms={
            "constant": {**CONSTANT, "published": {"test_accuracy": 0.75}},
            "clr": {"schedule": {"name": "constant", "lr": 0.5}},
        },
    )
    files = dict(make_tables(spec, folder.indexed_runs(), PAIRS).files())
    assert figure_words("test_accuracy", spec, files)[1] == (
        "Test accuracy of constant (torch): 0.4000 (epoch 1), best 0.6000 (epoch 2), last 0.5000 (epoch 2.5). Test "
        "accuracy of clr (torch): 0.1000 (epoch 1), last 0.1000 (epoch 1); 1 of 1 runs diverged. A dashed line marks "
        "the value published for constant, 0.75."
    )
    assert figure_words("lr_schedule", spec, files)[1] == (
        "Learning rate of constant (torch) goes from 0.5 to 0.1, between 0.1 and 0.5. Learning rate of clr (torch) goes "
        "from 0.5 to 0.3, between 0.3 and 0.5."
    )
    assert "interval unbounded, 1 pair: 0 won, 0 tied, 1 lost; cannot tell." in figure_words("overview", spec, files)[1]


def test_the_cost_of_each_arm_is_told_and_an_unknown_figure_shown_under_its_name(tmp_path: Path) -> None:
    write_run(ResultsFolder(tmp_path), "clr", 0, [0.4, 0.6, 0.5])
    files = dict(make_tables(make_spec(), ResultsFolder(tmp_path).indexed_runs(), []).files())
    curve = {"backend": "torch", "arm": "clr", "total_step": [50, 100, 150], "mean": [0.5, 0.6, 0.7]}
    files["cost_curve.csv"] = pd.DataFrame(curve)
    assert figure_words("cost", make_spec(), files) == (
        "Cost: test accuracy over all updates, those that found the rates among them",
        "Test accuracy of clr (torch): 0.5000 after 50 updates, last 0.7000 after 150 updates.",
    )
    assert figure_words("search_curve", make_spec(), files) == ("Search curve", "Plot: search curve.")


def test_a_single_arm_without_targets_makes_a_page(tmp_path: Path) -> None:
    write_run(ResultsFolder(tmp_path), "constant", 0, [0.4, 0.6, 0.5])
    spec = make_spec(seeds=1, arms={"constant": CONSTANT}, targets={})
    runs = ResultsFolder(tmp_path).indexed_runs()
    files = dict(make_tables(spec, runs, []).files())
    elements = Elements(page(page_content(spec, runs, files, {}, "Nothing to compare.", [])))
    assert elements.texts("h2") == ["Verdict", "In numbers", "As text", "All tables", "Spec", "Provenance"]
    shown = [caption["id"] for caption in elements.attributes("caption")]
    assert len(shown) == 1 + sum(not table.empty for table in files.values())


def test_colours_have_enough_contrast_in_both_schemes() -> None:
    css = files("clrbench.report").joinpath("templates/page.css").read_text()
    light, dark = (dict(colours(scheme)) for scheme in css.split("@media", 2)[:2])
    for scheme in (light, dark):
        for text, ground in product(("text", "quiet"), ("ground", "mind")):
            assert contrast(scheme[text], scheme[ground]) >= 4.5
        assert contrast(scheme["focus"], scheme["ground"]) >= 3
    assert set(light) == set(dark)


def colours(css: str) -> list[tuple[str, str]]:
    return re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css)


def contrast(first: str, second: str) -> float:
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
