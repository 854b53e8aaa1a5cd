"""`clrbench compare`: the arms of an experiment, in pairs."""

from clrbench.analysis.bounds import bounds_table
from clrbench.answer import Answer
from clrbench.commands.dry_run import demo_line, dry_run_answer, estimate
from clrbench.commands.range_test import make_range_tests, next_command
from clrbench.commands.report import Asked, range_tests_answer, report_experiment, write_range_test
from clrbench.commands.search import find_rates
from clrbench.commands.setup import Job
from clrbench.counted import counted
from clrbench.errors import SpecError
from clrbench.execution.runner import Runner, part
from clrbench.planning.runs import BoundsTable, training_runs
from clrbench.planning.tuning import with_chosen
from clrbench.spec import RunSpec
from clrbench.store import ResultsFolder


def compare(job: Job, asked: Asked | None = None, *, dry_run: bool = False) -> Answer:
    """Make every run of an experiment that is not stored yet, and write its tables, plots and page; or estimate the cost only.

    The answer is the verdict; or the range tests without bounds, where arms take their rates from them; or how many runs
    are finished, where only a shard of them was asked for.
    """
    asked = asked or Asked()
    if asked.fail_if is not None and job.options.shard is not None:
        raise SpecError("--fail-if needs a verdict, and --shard gives none; leave one of them out")
    if asked.allow_untuned and asked.fail_if is None:
        raise SpecError(
            "--allow-untuned only changes what --fail-if not-better means; add that option, or leave this one out"
        )
    experiment = job.open()
    if dry_run:
        return dry_run_answer(experiment, estimate(experiment, job.options))
    if job.announces_demo:
        job.display.note(demo_line(experiment, estimate(experiment, job.options)))
    experiment.check_has_arms()
    runner = job.runner(experiment)
    runner.begin()
    with runner.keeping_workers() as keeping:
        tests = make_range_tests(keeping)
        refusals = [test for test in tests.values() if not test.has_answer]
        runs = [] if refusals else _make_arms(keeping, bounds_table(tests))
    for test in tests.values():
        write_range_test(test)
    if refusals:
        return range_tests_answer(refusals, next_command(runner.experiment), details=asked.details)
    if job.options.shard is not None:
        return _shard_answer(runner.folder, *job.options.shard, num_runs=len(runs))
    experiment = runner.experiment
    return report_experiment(runner.folder, experiment.spec, experiment.warnings, asked)


def _make_arms(runner: Runner, bounds: BoundsTable) -> list[RunSpec]:
    """Make the runs of the arms, those of tuned ones at the rates that a search chooses; return all that there are."""
    chosen = find_rates(runner, bounds)
    experiment = runner.experiment
    with experiment.locating():
        runs = training_runs(experiment.spec, experiment.sizes, experiment.backends, bounds)
    runs = with_chosen(runs, chosen)
    runner.make(runner.folder, runs, "runs", wanted=part(runs, runner.options.shard))
    runner.check_spec_unchanged()
    return runs


def _shard_answer(folder: ResultsFolder, index: int, count: int, *, num_runs: int) -> Answer:
    finished = len(folder.indexed_runs()) if folder.has_runs() else 0
    when = "Now" if finished == num_runs else "Once all are,"
    return Answer(
        f"Shard {index}/{count} is finished; {finished} of {counted(num_runs, 'run')} of the experiment are. {when} "
        f"clrbench report {folder.root} writes its tables, plots and verdict.",
        {"shard": index, "shards": count, "finished": finished, "runs": num_runs, "results": str(folder.root)},
    )
