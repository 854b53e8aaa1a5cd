"""What is said of range tests, in words and as plain data."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from range_test_runs import Curve, flat, make_spec, nan_from_start, peak_at, read, read_test, write_sweep

from clrbench.analysis.bounds import RangeTest
from clrbench.analysis.course import Course
from clrbench.rates import Problem, Rates, Tried
from clrbench.report.console import plain
from clrbench.report.range_test import range_tests_data
from clrbench.report.range_test import range_tests_text as coloured_text
from clrbench.store import ResultsFolder
from clrbench.store.bounds import bounds_to_json

NEXT = "change range_test in mine.yaml, then run clrbench range-test mine.yaml"

TRIED = Tried(0.1, (0,), 400, 0.3, 0.912, 0.01)
CONFIRMED = Rates(
    base_lr=0.01,
    max_lr=0.3,
    constant_lr=0.1,
    triangle_base_lr=0.01,
    caveats=("confirmed over only 400 of the arms' 1200 updates",),
    confirmed=True,
    num_steps=400,
    limits=(0.01, 1.0),
    found=True,
    finds=(TRIED,) * 7,
    constants=(
        replace(TRIED, lr=0.0316, num_steps=100),
        replace(TRIED, lr=0.178, accuracy=0.1, collapsed=(0,)),
        TRIED,
        replace(TRIED, lr=0.316, loss=math.inf, accuracy=0.1, collapsed=(0,)),
    ),
    triangles=(replace(TRIED, lr=0.3, num_steps=300),),
    seed_max_lr={0: 0.3, 1: 0.4},
)


def range_tests_text(tests: Sequence[RangeTest], width: int = 100, *, details: bool = False) -> str:
    return plain(coloured_text(tests, NEXT, width, details=details))


def said_of(rates: Rates, arm_steps: int | None = None, class_counts: tuple[int, ...] = (), **layout: Any) -> list[str]:
    course = Course(Problem(class_counts, 10, 100, (0, 1), arm_steps), rates, ())
    return range_tests_text([RangeTest(ResultsFolder(Path("there")), {"torch": course})], **layout).splitlines()


def test_confirmed_rates_stand_with_what_was_tried_and_what_it_reached() -> None:
    assert said_of(CONFIRMED) == [
        "Rates     torch: base_lr 0.01, max_lr 0.3, constant 0.1; confirmed over 400 updates",
        "",
        "torch         rate   updates  validation accuracy, %",
        "constant      0.1    400      91.20                   * chosen",
        "constant      0.178  400      10.00                   - collapsed",
        "constant      0.316  400      -                       - diverged",
        "triangles to  0.3    300      91.20                   * chosen",
        "",
        "Sweep     torch: 0.01 to 1, 2 seeds; limits found by trying 7 decades",
        "Notes     torch: confirmed over only 400 of the arms' 1200 updates",
        "Files     there (curve, rates, plot)",
    ]


def test_details_show_trainings_of_every_length() -> None:
    lines = said_of(CONFIRMED, details=True)
    assert "constant      0.0316  100      91.20" in lines
    assert len(lines) == len(said_of(CONFIRMED)) + 1


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_every_line_fits_the_terminal(width: int) -> None:
    lines = said_of(CONFIRMED, 1200, width=width)
    assert max(map(len, lines)) <= min(width, 100)
    assert all(line == line.rstrip() for line in lines)
    if width >= 80:
        text = "\n".join(lines)
        assert (text.count("* chosen"), text.count("- collapsed"), text.count("- diverged")) == (2, 1, 1)


@pytest.mark.parametrize(
    ("rows", "reached"), [((5,) * 10, "91"), ((40,) * 10, "91.2"), ((1000,) * 10, "91.20"), ((), "91.20")]
)
def test_accuracies_have_the_digits_that_the_validation_rows_carry(rows: tuple[int, ...], reached: str) -> None:
    (line,) = (line for line in said_of(CONFIRMED, class_counts=rows) if line.startswith("triangles to"))
    assert line.split()[4] == reached


@pytest.mark.parametrize(
    ("reached", "arm_steps", "why"),
    [
        ({0.0562: 0.9, 0.1: 0.91, 0.178: 0.9}, 1200, ""),
        ({0.0562: 0.91, 0.1: 0.91}, 1200, ""),
        ({0.1: 0.91, 0.178: 0.92}, 1200, ", as the arms are longer"),
        ({0.1: 0.91, 0.178: 0.92}, 400, ", hardly worse than the best"),
        ({0.1: 0.91, 0.178: 0.92}, None, ", hardly worse than the best"),
        ({0.0562: 0.92, 0.1: 0.91}, 1200, ", hardly worse than the best"),
        ({0.1: 0.91, 0.178: math.nan}, 1200, ""),
    ],
)
def test_where_the_rate_chosen_is_not_the_best_shown_its_row_says_why(
    reached: dict[float, float], arm_steps: int | None, why: str
) -> None:
    constants = tuple(replace(TRIED, lr=lr, accuracy=accuracy) for lr, accuracy in reached.items())
    lines = said_of(replace(CONFIRMED, constants=constants), arm_steps)
    (line,) = (line for line in lines if line.startswith("constant ") and "chosen" in line)
    assert line.partition("* chosen")[2] == why


def test_a_refusal_shows_what_was_tried_and_marks_nothing_as_chosen() -> None:
    failed = tuple(replace(TRIED, lr=lr, accuracy=0.1, collapsed=(0,)) for lr in (0.01, 0.1))
    lines = said_of(Rates(reason="flat: no rise", constants=failed))
    assert lines[0] == "Rates     torch: no rates suggested: flat: no rise"
    assert [line.split() for line in lines if line.startswith("constant")] == [
        ["constant", rate, "400", "10.00", "-", "collapsed"] for rate in ("0.01", "0.1")
    ]
    assert "chosen" not in "".join(lines)


def test_balanced_accuracies_are_called_so() -> None:
    assert any("validation balanced accuracy, %" in line for line in said_of(CONFIRMED, class_counts=(990, 10)))


def test_a_base_lr_that_is_in_doubt_is_not_named() -> None:
    first, *_ = said_of(replace(CONFIRMED, base_lr=None, triangle_base_lr=0.03))
    assert first.startswith("Rates     torch: base_lr unknown (0.03 used), max_lr 0.3")


def test_where_only_losses_are_known_they_are_shown() -> None:
    lines = said_of(replace(CONFIRMED, constants=(replace(TRIED, accuracy=math.nan),), triangles=()))
    assert [line.split() for line in lines if line.startswith(("torch", "constant"))] == [
        ["torch", "rate", "updates", "validation", "loss,", "nats"],
        ["constant", "0.1", "400", "0.3000", "*", "chosen"],
    ]


def test_rates_read_off_a_curve_alone_say_so(tmp_path: Path) -> None:
    test = read_test(tmp_path, peak_at(0.2))
    found = test.bounds["torch"]
    first, *rest = range_tests_text([test], 200).splitlines()
    rates = f"base_lr {found.base_lr:g}, max_lr {found.max_lr:g}, constant {found.constant_lr:g}"
    assert " ".join([first, rest[0].strip()]).startswith(f"Rates     torch: {rates}; not confirmed, read off the curve")
    assert any(line.startswith("Notes     torch: constant_lr is max_lr / 3, a rule of thumb") for line in rest)
    assert any(line.startswith("Files     ") for line in rest)
    assert str(tmp_path) in "".join(line.strip() for line in rest)
    assert NEXT not in "\n".join(rest)


def test_each_backend_has_its_lines_and_its_curve(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for backend in ("torch", "keras"):
        write_sweep(folder, 0, peak_at(0.2), make_spec(1), backend=backend)
    test = read(folder, make_spec(1, ("torch", "keras")))
    lines = range_tests_text([test]).splitlines()
    assert [line[10:].split(":")[0] for line in lines if "max_lr" in line and "base_lr" in line] == ["torch", "keras"]
    assert sum("1 seed" in line for line in lines) == 2
    assert [range_tests_text([test], details=shown).count("validation accuracy (fraction)") for shown in (0, 1)] == [
        0,
        2,
    ]


@pytest.mark.parametrize(
    "curves",
    [
        (flat, flat),
        (lambda lr: 0.1 + 0.5 * np.exp(-lr / 0.01),) * 2,
        (peak_at(0.05), peak_at(0.5)),
        (nan_from_start,) * 2,
    ],
)
def test_every_refusal_names_its_reason_and_the_next_command(tmp_path: Path, curves: tuple[Curve, Curve]) -> None:
    folder = ResultsFolder(tmp_path)
    for seed, curve in enumerate(curves):
        write_sweep(folder, seed, curve)
    test = read(folder, make_spec())
    text = " ".join(range_tests_text([test]).split())
    assert text.startswith(f"Rates torch: no rates suggested: {test.bounds['torch'].reason}")
    assert f"Next {NEXT} Files" in text


def test_data_is_what_is_written(tmp_path: Path) -> None:
    test = read_test(tmp_path, peak_at(0.2))
    data = json.loads(json.dumps(range_tests_data([test])))
    assert data == {"range_tests": [{"backends": json.loads(bounds_to_json(test.bounds)), "results": str(tmp_path)}]}


def test_several_range_tests_follow_one_another(tmp_path: Path) -> None:
    tests = [read_test(tmp_path / name, peak_at(0.2)) for name in ("shared", "own")]
    first, second = (range_tests_text([test]) for test in tests)
    assert range_tests_text(tests) == f"{first}\n\n{second}"
    assert [found["results"] for found in range_tests_data(tests)["range_tests"]] == [  # type: ignore[union-attr, index, call-overload]
        str(tmp_path / name) for name in ("shared", "own")
    ]
