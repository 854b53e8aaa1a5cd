"""The answer of an experiment as large as the demo, on terminals of every width."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from answers import shown, with_baselines
from runs_in_memory import results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.comparison import Comparison
from clrbench.analysis.glance import BackendGlance, Judged, RateFound, glance
from clrbench.analysis.results import LookedAt
from clrbench.analysis.tables import Findings, analyse
from clrbench.rates import Rates
from clrbench.rates.records import Tried
from clrbench.report import answer as said
from clrbench.report.console import plain, print_line, rendered
from clrbench.report.details import notes
from clrbench.report.standings import standings_table
from clrbench.report.terminal import answer_text, fitting_table, interval_bar
from clrbench.report.values import Values

ARMS = ("constant", "clr", "triangular2", "linear_decay", "one_cycle", "cosine")
VALUES = Values.of("test_accuracy", 10_000)
MEANS = dict(zip(ARMS, (0.94, 0.91, 0.942, 0.95, 0.955, 0.9475), strict=True))
WARNINGS = [f"arm clr: warning {number} has quite a few words of its own to say; and advice" for number in range(5)]
IN_CYCLES = (Tried(0.178, (0,), 200, 0.2, 0.95, 0.01),)
BOUNDS = Rates(0.0123, 0.178, 0.0562, 0.0123, confirmed=True, num_steps=360, triangles=IN_CYCLES)


@pytest.fixture(scope="module")
def findings() -> Findings:
    """The findings of six arms on two backends, with two targets and rates that were confirmed."""
    runs = [
        stored_run(
            arm,
            seed,
            {5: 0.9, 10: round(float(mean + np.random.default_rng([seed, len(arm)]).normal(0, 0.004)), 4)},
            backend=backend,
            hits=np.arange(4000) % 10 > 0,
            classes=np.arange(4000, dtype=np.int32) % 4,
        )
        for backend in ("torch", "keras")
        for arm, mean in MEANS.items()
        for seed in range(10)
    ]
    arms = dict.fromkeys(ARMS, CONSTANT) | {"one_cycle": {"schedule": {"name": "one_cycle", "max_lr": 0.178}}}
    content = {"arms": arms, "seeds": 10, "backends": ("torch", "keras"), "targets": {"test_accuracy": (0.93, 0.95)}}
    found = analyse(results_of(runs, **content))
    return replace(found, bounds={("torch", None): BOUNDS, ("keras", None): replace(BOUNDS, max_lr=0.316)})


def lines_at(findings: Findings, width: int) -> list[str]:
    text = answer_text(glance(findings), findings, WARNINGS, Path("results/demo"), width, details=False)
    return click.unstyle(text).splitlines()


@pytest.mark.parametrize("width", [80, 100, 110, 200])
def test_the_answer_is_at_most_thirty_lines_of_at_most_a_hundred_columns(findings: Findings, width: int) -> None:
    lines = lines_at(findings, width)
    assert len(lines) <= 30
    assert max(map(len, lines)) <= min(width, 100)
    assert all(line == line.rstrip() for line in lines)


def test_the_answer_has_its_parts_in_order(findings: Findings) -> None:
    lines = lines_at(findings, 100)
    starts = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert starts[:4] == ["test:", "Rates", "Verdict", "torch"]
    assert starts[-3:] == ["Use", "Warnings", "Page"]
    order = sorted(MEANS, key=lambda arm: -MEANS[arm])
    assert [start for start in starts if start in ARMS] == order * 2
    assert lines[1] == "Rates     torch: base_lr 0.0123, max_lr 0.178, constant 0.0562, confirmed"
    assert sum("(baseline)" in line for line in lines) == 2
    assert [line for line in lines if "Use it" in line] == [
        "Use it    torch, keras: one_cycle(max_lr=0.178), 10 updates"
    ]


def test_an_upper_bound_at_which_nothing_was_trained_is_not_called_confirmed(findings: Findings) -> None:
    bounds = {key: replace(rates, triangles=()) for key, rates in findings.bounds.items()}
    line = lines_at(replace(findings, bounds=bounds), 100)[1]
    assert line == "Rates     torch: base_lr 0.0123, max_lr 0.178, constant 0.0562, only the constant confirmed"


def test_arms_that_have_the_same_rates_for_themselves_share_a_line(findings: Findings) -> None:
    answer = glance(findings)
    found = RateFound("confirmed", base_lr=0.01, max_lr=0.1, constant_lr=0.05)
    others = replace(found, arm="adam", max_lr=0.2), replace(found, arm="adam_clr", max_lr=0.2)
    tuned = RateFound("tuned", arm="plain", tuned_lr=0.03)
    backends = [replace(one, rates=(found, *others, tuned)) for one in answer.backends]
    assert list(said.rate_lines(replace(answer, backends=tuple(backends)))) == [
        "torch, keras: base_lr 0.01, max_lr 0.1, constant 0.05, confirmed",
        "torch, keras: plain 0.03, the best rate tried on validation rows",
        "torch, keras: adam, adam_clr: base_lr 0.01, max_lr 0.2, constant 0.05, confirmed",
    ]


def test_rates_say_what_was_confirmed_what_was_tuned_and_what_is_not_known() -> None:
    found = RateFound("not confirmed", max_lr=0.1, constant_lr=0.05, tuned_lr=0.178, triangle_base_lr=0.01)
    assert said.rate_words(found) == (
        "base_lr unknown (0.01 used), max_lr 0.1, constant 0.05, not confirmed; constant tuned to 0.178"
    )


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_command_to_paste_stands_in_one_line(findings: Findings, width: int) -> None:
    root = Path("results") / ("a-rather-long-name-of-an-experiment" * 2)
    text = answer_text(glance(findings), findings, [], root, width, details=False)
    assert f"clrbench export {root} --arm one_cycle --to torch\n" in click.unstyle(text)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_details_break_no_name(findings: Findings, width: int) -> None:
    text = click.unstyle(answer_text(glance(findings), findings, [], Path("results/demo"), width, details=True))
    found = {word.strip(";") for word in text.partition("Candidate - baseline")[2].split()}
    assert found >= set(ARMS)
    assert not {arm[:end] for arm in ARMS for end in range(4, len(arm))} & found - {*ARMS, "linear"}


def test_no_line_ends_between_a_metric_and_its_unit(findings: Findings) -> None:
    line = said.asked_line(glance(findings))
    for width in range(40, 121):
        text = plain(rendered(lambda console: print_line(console, "", line), width))
        assert "accuracy in %" in text
        assert "\xa0" not in text


def test_columns_go_where_there_is_no_room_for_them(findings: Findings) -> None:
    headings = {
        width: next(line for line in lines_at(findings, width) if line.startswith("torch ")) for width in (80, 100, 120)
    }
    assert ["to 93 %" in headings[width] for width in (80, 100, 120)] == [False, True, True]
    bars = [any("-o-" in line for line in lines_at(findings, width)) for width in (80, 100, 120)]
    assert bars == [False, False, True]


def test_a_bar_grows_shorter_and_goes_before_it_makes_a_table_wider_than_text(findings: Findings) -> None:
    answer = glance(findings)
    table = standings_table(answer, answer.backends[0])
    bars = []
    for extra in range(40):
        longer = replace(table, rows=tuple(replace(row, label=row.label + "x" * extra) for row in table.rows))
        text = plain(rendered(lambda console, rows=longer: console.print(fitting_table(console, rows)), 200))
        bars.append(max(map(len, re.findall(r" ([|o-]{2,})", text)), default=0))
        assert max(map(len, text.splitlines())) <= 100 or not bars[-1]
    assert len(set(bars)) == 3
    assert bars == sorted(bars, reverse=True)
    assert bars[-1] == 0


def test_three_warnings_are_shown_a_line_each_and_the_others_counted(findings: Findings) -> None:
    lines = lines_at(findings, 80)
    start = next(number for number, line in enumerate(lines) if line.startswith("Warnings"))
    assert [line[10:] for line in lines[start:-1]] == [
        "arm clr: warning 0 has quite a few words of its own to say",
        "arm clr: warning 1 has quite a few words of its own to say",
        "arm clr: warning 2 has quite a few words of ... (2 more: --details)",
    ]


def test_details_hold_every_warning_and_table(findings: Findings) -> None:
    answer = glance(findings)
    text = click.unstyle(answer_text(answer, findings, WARNINGS, Path("results/demo"), 100, details=True))
    assert all(warning in text for warning in WARNINGS)
    for caption in (
        "Candidate - baseline",
        "Evidence for each comparison",
        "Test accuracy at the end",
        "Time to target",
    ):
        assert caption in text
    assert max(map(len, text.splitlines())) <= 100


def test_colour_marks_verdicts_and_headings_alone(findings: Findings) -> None:
    text = answer_text(glance(findings), findings, [], Path("results/demo"), 100, details=False)
    assert "\x1b[32m+ better\x1b[0m" in text
    assert "\x1b[31m- worse\x1b[0m" in text
    assert "\x1b[1mVerdict   \x1b[0mtorch" in text


@pytest.mark.parametrize(
    ("low", "mean", "high", "bar"),
    [
        (0.01, 0.02, 0.03, "  | -o--"),
        (-0.01, 0.0, 0.01, "--o--   "),
        (-math.inf, 0.02, math.inf, "<-|--o->"),
        (0.01, 0.02, 0.03, " |-o-"),
        (-0.01, 0.0, 0.01, "-o-  "),
    ],
)
def test_a_bar_marks_zero_mean_and_ends(low: float, mean: float, high: float, bar: str) -> None:
    row = Comparison(6, mean, low, high, 0.03, 6, 0, 0, "torch", "test_accuracy", "clr", "constant", "better")
    assert interval_bar(row, (-0.01, 0.03), len(bar)) == bar


@pytest.mark.parametrize(
    ("rows", "text"),
    [(60, "94"), (400, "94.4"), (1000, "94.4"), (4000, "94.44"), (10_000, "94.44"), (26_032, "94.444")],
)
def test_accuracies_have_the_digits_that_their_rows_carry(rows: int, text: str) -> None:
    assert Values.of("test_accuracy", rows).value(0.94444) == text


def test_a_difference_has_its_sign_and_nothing_has_none() -> None:
    values = Values.of("test_accuracy", 1000)
    assert [values.difference(value) for value in (0.01, -0.01, 0.0001, -0.0001, 0.0)] == [
        "+1.0",
        "-1.0",
        "0.0",
        "0.0",
        "0.0",
    ]
    assert Values.of("test_loss", 1000).difference(-0.01234) == "-0.0123"
    assert values.value(math.nan) == "-"


# Sentences.


def sentences(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in re.split(r"(?<=[.;])\s", line)]


def cases() -> Iterator[Findings]:
    """Yield findings that have something to say of everything that can be said."""
    nan = math.nan
    good, bad = [0.72, 0.71, 0.74, 0.7, 0.71, 0.75, 0.73], [0.25, nan, 0.7, 0.7, 0.7, 0.2, 0.1]

    def of(ends: Sequence[float], **changes: object) -> Findings:
        runs = [stored_run("constant", seed, {10: 0.7}) for seed in range(len(ends))]
        runs += [stored_run("clr", seed, {10: end}) for seed, end in enumerate(ends)]
        looks = {"torch": LookedAt(2, frozenset({7, 8}))}
        return analyse(results_of(runs, **{"seeds": len(ends), **changes}).with_looks(looks))

    for metric in ("test_accuracy", "test_loss", "train_accuracy"):
        for ends in (good, bad, good[:3], [0.7] * 7):
            yield of(ends, verdict={"metric": metric, "margin": 0.01})
    yield of(good, seeds=9)


@pytest.mark.acceptance
def test_no_sentence_of_an_answer_is_long() -> None:
    found = {
        sentence
        for findings in cases()
        for sentence in sentences([*said.beat_lines(glance(findings), findings), *notes(glance(findings), findings)])
    }
    rates = [
        RateFound(source, "clr", 0.1, 0.2, 0.15, 0.1) for source in ("confirmed", "not confirmed", "tuned", "given")
    ]
    found |= set(sentences([said.rate_words(rate) for rate in rates]))
    assert len(found) > 25
    assert [sentence for sentence in found if len(sentence.split()) > said.MAX_SENTENCE_WORDS] == []


def test_many_arms_are_counted_where_naming_them_would_make_a_sentence_long(findings: Findings) -> None:
    backend = glance(findings).backends[0]
    many = [
        Judged(replace(one.comparison, candidate=f"arm{number}"), one.evidence)
        for number in range(12)
        for one in backend.judged
    ]
    sentence = said.beat_sentence(many, VALUES)
    assert len(sentence.split()) <= said.MAX_SENTENCE_WORDS
    assert re.search(r"\d+ arms beat constant", sentence)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_arms_with_baselines_of_their_own_are_set_against_these(width: int) -> None:
    found = with_baselines(momentum="none", momentum_clr="momentum", adam="none", adam_clr="adam")
    lines = shown(found, width).splitlines()
    assert max(map(len, lines)) <= min(width, 100)
    rows = {line.split()[0]: line for line in lines if line and not line.startswith(" ")}
    assert " against " in rows["torch"]
    for arm in ("momentum", "adam"):
        assert rows[arm].endswith("(baseline)")
        assert f" {arm} " in rows[f"{arm}_clr"]
        assert "[" in rows[f"{arm}_clr"]


@pytest.mark.parametrize("verdict", ["better", "worse", "no difference shown"])
def test_many_baselines_with_the_same_outcome_have_one_sentence(verdict: str) -> None:
    names = ("sgd", "adam", "rmsprop")
    arms = dict.fromkeys(names, "none") | {f"{name}_clr": name for name in names}
    (answer,) = glance(with_baselines(**arms)).backends

    def judged(number: int, *, untuned: bool) -> BackendGlance:
        found = [
            Judged(replace(one.comparison, verdict=verdict), replace(one.evidence, untuned=untuned))
            for one in answer.judged
        ]
        return replace(answer, judged=tuple(found[:number]))

    (sentence,) = said.beat_sentences(judged(3, untuned=False), VALUES)
    assert "its baseline" in sentence
    assert len(list(said.beat_sentences(judged(2, untuned=False), VALUES))) == 2
    assert all("(untuned)" in one for one in said.beat_sentences(judged(3, untuned=True), VALUES))


def test_a_baseline_that_no_row_is_set_against_is_called_another_one() -> None:
    answer = glance(with_baselines(high="none", clr="high"))
    (backend,) = answer.backends
    high = next(one for one in backend.standings if one.is_baseline)
    low = replace(high, label="low", mean=0.1)
    table = standings_table(answer, replace(backend, standings=(*backend.standings, low)))
    assert [(row.label, row.difference) for row in table.rows if not row.verdict] == [
        ("high", "(baseline)"),
        ("low", "(other baseline)"),
    ]
    assert "against" not in table.headings


def test_equal_outcomes_against_another_baseline_are_not_said_twice(findings: Findings) -> None:
    backend: BackendGlance = glance(findings).backends[0]
    other = tuple(Judged(replace(one.comparison, baseline="other"), one.evidence) for one in backend.judged)
    both = list(said.beat_sentences(replace(backend, judged=(*backend.judged, *other)), VALUES))
    assert both[1:] == ["Likewise against other (untuned)."]


def test_a_difference_from_another_baseline_is_said_in_numbers_where_it_is_one(findings: Findings) -> None:
    backend: BackendGlance = glance(findings).backends[0]
    verdicts = ["better", "no difference shown", "worse"]
    other = tuple(
        Judged(
            replace(
                one.comparison, baseline="other", verdict=verdict, mean_difference=0.0039, ci_low=0.0017, ci_high=0.0065
            ),
            replace(one.evidence, untuned=False, comparisons=comparisons, adjusted_p_value=0.046875),
        )
        for one, verdict, comparisons in zip(backend.judged, verdicts, (6, 6, 1), strict=False)
    )
    names = [one.comparison.candidate for one in other]
    *_, sentence = said.beat_sentences(replace(backend, judged=(*backend.judged, *other)), VALUES)
    numbers = "+0.39 [+0.17, +0.65]"
    assert sentence == (
        f"{names[0]} ({numbers}, Holm p 0.047) beats other; other beats {names[2]} ({numbers}, p 0.047); "
        f"no difference shown for {names[1]}."
    )


def test_a_difference_that_stands_in_the_table_is_not_said_again() -> None:
    (answer,) = glance(with_baselines(momentum="none", momentum_clr="momentum", adam="none", adam_clr="adam")).backends
    judged = tuple(Judged(replace(one.comparison, verdict="better"), one.evidence) for one in answer.judged)
    rows = [
        replace(row, comparison=one.comparison)
        for row in answer.standings
        for one in judged
        if row.label == one.comparison.candidate
    ]
    said_of_it = " ".join(said.beat_sentences(replace(answer, judged=judged, standings=tuple(rows)), VALUES))
    assert said_of_it.count(" beats ") == 2
    assert "[" not in said_of_it


def test_an_answer_without_a_terminal_has_no_codes(findings: Findings) -> None:
    assert "\x1b" not in shown(findings)
