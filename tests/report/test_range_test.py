"""What is said of range tests, in words and as plain data."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from range_test_runs import Curve, flat, make_spec, nan_from_start, peak_at, read, read_test, write_sweep

from clrbench.analysis.bounds import RangeTest
from clrbench.analysis.course import Course
from clrbench.rates import Problem, Rates, Tried
from clrbench.report.range_test import range_tests_data, range_tests_text
from clrbench.store import ResultsFolder
from clrbench.store.bounds import bounds_to_json

NEXT = "change range_test in mine.yaml, then run clrbench range-test mine.yaml"

TRIED = Tried(0.1, (0,), 400, 0.3, 0.912, 0.01)
CONFIRMED = Rates(
    base_lr=0.01,
    max_lr=0.3,
    constant_lr=0.1,
    triangle_base_lr=0.01,
    caveats=("confirmed over 400 updates; the arms make 1200",),
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


def said_of(rates: Rates, arm_steps: int | None = None, class_counts: tuple[int, ...] = ()) -> list[str]:
    course = Course(Problem(class_counts, 10, 100, (0, 1), arm_steps), rates, ())
    return range_tests_text([RangeTest(ResultsFolder(Path("there")), {"torch": course})], NEXT).splitlines()


def test_confirmed_rates_stand_with_what_was_tried_and_what_it_reached() -> None:
    assert said_of(CONFIRMED) == [
        "torch: base_lr 0.01, max_lr 0.3, constant 0.1; confirmed by 5 rates trained at. Sweep: 2 seeds.",
        "  swept from 0.01 to 1, around the best of 7 decades tried",
        "  constant, 400 updates: 0.1 .912*, 0.178 .100 (collapsed), 0.316 diverged",
        "  triangles up to, 300 updates: 0.3 .912*",
        "  note: confirmed over 400 updates; the arms make 1200",
        "",
        "Curve, rates and plot: there",
    ]


@pytest.mark.parametrize(
    ("reached", "arm_steps", "why"),
    [
        ({0.0562: 0.9, 0.1: 0.91, 0.178: 0.9}, 1200, ""),
        ({0.0562: 0.91, 0.1: 0.91}, 1200, ""),
        ({0.1: 0.91, 0.178: 0.92}, 1200, " (*lower, as the arms are longer)"),
        ({0.1: 0.91, 0.178: 0.92}, 400, " (*lower, and hardly worse than the best)"),
        ({0.1: 0.91, 0.178: 0.92}, None, " (*lower, and hardly worse than the best)"),
        ({0.0562: 0.92, 0.1: 0.91}, 1200, " (*hardly worse than the best)"),
        ({0.1: 0.91, 0.178: math.nan}, 1200, ""),
    ],
)
def test_where_the_rate_chosen_is_not_the_best_shown_the_line_says_why(
    reached: dict[float, float], arm_steps: int | None, why: str
) -> None:
    constants = tuple(replace(TRIED, lr=lr, accuracy=accuracy) for lr, accuracy in reached.items())
    lines = said_of(replace(CONFIRMED, constants=constants), arm_steps)
    (line,) = (line for line in lines if line.startswith("  constant, "))
    assert line.partition("*")[2].partition(" (")[1:] == why.partition(" (")[1:]


def test_a_refusal_shows_what_was_tried() -> None:
    failed = tuple(replace(TRIED, lr=lr, accuracy=0.1, collapsed=(0,)) for lr in (0.01, 0.1))
    lines = said_of(Rates(reason="flat: no rise", constants=failed))
    assert "  constant, 400 updates: 0.01 .100 (collapsed), 0.1 .100 (collapsed)" in lines


def test_balanced_accuracies_are_called_so() -> None:
    lines = said_of(CONFIRMED, class_counts=(990, 10))
    assert "  triangles up to, 300 updates, balanced accuracy: 0.3 .912*" in lines


def test_a_base_lr_that_is_in_doubt_is_not_named() -> None:
    first, *_ = said_of(replace(CONFIRMED, base_lr=None, triangle_base_lr=0.03))
    assert first.startswith("torch: base_lr not known (cycles from 0.03), max_lr 0.3")


def test_where_only_losses_are_known_they_are_shown() -> None:
    lines = said_of(replace(CONFIRMED, constants=(replace(TRIED, accuracy=math.nan),)))
    assert "  constant, 400 updates: 0.1 loss 0.3*" in lines


def test_rates_read_off_a_curve_alone_say_so(tmp_path: Path) -> None:
    test = read_test(tmp_path, peak_at(0.2))
    found = test.bounds["torch"]
    first, *rest = range_tests_text([test], NEXT).splitlines()
    assert first == (
        f"torch: base_lr {found.base_lr:g}, max_lr {found.max_lr:g}, constant {found.constant_lr:g}; read off the curve. "
        "Sweep: 2 seeds."
    )
    assert rest[0].startswith("  note: not confirmed")
    assert rest[-1] == f"Curve, rates and plot: {tmp_path}"
    assert NEXT not in "\n".join(rest)


def test_each_backend_has_its_lines_and_its_curve(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for backend in ("torch", "keras"):
        write_sweep(folder, 0, peak_at(0.2), make_spec(1), backend=backend)
    text = range_tests_text([read(folder, make_spec(1, ("torch", "keras")))], NEXT)
    assert [line.split(":")[0] for line in text.splitlines() if line.startswith(("torch", "keras"))] == [
        "torch",
        "keras",
    ]
    assert "Sweep: 1 seed." in text
    assert text.count("validation accuracy (fraction)") == 2


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
    lines = range_tests_text([test], NEXT).splitlines()
    assert lines[0] == f"torch: no rates can be named: {test.bounds['torch'].reason}"
    assert f"Next: {NEXT}" in lines


def test_data_is_what_is_written(tmp_path: Path) -> None:
    test = read_test(tmp_path, peak_at(0.2))
    data = json.loads(json.dumps(range_tests_data([test])))
    assert data == {"range_tests": [{"backends": json.loads(bounds_to_json(test.bounds)), "results": str(tmp_path)}]}


def test_several_range_tests_follow_one_another(tmp_path: Path) -> None:
    tests = [read_test(tmp_path / name, peak_at(0.2)) for name in ("shared", "own")]
    first, second = (range_tests_text([test], NEXT) for test in tests)
    assert range_tests_text(tests, NEXT) == f"{first}\n\n{second}"
    assert [found["results"] for found in range_tests_data(tests)["range_tests"]] == [  # type: ignore[union-attr, index, call-overload]
        str(tmp_path / name) for name in ("shared", "own")
    ]
