"""The range tests of an experiment."""

from dataclasses import dataclass
from typing import Any

from clrbench.commands.fleet import Fleet
from clrbench.commands.opening import Experiment
from clrbench.errors import SpecError
from clrbench.planning.runs import (
    BoundsTable,
    RangeTestGroup,
    needed_range_tests,
    own_range_test,
    range_test_runs,
)
from clrbench.range_test import FEWEST_POINTS
from clrbench.records import Bounds
from clrbench.report.bounds import RangeTestReport, write_range_test
from clrbench.spec import BackendName, Length, RunSpec, Spec


@dataclass(frozen=True)
class RangeTests:
    """All range tests of an experiment: usually one, more where arms override optimizer, batch size or duration."""

    reports: list[RangeTestReport]

    @property
    def has_answer(self) -> bool:
        """Whether every one has bounds."""
        return all(report.has_answer for report in self.reports)

    @property
    def text(self) -> str:
        """What each says."""
        return "\n\n".join(report.text for report in self.reports)

    @property
    def data(self) -> dict[str, Any]:
        """What each says, as plain data."""
        return {"range_tests": [report.data for report in self.reports]}


def run_range_tests(fleet: Fleet, *, check_length: bool = False) -> RangeTests:
    """Make the range tests of an experiment: the spec's own, and those that arms take their rates from.

    Args:
        fleet: Makes the runs.
        check_length: Whether each is made at half its length too.

    Raises:
        SpecError: If the data or the test's length does not allow what the spec asks for.
        ClrbenchError: If a run fails.
    """
    fleet.begin()
    groups = all_range_tests(fleet.experiment.spec)
    with fleet.experiment.locating():
        halves = [half_length_runs(fleet.experiment, group) if check_length else [] for group in groups]
    return RangeTests([_run_range_test(fleet, group, half) for group, half in zip(groups, halves, strict=True)])


def all_range_tests(spec: Spec) -> list[RangeTestGroup]:
    """Return the range test of the spec itself, then those that arms take their rates from, each once."""
    return list(dict.fromkeys([own_range_test(spec), *needed_range_tests(spec)]))


def half_length_runs(experiment: Experiment, group: RangeTestGroup) -> list[RunSpec]:
    """Return the runs of a range test at half its length: the same seeds and rates, half the steps, rounded down.

    Raises:
        SpecError: If half the length has fewer points than bounds can be read off.
    """
    spec, options = experiment.spec, experiment.spec.range_test
    whole_steps = range_test_runs(spec, group, experiment.sizes, experiment.backends)[0].num_steps
    if whole_steps // 2 < FEWEST_POINTS:
        raise SpecError(
            f"got {options.duration}, which is {whole_steps} steps; allowed with --check-length: at least "
            f"{2 * FEWEST_POINTS} steps, as half of them must still give {FEWEST_POINTS} points; lengthen the test, or "
            "leave --check-length out",
            key=("range_test", "duration"),
        )
    shorter = options.model_copy(update={"duration": Length(whole_steps // 2, "steps")})
    halved = spec.model_copy(update={"range_test": shorter})
    return range_test_runs(halved, group, experiment.sizes, experiment.backends)


def find_bounds(fleet: Fleet) -> tuple[BoundsTable, RangeTests]:
    """Make the range tests that arms take their rates from; return the bounds, and those tests that refuse."""
    experiment = fleet.experiment
    bounds: dict[tuple[BackendName, str | None], Bounds] = {}
    refusals = []
    for group in needed_range_tests(experiment.spec):
        report = _run_range_test(fleet, group, [])
        if not report.has_answer:
            refusals.append(report)
            continue
        for backend in experiment.backends:
            found = report.bounds[backend]
            bounds[backend, group.arm] = Bounds(found["base_lr"], found["max_lr"])
    return bounds, RangeTests(refusals)


def _run_range_test(fleet: Fleet, group: RangeTestGroup, half: list[RunSpec]) -> RangeTestReport:
    experiment = fleet.experiment
    with experiment.locating():
        runs = range_test_runs(experiment.spec, group, experiment.sizes, experiment.backends)
    folder = fleet.folder.range_test(group.arm)
    fleet.make(folder, runs, "range test")
    if half:
        fleet.make(folder.half_length(), half, "range test at half the length")
    return write_range_test(folder, experiment.spec, next_command(experiment))


def next_command(experiment: Experiment) -> str:
    """Return what to try where a range test gives no answer."""
    return (
        f"change start_lr, end_lr or duration under range_test in {experiment.file.path}, "
        f"then run clrbench range-test {experiment.file.path}"
    )
