"""`clrbench range-test`: the LR range tests of an experiment."""

import numpy as np

from clrbench.analysis.bounds import RangeTest
from clrbench.analysis.course import Circumstances, follow
from clrbench.answer import Answer
from clrbench.commands.dry_run import demo_line, dry_run_answer, estimate
from clrbench.commands.report import range_tests_answer, write_range_test
from clrbench.commands.setup import Job
from clrbench.execution.runner import Runner
from clrbench.planning.experiment import Experiment
from clrbench.planning.plan import split_rows
from clrbench.planning.runs import RangeTestGroup, all_range_tests, needed_range_tests, range_test_clock, split_sizes
from clrbench.spec import RunSpec


def range_test(job: Job, *, dry_run: bool = False) -> Answer:
    """Make the range tests of an experiment; or estimate the cost only.

    They are that of the spec itself, and those that arms take their rates from.
    """
    experiment = job.open()
    if dry_run or job.path is None:
        cost = estimate(experiment, job.options, range_test_only=True)
        if dry_run:
            return dry_run_answer(experiment, cost)
        job.display.note(demo_line(experiment, cost))
    runner = job.runner(experiment)
    runner.begin()
    experiment = runner.experiment
    groups = all_range_tests(experiment.spec)
    with experiment.locating():
        for group in groups:
            range_test_clock(experiment.spec, group, split_sizes(experiment.spec, experiment.sizes).train)
    tests = [_make(runner, group) for group in groups]
    for test in tests:
        write_range_test(test)
    return range_tests_answer(tests, next_command(experiment))


def make_range_tests(runner: Runner) -> dict[str | None, RangeTest]:
    """Make the range tests that arms take their rates from; return them by `RangeTestGroup.arm`.

    Their bounds are stored at once; curves and plots are not, so that no training waits for them.
    """
    tests = {group.arm: _make(runner, group) for group in needed_range_tests(runner.experiment.spec)}
    for test in tests.values():
        test.folder.write_bounds(test.bounds)
    return tests


def next_command(experiment: Experiment) -> str:
    """Return what to try where a range test gives no answer."""
    path = experiment.file.path
    return f"change start_lr, end_lr or duration under range_test in {path}, then run clrbench range-test {path}"


def _make(runner: Runner, group: RangeTestGroup) -> RangeTest:
    """Make the trainings of a range test, one request of every backend after the other, until each has its answer."""
    experiment = runner.experiment
    spec, folder = experiment.spec, runner.folder.range_test(group.arm)
    with experiment.locating():
        rows = split_sizes(spec, experiment.sizes)
    by_class = _validation_rows_by_class(runner)
    backends = {name: Circumstances(spec, group, name, rows, by_class) for name in experiment.backends}
    courses = {name: follow(how, []) for name, how in backends.items()}
    made: list[RunSpec] = []
    while wanted := [run for course in courses.values() for run in course.missing]:
        runs = [run for name in backends for run in [*made, *wanted] if run.backend == name]
        runner.make(folder, runs, "range test", wanted=wanted, made=set(made))
        made = runs
        stored = folder.indexed_runs()
        courses = {name: follow(how, stored) for name, how in backends.items()}
    return RangeTest(folder, courses)


def _validation_rows_by_class(runner: Runner) -> tuple[int, ...]:
    dataset = runner.dataset
    validation = split_rows(runner.experiment.spec.data, dataset).validation
    return tuple(np.bincount(dataset.y_train[validation], minlength=dataset.num_classes).tolist())
