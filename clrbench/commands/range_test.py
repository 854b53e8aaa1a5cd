"""`clrbench range-test`: the LR range tests of an experiment."""

from collections.abc import Sequence

from clrbench.answer import Answer, ExitCode
from clrbench.commands.dry_run import demo_line, dry_run_answer, estimate
from clrbench.commands.setup import Job
from clrbench.execution.runner import Runner
from clrbench.planning.experiment import Experiment
from clrbench.planning.half_length import half_length_runs
from clrbench.planning.runs import (
    BoundsTable,
    RangeTestGroup,
    all_range_tests,
    needed_range_tests,
    range_test_runs,
)
from clrbench.records import Bounds
from clrbench.report.bounds import RangeTestReport, write_range_test
from clrbench.spec import BackendName, RunSpec


def range_test(job: Job, *, dry_run: bool = False, check_length: bool = False) -> Answer:
    """Make the range tests of an experiment: that of the spec itself, and those that arms take their rates from.

    Args:
        job: The spec, and how to make its runs.
        dry_run: Whether to estimate the cost only.
        check_length: Whether each is made at half its length, too.

    Raises:
        SpecError: If the data or the length of a test does not allow what the spec asks for.
        ClrbenchError: If a run fails; finished runs stay on disk.
    """
    experiment = job.open()
    if dry_run or job.path is None:
        cost = estimate(experiment, job.options, range_test_only=True, check_length=check_length)
        if dry_run:
            return dry_run_answer(experiment, cost)
        job.display.note(demo_line(experiment, cost))
    runner = job.runner(experiment)
    runner.begin()
    experiment = runner.experiment
    groups = all_range_tests(experiment.spec)
    with experiment.locating():
        halves = [_half_length_runs(experiment, group) if check_length else [] for group in groups]
    return range_tests_answer(
        [_run_range_test(runner, group, half) for group, half in zip(groups, halves, strict=True)]
    )


def find_bounds(runner: Runner) -> tuple[BoundsTable, list[RangeTestReport]]:
    """Make the range tests that arms take their rates from; return their bounds, and those tests without an answer."""
    bounds: dict[tuple[BackendName, str | None], Bounds] = {}
    refusals = []
    for group in needed_range_tests(runner.experiment.spec):
        report = _run_range_test(runner, group, [])
        if not report.has_answer:
            refusals.append(report)
            continue
        bounds |= {(backend, group.arm): report.bounds[backend] for backend in runner.experiment.backends}
    return bounds, refusals


def range_tests_answer(reports: Sequence[RangeTestReport]) -> Answer:
    """Return what some range tests came to."""
    return Answer(
        "\n\n".join(report.text for report in reports),
        {"range_tests": [report.data for report in reports]},
        ExitCode.DONE if all(report.has_answer for report in reports) else ExitCode.NO_ANSWER,
    )


def _half_length_runs(experiment: Experiment, group: RangeTestGroup) -> list[RunSpec]:
    return half_length_runs(experiment.spec, group, experiment.sizes, experiment.backends)


def _run_range_test(runner: Runner, group: RangeTestGroup, half: list[RunSpec]) -> RangeTestReport:
    experiment = runner.experiment
    with experiment.locating():
        runs = range_test_runs(experiment.spec, group, experiment.sizes, experiment.backends)
    folder = runner.folder.range_test(group.arm)
    runner.make(folder, runs, "range test")
    if half:
        runner.make(folder.half_length(), half, "range test at half the length")
    path = experiment.file.path
    advice = f"change start_lr, end_lr or duration under range_test in {path}, then run clrbench range-test {path}"
    return write_range_test(folder, experiment.spec, advice)
