"""Runs that give one class to every test row are found by which rows they get right."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from runs_in_memory import NO_SEARCH, results_of, stored_run

from clrbench.analysis.one_class import ONE_CLASS_COLUMNS, answered_class, one_class_table
from clrbench.store import StoredRun

CLASSES = np.repeat(np.arange(4, dtype=np.int32), [50, 30, 20, 0])
"""Of 100 test rows; none is of class 3."""


def answering(arm: str, seed: int, answers: int | Sequence[int] | None, *, backend: str = "torch") -> StoredRun:
    """Return a run with these answers to all test rows; None for one that diverged."""
    if answers is None:
        return stored_run(arm, seed, {10: math.nan}, classes=CLASSES, backend=backend)
    hits = np.asarray(answers) == CLASSES
    return stored_run(arm, seed, {10: float(hits.mean())}, hits=hits, classes=CLASSES, backend=backend)


def rows(runs: Sequence[StoredRun]) -> list[tuple[object, ...]]:
    table = one_class_table(results_of(runs, seeds=6, backends=["torch", "keras"]))
    assert list(table) == list(ONE_CLASS_COLUMNS)
    return list(table.itertuples(index=False, name=None))


@pytest.mark.parametrize("answer", [0, 1, 2])
def test_a_run_that_gives_one_class_to_every_row_is_known(answer: int) -> None:
    assert answered_class(answering("a", 0, answer)) == answer


def nearly(answer: int, row: int) -> list[int]:
    """Return one answer to every row, but the right one to a row."""
    answers = np.full(len(CLASSES), answer)
    answers[row] = CLASSES[row]
    return answers.tolist()


@pytest.mark.parametrize(
    "answers",
    [
        CLASSES.tolist(),
        3,
        nearly(0, 50),
        nearly(2, 0),
        [1, *[0] * 99],
        [0, 1] * 50,
        None,
    ],
    ids=["all right", "none right", "one of class 1", "one of class 0", "one of class 0 lost", "by turns", "diverged"],
)
def test_a_run_that_answers_otherwise_is_not(answers: list[int] | int | None) -> None:
    assert answered_class(answering("a", 0, answers)) is None


def test_where_test_rows_are_of_one_class_a_right_answer_tells_nothing() -> None:
    rows = np.zeros(50, np.int32)
    assert answered_class(stored_run("a", 0, {10: 1.0}, hits=rows == 0, classes=rows)) is None


def test_a_run_that_saw_no_test_row_has_no_answer() -> None:
    run = replace(answering("a", 0, 0), test_hits_by_class=None, packed_test_hits=None)
    assert answered_class(run) is None


def test_runs_of_one_class_are_counted_by_backend_arm_and_class() -> None:
    runs = [
        *(answering("constant", seed, 0) for seed in range(3)),
        *(answering("clr", seed, answers) for seed, answers in enumerate([1, CLASSES.tolist(), 2, 1, None])),
        *(answering("constant", seed, CLASSES.tolist(), backend="keras") for seed in range(3)),
        answering("clr", 0, 2, backend="keras"),
    ]
    assert rows(runs) == [
        ("torch", "constant", 0, 3, 3, 0, 0.5),
        ("torch", "clr", 1, 2, 5, 1, 0.3),
        ("torch", "clr", 2, 1, 5, 1, 0.2),
        ("keras", "clr", 2, 1, 1, 0, 0.2),
    ]
    for _, _, answered, _, _, _, share in rows(runs):
        assert share == (answered == CLASSES).mean()


def test_no_such_run_no_row() -> None:
    assert rows([answering("constant", 0, CLASSES.tolist()), answering("clr", 0, None)]) == []


def test_tries_are_left_out_and_runs_at_the_rate_given_are_not() -> None:
    tried = answering("constant@0.1", 1_000_000, 0, backend="torch")
    tried = replace(
        tried, record=replace(tried.record, spec=tried.spec.model_copy(update={"evaluated_splits": ("validation",)}))
    )
    given = answering("constant@0.01", 0, 1)
    results = results_of(
        [answering("constant", 0, [0, 1] * 50)], replace(NO_SEARCH, runs=(tried, given), given_runs=(given,))
    )
    assert one_class_table(results).to_numpy().tolist() == [["torch", "constant@0.01", 1, 1, 1, 0, 0.3]]
