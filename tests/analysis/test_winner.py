"""Which arm won."""

from __future__ import annotations

import pytest

from clrbench.analysis.comparison import Comparison
from clrbench.analysis.winner import rows_on, winner


def row(
    candidate: str, baseline: str, verdict: str, metric: str = "test_accuracy", backend: str = "torch"
) -> Comparison:
    return Comparison(6, 0.1, 0.0, 0.2, 0.03, 6, 0, 0, backend, metric, candidate, baseline, verdict)


@pytest.mark.parametrize(
    ("rows", "won", "why"),
    [
        ([row("clr", "constant", "better")], "clr", ""),
        ([row("clr", "constant", "worse")], "constant", ""),
        ([row("clr", "constant", "equivalent")], None, "no arm won"),
        ([row("clr", "constant", "no difference shown")], None, "no arm won"),
        ([row("clr", "constant", "cannot tell")], None, "no arm won"),
        ([row("a", "constant", "better"), row("b", "constant", "worse")], "a", ""),
        ([row("a", "constant", "worse"), row("b", "constant", "worse")], "constant", ""),
        ([row("a", "constant", "worse"), row("b", "constant", "equivalent")], None, "no arm won"),
        (
            [row("a", "constant", "better"), row("b", "constant", "better")],
            None,
            "several arms are better than their baseline (a, b)",
        ),
        ([row("clr", "constant@0.01", "better"), row("clr", "constant", "no difference shown")], None, "no arm won"),
        ([row("clr", "constant@0.01", "better"), row("clr", "constant", "better")], "clr", ""),
        ([], None, "there is nothing to compare"),
    ],
)
def test_the_winner(rows: list[Comparison], won: str | None, why: str) -> None:
    assert winner(rows) == (won, why)


def test_rows_of_a_metric_on_a_backend() -> None:
    rows = [row("a", "b", "better"), row("a", "b", "worse", "test_loss"), row("a", "b", "worse", backend="keras")]
    assert rows_on(rows, "test_accuracy", "torch") == rows[:1]
    assert rows_on(rows, "test_accuracy", "keras") == rows[2:]
