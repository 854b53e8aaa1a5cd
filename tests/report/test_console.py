"""Tables of words at any width: no word is ever broken, and where a table cannot stand a row is a line."""

from functools import partial

import pytest

from clrbench.report.console import WordTable, plain, print_table, rendered

TABLE = WordTable(
    "Candidate - baseline",
    ("backend", "candidate", "baseline", "difference", "verdict"),
    [
        ["torch", "linear_decay", "constant@range_test", "+0.16 [-0.04, +0.39]", "~ none shown"],
        ["keras", "clr", "constant", "", "+ better"],
    ],
)


def lines(width: int) -> list[str]:
    """Return the lines of the table in so many columns, its last two free to wrap."""
    return plain(rendered(partial(print_table, table=TABLE, wrapping={3, 4}), width)).splitlines()


def test_a_table_that_fits_has_two_spaces_between_columns() -> None:
    assert lines(100) == [
        "",
        "Candidate - baseline",
        "backend  candidate     baseline             difference            verdict",
        "torch    linear_decay  constant@range_test  +0.16 [-0.04, +0.39]  ~ none shown",
        "keras    clr           constant                                   + better",
    ]


def test_columns_stand_closer_before_cells_wrap() -> None:
    assert lines(76)[3] == "torch   linear_decay constant@range_test +0.16 [-0.04, +0.39] ~ none shown"


def test_a_row_is_a_line_where_the_table_is_too_wide() -> None:
    assert lines(50) == [
        "",
        "Candidate - baseline",
        "backend: torch; candidate: linear_decay;",
        "  baseline: constant@range_test; difference: +0.16",
        "  [-0.04, +0.39]; verdict: ~ none shown",
        "backend: keras; candidate: clr; baseline:",
        "  constant; verdict: + better",
    ]


@pytest.mark.parametrize("width", range(40, 101))
def test_no_word_is_broken(width: int) -> None:
    found = [word.strip(";:") for line in lines(width) for word in line.split()]
    for row in TABLE.rows:
        for cell in row:
            assert set(cell.split()) <= set(found)
    assert max(map(len, lines(width))) <= width


def test_a_table_without_rows_is_not_printed() -> None:
    assert rendered(partial(print_table, table=WordTable("Nothing", ("arm",), []), wrapping=()), 80) == ""
