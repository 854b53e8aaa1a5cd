"""`clrbench range-test`: the LR range tests of an experiment."""

from itertools import zip_longest

from clrbench.analysis.bounds import RangeTest
from clrbench.analysis.course import Circumstances, Course, follow
from clrbench.answer import Answer
from clrbench.commands.dry_run import demo_line, dry_run_answer, estimate
from clrbench.commands.report import range_tests_answer, write_range_test
from clrbench.commands.setup import Job
from clrbench.execution.runner import Runner
from clrbench.hits import count_by_class
from clrbench.planning.experiment import Experiment
from clrbench.planning.plan import split_rows
from clrbench.planning.runs import RangeTestGroup, all_range_tests, needed_range_tests, range_test_clock, split_sizes
from clrbench.records import Split
from clrbench.spec import BackendName, RunSpec
from clrbench.store.curve_fits import fits_of


def range_test(job: Job, *, dry_run: bool = False, details: bool = False) -> Answer:
    """Make the range tests of an experiment; or estimate the cost only.

    They are that of the spec itself, and those that arms take their rates from.
    """
    experiment = job.open()
    if dry_run or job.announces_demo:
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
    with runner.keeping_workers() as keeping:
        tests = [_make(keeping, group) for group in groups]
    for test in tests:
        write_range_test(test)
    return range_tests_answer(tests, next_command(experiment), details=details)


def make_range_tests(runner: Runner) -> dict[str | None, RangeTest]:
    """Make the range tests that arms take their rates from; return them by `RangeTestGroup.arm`.

    Their bounds are stored at once; curves and plots are not, so that no training waits for them.
    """
    tests = {group.arm: _make(runner, group) for group in needed_range_tests(runner.experiment.spec)}
    for test in tests.values():
        with test.folder.tables_lock():
            test.folder.write_bounds(test.bounds)
    return tests


def next_command(experiment: Experiment) -> str:
    """Return what to try where a range test gives no answer."""
    path = experiment.file.path
    return f"change start_lr, end_lr or duration under range_test in {path}, then run clrbench range-test {path}"


def _make(runner: Runner, group: RangeTestGroup) -> RangeTest:
    """Make the trainings of a range test on every backend."""
    experiment = runner.experiment
    with experiment.locating():
        rows = split_sizes(experiment.spec, experiment.sizes)
    by_class = () if experiment.spec.train is not None else _validation_rows_by_class(runner)
    courses: dict[BackendName, Course] = {}
    for backend, after in zip_longest(experiment.backends, experiment.backends[1:]):
        courses[backend] = _take(runner, Circumstances(experiment.spec, group, backend, rows, by_class), after)
    folder = runner.folder.range_test(group.arm)
    # One that is refused before anything is trained has no runs that would make it.
    folder.create()
    return RangeTest(folder, courses)


def _take(runner: Runner, how: Circumstances, then: BackendName | None) -> Course:
    """Make what a range test asks for, one request after the other, until it has its answer; `then` is the next backend."""
    folder = runner.folder.range_test(how.group.arm)
    fits = fits_of(folder)
    course, made = follow(how, fits, []), list[RunSpec]()
    while course.missing:
        runs = [*made, *course.missing]
        runner.make(folder, runs, "range test", wanted=course.missing, made=set(made), then=then)
        made = runs
        # What is to be made anew does not count before it is.
        course = follow(how, fits, folder.indexed_runs(), among=made if runner.options.redo else None)
    return course


def _validation_rows_by_class(runner: Runner) -> tuple[int, ...]:
    dataset = runner.dataset
    validation = split_rows(runner.experiment.spec.data, dataset).validation
    labels = dataset.arrays_of(Split.VALIDATION)[1][validation]
    return count_by_class(labels, dataset.num_classes)
