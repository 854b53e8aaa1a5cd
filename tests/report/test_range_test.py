"""What is said of range tests whose curves are known, in words and as plain data."""

import json
from pathlib import Path

import numpy as np
import pytest
from range_test_runs import Curve, flat, make_spec, nan_from_start, peak_at, read_pair, write_sweep

from clrbench.analysis.bounds import read_range_test
from clrbench.report.range_test import range_tests_data, range_tests_text
from clrbench.store import ResultsFolder
from clrbench.store.bounds import bounds_to_json

NEXT = "change range_test in mine.yaml, then run clrbench range-test mine.yaml"


@pytest.mark.parametrize(
    ("half_peak", "words"),
    [(0.2, "the bounds hold."), (0.4, "the bounds depend on the length; trust the longer test.")],
)
def test_bounds_stand_beside_those_at_half_the_length(tmp_path: Path, half_peak: float, words: str) -> None:
    test = read_pair(tmp_path, peak_at(0.2), peak_at(half_peak))
    found = test.bounds["torch"]
    half = found.half_length
    assert half is not None
    first, second, *rest = range_tests_text([test], NEXT).splitlines()
    assert first == (
        f"torch: base_lr {found.base_lr:g}, max_lr {found.max_lr:g}; as a constant rate {found.constant_lr:g}. "
        "From 2 seeds."
    )
    assert second == (
        f"At half the length: base_lr {half.base_lr:g} instead of {found.base_lr:g}, max_lr {half.max_lr:g} "
        f"instead of {found.max_lr:g}: {words}"
    )
    assert rest[-1] == f"Curve, bounds and plot: {tmp_path}"
    assert NEXT not in "\n".join(rest)


@pytest.mark.parametrize(
    ("whole", "half", "words"),
    [
        (peak_at(0.2), flat, "At half the length no bounds can be named (flat): they depend on the length; trust the"),
        (flat, peak_at(0.2), "; trust the longer test, which names none."),
        (flat, flat, "At half the length none can be named either (flat)."),
    ],
)
def test_a_refusal_at_either_length_is_named(tmp_path: Path, whole: Curve, half: Curve, words: str) -> None:
    assert words in range_tests_text([read_pair(tmp_path, whole, half)], NEXT).splitlines()[1]


def test_without_a_test_at_half_the_length_nothing_is_said_of_it(tmp_path: Path) -> None:
    test = read_pair(tmp_path, peak_at(0.2), None)
    assert "half" not in range_tests_text([test], NEXT).replace(str(tmp_path), "")
    ((content,),) = (found["backends"].values() for found in range_tests_data([test])["range_tests"])
    assert "half_length" not in content


def test_each_backend_has_its_lines_and_its_curve(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for backend in ("torch", "keras"):
        write_sweep(folder, 0, peak_at(0.2), backend=backend)
        write_sweep(folder.half_length(), 0, peak_at(0.2), 60, backend=backend)
    text = range_tests_text([read_range_test(folder, make_spec(1, ("torch", "keras")))], NEXT)
    assert [line.split(":")[0] for line in text.splitlines()[:4]] == [
        "torch",
        "At half the length",
        "keras",
        "At half the length",
    ]
    assert "From 1 seed." in text
    assert text.count("validation accuracy (fraction)") == 2


@pytest.mark.parametrize(
    "curves",
    [
        (flat, flat),
        (lambda lr: 0.1 + 0.5 * np.exp(-lr / 0.01),) * 2,
        (peak_at(20.0),) * 2,
        (peak_at(0.05), peak_at(0.5)),
        (nan_from_start,) * 2,
    ],
)
def test_every_refusal_names_its_reason_and_the_next_command(tmp_path: Path, curves: tuple[Curve, Curve]) -> None:
    folder = ResultsFolder(tmp_path)
    for seed, curve in enumerate(curves):
        write_sweep(folder, seed, curve)
    test = read_range_test(folder, make_spec())
    reason = test.bounds["torch"].reason
    assert reason is not None
    assert range_tests_text([test], NEXT).splitlines()[:2] == [
        f"torch: no bounds can be named: {reason}",
        f"Next: {NEXT}",
    ]


def test_data_is_what_is_written(tmp_path: Path) -> None:
    test = read_pair(tmp_path, peak_at(0.2), peak_at(0.2))
    data = json.loads(json.dumps(range_tests_data([test])))
    assert data == {"range_tests": [{"backends": json.loads(bounds_to_json(test.bounds)), "results": str(tmp_path)}]}


def test_several_range_tests_follow_one_another(tmp_path: Path) -> None:
    tests = [read_pair(tmp_path / name, peak_at(0.2), None) for name in ("shared", "own")]
    first, second = (range_tests_text([test], NEXT) for test in tests)
    assert range_tests_text(tests, NEXT) == f"{first}\n\n{second}"
    assert [found["results"] for found in range_tests_data(tests)["range_tests"]] == [
        str(tmp_path / name) for name in ("shared", "own")
    ]
