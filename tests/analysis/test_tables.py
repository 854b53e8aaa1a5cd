"""The registry of tables, and what an experiment comes to."""

import math
from typing import Any

import pandas as pd
import pytest
from runs_in_memory import results_of, stored_run
from specs import CONSTANT

from clrbench.analysis import tables
from clrbench.analysis.pairs import Contest, MixedPair
from clrbench.analysis.results import Results
from clrbench.analysis.summary import has_answer
from clrbench.analysis.tables import TABLES, Table, analyse
from clrbench.store import StoredRun

NAN = math.nan


def both_arms(clr: float = 0.8, **changes: Any) -> list[StoredRun]:
    return [stored_run("constant", 0, {2: 0.4, 5: 0.7}), stored_run("clr", 0, {2: 0.4, 5: clr}, **changes)]


def test_the_tables_of_an_experiment_without_anything_to_find() -> None:
    names = [table.name for table in TABLES]
    findings = analyse(results_of(both_arms()))
    assert list(findings.tables) == [name for name in names if name not in {"search", "chosen", "starts", "cost_curve"}]
    assert len(set(names)) == len(names)
    assert all(table.caption[0].isupper() and not table.caption.endswith(".") for table in TABLES)


def test_the_tables_of_a_search_are_those_of_a_tuned_experiment() -> None:
    tuned = {"schedule": {"name": "constant", "lr": [0.01, 0.03]}, "tune": {"seeds": 1}}
    findings = analyse(results_of(both_arms(), arms={"constant": CONSTANT, "clr": tuned}))
    assert {"search", "chosen"} <= findings.tables.keys()


def test_a_table_of_its_own_takes_one_line_and_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def count_runs(results: Results) -> pd.DataFrame:
        calls.append(results)
        return pd.DataFrame({"runs": [len(results.runs)]})

    def double(results: Results) -> pd.DataFrame:
        return 2 * results.once(count_runs)

    new = (Table("doubled", "Twice the runs", double), Table("counted", "How many runs", count_runs))
    monkeypatch.setattr(tables, "TABLES", (*TABLES, *new, Table("none", "Nothing", lambda _: None)))
    results = results_of(both_arms())
    for _ in range(2):
        found = analyse(results).tables
        assert list(found)[-2:] == ["doubled", "counted"]
        assert (found["doubled"]["runs"].item(), found["counted"]["runs"].item()) == (4, 2)
    assert calls == [results]


def test_every_builder_runs_once_whoever_asks_for_its_table() -> None:
    results = results_of(both_arms(), targets="auto")
    found = analyse(results).tables
    again = analyse(results).tables
    assert all(again[name] is table for name, table in found.items())


def test_findings_hold_the_runs_that_are_missing_and_the_pairs_that_do_not_count() -> None:
    runs = both_arms(made_with={"versions": {"torch": "2"}})
    findings = analyse(results_of(runs))
    assert findings.mixed_pairs == (MixedPair(Contest("torch", "clr", "constant"), 0),)
    assert findings.num_missing_runs == 2
    assert [found.versions["torch"] for found in findings.provenances] == ["1", "2"]
    assert findings.arms == ["constant", "clr"]


@pytest.mark.parametrize(("clr", "expected"), [(0.8, True), (NAN, False)])
def test_there_is_an_answer_where_every_arm_has_a_run_that_did_not_diverge(clr: float, expected: bool) -> None:
    assert has_answer(analyse(results_of(both_arms(clr))).tables["summary"]) is expected
    more = [*both_arms(clr), stored_run("clr", 1, {2: 0.4, 5: 0.7})]
    assert has_answer(analyse(results_of(more)).tables["summary"])


def test_curves_are_those_of_the_tables() -> None:
    findings = analyse(results_of(both_arms()))
    assert [curve.arm for curve in findings.curves["test_accuracy"]] == ["constant", "clr"]
    assert findings.curves["test_accuracy"][1].mean.tolist() == [0.4, 0.8]
