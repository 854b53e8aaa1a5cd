"""What a range test comes to, in words and as plain data."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from rich.console import Console
from rich.text import Text

from clrbench.analysis.bounds import RangeTest, accuracy_column, curve_table, is_exponential
from clrbench.analysis.course import Course
from clrbench.analysis.metrics import is_accuracy
from clrbench.answer import PLAIN_COLUMNS
from clrbench.counted import counted
from clrbench.rates import Rates, Tried
from clrbench.records import Json
from clrbench.report.console import WordTable, print_line, print_list, print_table, rendered
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.report.values import Values
from clrbench.report.words import metric_label, range_test_words
from clrbench.store.bounds import rates_to_json

_REMARK_COLUMN = 4


def range_tests_text(
    tests: Sequence[RangeTest], next_command: str, width: int = PLAIN_COLUMNS, *, details: bool = False
) -> str:
    """Return what range tests come to: the rates or the refusal of each backend, what was tried, and where files are.

    Args:
        tests: One or more.
        next_command: What to try where one gives no answer.
        width: Columns of the terminal.
        details: Whether trainings of every length are shown, and the curve.
    """

    def write(console: Console) -> None:
        for number, test in enumerate(tests):
            if number:
                console.print()
            _write(console, test, next_command, details=details)

    return rendered(write, width)


def range_tests_data(tests: Sequence[RangeTest]) -> dict[str, Json]:
    """Return the rates of each range test as plain data."""
    return {
        "range_tests": [
            {
                "backends": {name: rates_to_json(found) for name, found in test.bounds.items()},
                "results": str(test.folder.root),
            }
            for test in tests
        ]
    }


def rates_sentence(backend: str, rates: Rates) -> str:
    """Return what a range test suggests on a backend, or why it suggests nothing."""
    if rates.reason is not None:
        return f"{backend}: no rates suggested: {rates.reason}"
    how = (
        f"{'only the constant ' if rates.only_constant_confirmed else ''}confirmed over {counted(rates.num_steps, 'update')}"
        if rates.confirmed
        else "not confirmed, read off the curve"
    )
    return f"{backend}: {range_test_words(rates)}; {how}"


def _write(console: Console, test: RangeTest, next_command: str, *, details: bool) -> None:
    courses = test.courses
    print_list(console, "Rates", [rates_sentence(name, course.rates) for name, course in courses.items()])
    for name, course in courses.items():
        print_table(console, _tried_table(name, course, every_length=details), wrapping={_REMARK_COLUMN})
    console.print()
    print_list(console, "Sweep", filter(None, [_sweep_words(name, course.rates) for name, course in courses.items()]))
    print_list(
        console, "Notes", [f"{name}: {text}" for name, course in courses.items() for text in course.rates.caveats]
    )
    if not test.has_answer:
        print_line(console, "Next", next_command)
    for course in courses.values() if details else ():
        for line in _text_curve(course):
            console.print(Text(line), soft_wrap=True)
    print_line(console, "Files", f"{test.folder.root} (curve, rates, plot)")


def _sweep_words(backend: str, rates: Rates) -> str:
    """Return where the sweep went, and how its limits were found; empty where there was none."""
    if rates.limits is None:
        return ""
    low, high = rates.limits
    found = f"; limits found by trying {counted(len(rates.finds), 'decade')}" if rates.found else ""
    return f"{backend}: {low:g} to {high:g}, {counted(len(rates.seed_max_lr), 'seed')}{found}"


def _tried_table(backend: str, course: Course, *, every_length: bool) -> WordTable:
    """Return the rates tried with what they reached; those of the longest trainings, or of all."""
    rates, problem = course.rates, course.problem
    metric = "validation_balanced_accuracy" if problem.floor.uses_balanced_accuracy else "validation_accuracy"
    if not any(np.isfinite(one.accuracy) for one in (*rates.constants, *rates.triangles)):
        metric = "validation_loss"
    values = Values.of(metric, sum(problem.class_counts))
    rows = []
    for kind, tried, chosen in (
        ("constant", rates.constants, rates.constant_lr),
        ("triangles to", rates.triangles, rates.max_lr),
    ):
        longest = max((one.num_steps for one in tried), default=0)
        is_longer = problem.arm_steps is not None and problem.arm_steps > longest
        rivals = [one for one in tried if one.num_steps == longest]
        for one in sorted(tried if every_length else rivals, key=lambda one: (one.num_steps, one.lr)):
            is_chosen = one.lr == chosen and one.num_steps == longest
            remark = f"* chosen{_why(one, rivals, is_longer=is_longer)}" if is_chosen else _fate(one)
            rows.append([kind, f"{one.lr:g}", str(one.num_steps), _reached(one, values), remark])
    return WordTable("", (backend, "rate", "updates", values.heading, ""), rows)


def _reached(one: Tried, values: Values) -> str:
    if not np.isfinite(one.loss):
        return "-"
    return values.value(one.accuracy if is_accuracy(values.metric) else one.loss)


def _fate(one: Tried) -> str:
    """Return what became of trainings that did not go well."""
    if not np.isfinite(one.loss):
        return "- diverged"
    return "- collapsed" if one.collapsed else ""


def _why(chosen: Tried, rivals: Sequence[Tried], *, is_longer: bool) -> str:
    """Return why the rate chosen is not the one that reached most, where it is not."""
    best = max((one for one in rivals if np.isfinite(one.accuracy)), key=lambda one: one.accuracy, default=None)
    if best is None or not chosen.accuracy < best.accuracy:
        return ""
    return ", as the arms are longer" if chosen.lr < best.lr and is_longer else ", hardly worse than the best"


def _text_curve(course: Course) -> Iterator[str]:
    """Yield the mean curve, where there is any."""
    curve = curve_table(trial.stored for trial in course.sweeps)
    points = accuracy_column(curve)
    mean: pd.Series[float] = curve.dropna(subset=[points]).groupby("lr", sort=True)[points].mean()
    if mean.empty:
        return
    x_axis = TextAxis("learning rate", log=is_exponential(curve))
    y_axis = TextAxis(metric_label(points))
    backend = course.sweeps[0].stored.key.backend
    yield from ["", text_curve(mean.index.to_numpy(), {backend: mean.to_numpy()}, x_axis=x_axis, y_axis=y_axis)]
