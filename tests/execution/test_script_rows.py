"""What a script writes, followed while it grows: no run is over before its time, however its file comes about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from clrbench.execution.script_rows import Follower, read_rows

NUM_STEPS = 60
NARROW, WIDE = ["lr", "train_loss"], ["lr", "train_loss", "validation_loss", "test_loss"]


def table(names: Sequence[str], num_rows: int, loss: float = 0.123456789) -> str:
    """Return a metrics.csv, in which a number that is cut in two could be taken for a step."""
    rows = (f"{step},0.987654321,{loss}" + "," * (len(names) - 2) + "\n" for step in range(1, num_rows + 1))
    return "".join([",".join(["step", *names]) + "\n", *rows])


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text[len(path.read_text()) :])


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def replaced(path: Path, text: str) -> None:
    fresh = path.with_name("fresh")
    fresh.write_text(text)
    fresh.replace(path)


def replaced_twice(path: Path, text: str) -> None:
    """Put another file in its place, twice: many file systems then give the second one the number of the first."""
    replaced(path, table(WIDE, 1))
    replaced(path, text)


WAYS: list[Callable[[Path, str], None]] = [in_place, replaced, replaced_twice]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seen", [0, 1, 3, 20, 45])
def test_a_file_that_is_written_anew_with_more_columns_is_read_from_its_beginning(
    way: Callable[[Path, str], None], seen: int, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.csv"
    follower = Follower(path, NUM_STEPS, 10)
    path.write_text(table(NARROW, seen))
    follower.look()
    assert follower.last_step == seen
    # Wherever the old end falls in the new file.
    for width in range(1, 14):
        names = [*WIDE, "x" * width]
        way(path, table(names, 46))
        follower.look()
        assert (follower.last_step, follower.is_over) == (46, False)
        append(path, table(names, 50))
        follower.look()
        assert (follower.last_step, follower.is_over) == (50, False)
        way(path, table(NARROW, 46))
        follower.look()
        follower.last_step = 0


def test_rows_that_are_filled_in_later_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    follower = Follower(path, NUM_STEPS, 10)
    for num_rows in (5, 10, 60):
        path.write_text(table(WIDE, num_rows, loss=1 / num_rows))
        follower.look()
        assert (follower.last_step, follower.is_over) == (num_rows, False)


def test_first_losses_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    follower = Follower(path, NUM_STEPS, 10)
    tiny = "step,train_loss\n1,0.001\n"
    for columns in range(12):
        replaced(path, tiny.replace("train_loss", ",".join(["train_loss", *"abcdefghijkl"[:columns]])))
        follower.look()
    append(path, path.read_text() + "".join(f"{step},0.5\n" for step in range(2, 11)))
    follower.look()
    assert not follower.is_over
    append(path, path.read_text() + "11,4.9\n12,5.1\n")
    follower.look()
    assert follower.is_over


@pytest.mark.parametrize("row", ["1,0.9,nan", "1,0.9,inf", "61,0.9,0.5"])
def test_what_ends_a_run_is_seen_after_a_change_of_columns(row: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    follower = Follower(path, NUM_STEPS, 10)
    path.write_text(table(NARROW, 3))
    follower.look()
    replaced(path, table(WIDE, 0) + row + ",,\n")
    follower.look()
    assert follower.is_over


def test_a_long_file_is_read_once_and_a_line_that_is_not_whole_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    follower = Follower(path, NUM_STEPS, 10)
    text = table(WIDE, NUM_STEPS)
    assert len(text) > 1000
    for end in range(1, len(text) + 1, 7):
        path.write_text(text[:end])
        follower.look()
        assert not follower.is_over
        assert follower.last_step == max(text[:end].count("\n") - 1, 0)


@pytest.mark.parametrize(
    "text",
    [
        b'"step","train_loss"\n"1","0.5"\n2,"0.4"\n',
        b"\xef\xbb\xbfstep,train_loss\n1,0.5\n2,0.4\n",
        b'\xef\xbb\xbf"step", train_loss\r\n1,0.5\r\n2, 0.4\r\n',
        b"step,train_loss\r1,0.5\r2,0.4\r",
    ],
    ids=["quotes", "byte order mark", "both", "old line ends"],
)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_file_is_followed_as_it_is_read_in_the_end(text: bytes, piece: int, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    follower = Follower(path, NUM_STEPS, 10)
    for end in range(piece, len(text) + piece, piece):
        path.write_bytes(text[:end])
        follower.look()
    assert (follower.last_step, follower.is_over) == (2, False)
    assert read_rows(path, NUM_STEPS, resumed=False).last_step == 2
    path.write_bytes(text + b"3,nan\n")
    follower.look()
    assert follower.is_over


def test_what_is_no_csv_is_left_to_whoever_reads_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    follower = Follower(path, NUM_STEPS, 10)
    path.write_text("step,train_loss\n1,0.5\n2," + "9" * 200_000 + "\n")
    follower.look()
    assert (follower.last_step, follower.is_over) == (1, False)
