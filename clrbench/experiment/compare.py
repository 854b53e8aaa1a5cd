"""The comparison of an experiment's arms."""

from clrbench.errors import SpecError
from clrbench.experiment.fleet import Fleet
from clrbench.experiment.opening import Experiment
from clrbench.experiment.range_test import RangeTests, find_bounds
from clrbench.experiment.search import find_rates
from clrbench.report import Report, write_report
from clrbench.runs import training_runs
from clrbench.tuning import with_chosen


def compare(fleet: Fleet) -> Report | RangeTests:
    """Make every run of an experiment that is not there yet, and write its tables, plots and verdict.

    Returns:
        The report; or the range tests that gave no answer, where arms take their rates from them.

    Raises:
        SpecError: If the spec names no arm, or does not fit the data.
        ClrbenchError: If a run fails; those that are done stay on disk.
    """
    check_has_arms(fleet.experiment)
    fleet.begin()
    experiment = fleet.experiment
    bounds, refusals = find_bounds(fleet)
    if refusals.reports:
        return refusals
    chosen = find_rates(fleet, bounds)
    with experiment.locating():
        runs = training_runs(experiment.spec, experiment.sizes, experiment.backends, bounds)
    fleet.make(fleet.folder, with_chosen(runs, chosen), "runs")
    return write_report(fleet.folder, experiment.spec, experiment.warnings)


def check_has_arms(experiment: Experiment) -> None:
    """Raise SpecError unless the spec names an arm."""
    if not experiment.spec.arms:
        with experiment.locating():
            raise SpecError(
                "names no arm; add one, such as {constant: {schedule: {name: constant, lr: 0.03}}}", key=("arms",)
            )
