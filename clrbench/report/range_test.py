"""What a range test suggests, in words and as plain data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from clrbench.analysis.bounds import RangeTest, accuracy_column, curve_table
from clrbench.records import Bounds, Json
from clrbench.report.figures.range_test import is_exponential
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.report.words import counted, half_length_sentence, metric_label
from clrbench.spec import BackendName


def range_tests_text(tests: Sequence[RangeTest], next_command: str) -> str:
    """Return the bounds or refusal of each backend, its curve, and what to try where a range test gives no answer."""
    return "\n\n".join("\n".join(_lines(test, next_command)) for test in tests)


def range_tests_data(tests: Sequence[RangeTest]) -> dict[str, Json]:
    """Return the bounds of each range test as plain data."""
    return {
        "range_tests": [
            {
                "backends": {name: _bounds_data(bounds) for name, bounds in test.bounds.items()},
                "results": str(test.folder.root),
            }
            for test in tests
        ]
    }


def _bounds_data(bounds: Bounds) -> dict[str, Json]:
    return {name: value for name, value in asdict(bounds).items() if name != "half_length" or value is not None}


def _lines(test: RangeTest, next_command: str) -> Iterator[str]:
    for backend, bounds in test.bounds.items():
        yield _sentence(backend, bounds)
        if bounds.half_length is not None:
            yield half_length_sentence(bounds, bounds.half_length)
    if not test.has_answer:
        yield f"Next: {next_command}"
    for backend in test.bounds:
        yield from ["", _text_curve(test, backend)]
    yield from ["", f"Curve, bounds and plot: {test.folder.root}"]


def _sentence(backend: str, bounds: Bounds) -> str:
    if bounds.reason is not None:
        return f"{backend}: no bounds can be named: {bounds.reason}"
    base_lr, max_lr = bounds.rates
    return (
        f"{backend}: base_lr {base_lr:g}, max_lr {max_lr:g}; as a constant rate {bounds.constant_lr:g}. "
        f"From {counted(bounds.seeds, 'seed')}."
    )


def _text_curve(test: RangeTest, backend: BackendName) -> str:
    curve = curve_table([run for run in test.runs if run.spec.backend == backend])
    points = accuracy_column(curve)
    mean = curve.dropna(subset=[points]).groupby("lr", sort=True)[points].mean()
    x_axis = TextAxis("learning rate", log=is_exponential(curve))
    y_axis = TextAxis(metric_label(points))
    return text_curve(mean.index.to_numpy(), {backend: mean.to_numpy()}, x_axis=x_axis, y_axis=y_axis)
