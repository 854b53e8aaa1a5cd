"""`clrbench range-test`: the LR range tests of an experiment."""

from clrbench.analysis.bounds import RangeTest, read_range_test
from clrbench.answer import Answer
from clrbench.commands.dry_run import demo_line, dry_run_answer, estimate
from clrbench.commands.report import range_tests_answer, write_range_test
from clrbench.commands.setup import Job
from clrbench.execution.runner import Runner
from clrbench.planning.experiment import Experiment
from clrbench.planning.half_length import half_length_runs
from clrbench.planning.runs import RangeTestGroup, all_range_tests, needed_range_tests, range_test_runs
from clrbench.spec import RunSpec


def range_test(job: Job, *, dry_run: bool = False, check_length: bool = False) -> Answer:
    """Make the range tests of an experiment, at half their length, too, where that is asked for; or estimate the cost only.

    They are that of the spec itself, and those that arms take their rates from.
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
    spec, sizes, backends = experiment.spec, experiment.sizes, experiment.backends
    groups = all_range_tests(spec)
    with experiment.locating():
        halves = [half_length_runs(spec, group, sizes, backends) if check_length else [] for group in groups]
    tests = [_make(runner, group, half) for group, half in zip(groups, halves, strict=True)]
    for test in tests:
        write_range_test(test)
    return range_tests_answer(tests, next_command(experiment))


def make_range_tests(runner: Runner) -> dict[str | None, RangeTest]:
    """Make the range tests that arms take their rates from; return them by `RangeTestGroup.arm`.

    Their bounds are stored at once; curves and plots are not, so that no training waits for them.
    """
    tests = {group.arm: _make(runner, group, []) for group in needed_range_tests(runner.experiment.spec)}
    for test in tests.values():
        test.folder.write_bounds(test.bounds)
    return tests


def next_command(experiment: Experiment) -> str:
    """Return what to try where a range test gives no answer."""
    path = experiment.file.path
    return f"change start_lr, end_lr or duration under range_test in {path}, then run clrbench range-test {path}"


def _make(runner: Runner, group: RangeTestGroup, half: list[RunSpec]) -> RangeTest:
    experiment = runner.experiment
    with experiment.locating():
        runs = range_test_runs(experiment.spec, group, experiment.sizes, experiment.backends)
    folder = runner.folder.range_test(group.arm)
    runner.make(folder, runs, "range test")
    if half:
        runner.make(folder.half_length(), half, "range test at half the length")
    return read_range_test(folder, experiment.spec)
