"""What a range test comes to, in words and as plain data."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from clrbench.analysis.bounds import RangeTest, accuracy_column, curve_table
from clrbench.analysis.course import Course
from clrbench.rates import Rates, Tried
from clrbench.records import Json
from clrbench.report.figures.range_test import is_exponential
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.report.words import counted, metric_label
from clrbench.store.bounds import rates_to_json


def range_tests_text(tests: Sequence[RangeTest], next_command: str) -> str:
    """Return the rates or the refusal of each backend, its curve, and what to try where a range test gives no answer."""
    return "\n\n".join("\n".join(_lines(test, next_command)) for test in tests)


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
        return f"{backend}: no rates can be named: {rates.reason}"
    base_lr, max_lr = rates.bounds
    base = f"base_lr {base_lr:g}" if rates.base_lr is not None else f"base_lr not known (cycles from {base_lr:g})"
    how = "read off the curve"
    if rates.confirmed:
        how = f"confirmed by {counted(len(rates.constants) + len(rates.triangles), 'rate')} trained at"
    seeds = counted(len(rates.seed_max_lr), "seed")
    return f"{backend}: {base}, max_lr {max_lr:g}, constant {rates.constant:g}; {how}. Sweep: {seeds}."


def _lines(test: RangeTest, next_command: str) -> Iterator[str]:
    for backend, course in test.courses.items():
        yield rates_sentence(backend, course.rates)
        yield from _evidence_lines(course)
    if not test.has_answer:
        yield f"Next: {next_command}"
    for course in test.courses.values():
        yield from _text_curve(course)
    yield from ["", f"Curve, rates and plot: {test.folder.root}"]


def _evidence_lines(course: Course) -> Iterator[str]:
    """Yield what the rates rest on: limits found, rates tried with what they reached, and what to know before relying on them."""
    rates = course.rates
    if rates.found and rates.limits is not None:
        low, high = rates.limits
        yield f"  swept from {low:g} to {high:g}, around the best of {counted(len(rates.finds), 'decade')} tried"
    balanced = ", balanced accuracy" if course.problem.floor.balanced else ""
    arm_steps = course.problem.arm_steps
    for name, tried, chosen in (
        ("constant", rates.constants, rates.constant_lr),
        ("triangles up to", rates.triangles, rates.max_lr),
    ):
        if tried:
            steps = max(one.num_steps for one in tried)
            longest = [one for one in tried if one.num_steps == steps]
            why = _why(longest, chosen, longer=arm_steps is not None and arm_steps > steps)
            yield f"  {name}, {steps} updates{balanced}: {_reached(longest, chosen)}{why}"
    for caveat in rates.caveats:
        yield f"  note: {caveat}"


def _reached(tried: Sequence[Tried], chosen: float | None) -> str:
    """Return what each rate reached, the one chosen marked: `0.01 .931, 0.0178 .942*`."""
    ordered = sorted(tried, key=lambda one: one.lr)
    return ", ".join(f"{one.lr:g} {_outcome_words(one)}{'*' * (one.lr == chosen)}" for one in ordered)


def _why(tried: Sequence[Tried], chosen: float | None, *, longer: bool) -> str:
    """Return why the rate chosen is not the one that reached most, where it is not."""
    at_chosen = [one.accuracy for one in tried if one.lr == chosen]
    best = max((one for one in tried if np.isfinite(one.accuracy)), key=lambda one: one.accuracy, default=None)
    if best is None or not at_chosen or not at_chosen[0] < best.accuracy:
        return ""
    if chosen is not None and chosen > best.lr:
        return " (*hardly worse than the best)"
    return " (*lower, as the arms are longer)" if longer else " (*lower, and hardly worse than the best)"


def _outcome_words(one: Tried) -> str:
    if not np.isfinite(one.loss):
        return "diverged"
    value = f"loss {one.loss:.3g}" if np.isnan(one.accuracy) else f"{one.accuracy:.3f}".removeprefix("0")
    return f"{value} (collapsed)" if one.collapsed else value


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
