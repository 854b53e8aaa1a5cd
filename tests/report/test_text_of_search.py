"""What is said of a search for a rate: what was chosen, and what may be wrong with it."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from answers import ending, flowing
from runs_in_memory import NO_SEARCH, make_spec, results_of
from specs import CONSTANT

from clrbench.analysis.glance import glance
from clrbench.analysis.results import Results
from clrbench.analysis.search import CHOSEN_COLUMNS, SEARCH_COLUMNS, Search
from clrbench.analysis.tables import Findings, analyse
from clrbench.rates import Rates
from clrbench.rates.records import Tried
from clrbench.report.answer import rate_lines
from clrbench.report.text import finding_warnings, findings_data

NAN = math.nan


def tuned(scores: dict[float, list[float]], given: float = 0.01) -> Findings:
    """Return the findings of an experiment with a tuned arm, of whose tries these are the accuracies by rate."""
    tries = [
        (
            "torch",
            "constant",
            rate,
            seed,
            0.25 if math.isnan(found) else found,
            4,
            math.inf if math.isnan(found) else 1.0,
        )
        for rate, by_seed in scores.items()
        for seed, found in enumerate(by_seed, 1_000_000)
    ]
    table = pd.DataFrame(tries, columns=list(SEARCH_COLUMNS))
    means = table.groupby("lr")["validation_accuracy"].mean()
    best = float(means.idxmax())
    at_edge = best in {min(scores), max(scores)}
    chosen = [("torch", "constant", given, best, len(table), at_edge, 4 * len(table))]
    search = Search(
        (), table, pd.DataFrame(chosen, columns=list(CHOSEN_COLUMNS)), tuple(ending("constant@0.01", [0.6] * 2))
    )
    arms = {"constant": {"schedule": {"name": "constant", "lr": [0.01, 0.03, 0.1]}}, "clr": CONSTANT}
    return analyse(results_of([*ending("constant", [0.7] * 2), *ending("clr", [0.8] * 2)], search, arms=arms))


def test_the_rate_chosen_stands_beside_the_one_given() -> None:
    findings = tuned({0.01: [0.5, 0.5], 0.03: [0.7, 0.5], 0.1: [0.1, 0.1]})
    assert "torch constant 0.01 0.03 6 24" in flowing(findings, details=True)
    assert "Rates torch: constant 0.03, the best rate tried on validation rows" in flowing(findings)
    assert list(finding_warnings(findings)) == []
    assert findings_data(findings, [])["chosen"] == [
        {
            "backend": "torch",
            "arm": "constant",
            "given_lr": 0.01,
            "lr": 0.03,
            "tries": 6,
            "at_edge": False,
            "search_steps": 24,
        }
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            {"constant": "constant"},
            ["torch: base_lr 0.01, max_lr 0.1, constant 0.05, confirmed; constant tuned to 0.03"],
        ),
        (
            {"decay": "linear_decay"},
            [
                "torch: base_lr 0.01, max_lr 0.1, constant 0.05, confirmed",
                "torch: decay 0.03, the best rate tried on validation rows",
            ],
        ),
        (
            {"decay": "linear_decay", "constant": "constant", "plain": "constant"},
            [
                "torch: base_lr 0.01, max_lr 0.1, constant 0.05, confirmed; constant tuned to 0.04",
                "torch: decay 0.03, the best rate tried on validation rows",
                "torch: plain 0.05, the best rate tried on validation rows",
            ],
        ),
    ],
)
def test_every_rate_tuned_beside_a_range_test_is_said_of_its_arm(names: dict[str, str], said: list[str]) -> None:
    clr = {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 2}}
    arms = {arm: {"schedule": {"name": name, "lr": [0.03, 0.1]}, "tune": {"seeds": 1}} for arm, name in names.items()}
    spec = make_spec(arms={**arms, "clr": clr}, baseline=next(iter(names)))
    rates = {arm: 0.03 + number / 100 for number, arm in enumerate(names)}
    chosen = pd.DataFrame([("torch", arm, 0.03, rate, 2, False, 8) for arm, rate in rates.items()])
    search = Search((), NO_SEARCH.tries, chosen.set_axis(list(CHOSEN_COLUMNS), axis=1), ())
    findings = analyse(Results(spec, tuple(ending("clr", [0.8] * 2)), search))
    triangles = (Tried(0.1, (0,), 8, 0.2, 0.9, 0.01),)
    bounds = {("torch", None): Rates(0.01, 0.1, 0.05, confirmed=True, triangle_base_lr=0.01, triangles=triangles)}
    assert list(rate_lines(glance(replace(findings, bounds=bounds)))) == said


def test_a_diverged_try_is_warned_about() -> None:
    found = list(finding_warnings(tuned({0.01: [0.2], 0.03: [0.24], 0.1: [NAN]})))
    assert found[0] == "arm constant: 1 of 3 tries of its search on torch diverged"


def test_a_search_in_which_every_try_diverged_is_not_told_as_a_choice() -> None:
    (warning,) = finding_warnings(tuned({0.01: [NAN], 0.03: [NAN], 0.1: [NAN]}))
    assert warning == (
        "arm constant: 3 of 3 tries of its search on torch diverged; no rate is better than another, the lowest stands"
    )


@pytest.mark.parametrize(("best", "edge"), [(0.01, "lowest"), (0.1, "highest")])
def test_a_best_rate_at_the_edge_is_not_fully_tuned(best: float, edge: str) -> None:
    (warning,) = finding_warnings(tuned({rate: [0.9 if rate == best else 0.5] for rate in (0.01, 0.03, 0.1)}))
    assert warning == (
        f"arm constant: not fully tuned on torch: {best} is the best rate and the {edge} of the 3 tried; list rates beyond it"
    )


def test_without_tries_nothing_is_said_of_a_search() -> None:
    findings = analyse(
        results_of(
            ending("clr", [0.8]), NO_SEARCH, arms={"clr": {"schedule": {"name": "constant", "lr": [0.1, 0.2]}}}, seeds=1
        )
    )
    assert "Rates tried" not in flowing(findings, details=True)
    assert list(finding_warnings(findings)) == []
