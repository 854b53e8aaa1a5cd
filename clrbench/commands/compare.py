"""The comparison of an experiment's arms."""

from dataclasses import dataclass
from typing import Any

from clrbench.commands.fleet import Fleet
from clrbench.commands.opening import Experiment
from clrbench.commands.range_test import RangeTests, find_bounds
from clrbench.commands.search import find_rates
from clrbench.errors import SpecError
from clrbench.planning.runs import training_runs
from clrbench.planning.tuning import with_chosen
from clrbench.report import Report, write_report
from clrbench.store import ResultsFolder


@dataclass(frozen=True)
class Shard:
    """A part of an experiment's runs that has been made; the tables wait for the other parts.

    Attributes:
        folder: Where the results lie.
        index: Which part, from 1 on.
        count: Of how many.
        finished: Runs of the whole experiment that are there.
        runs: Runs that it has.
    """

    folder: ResultsFolder
    index: int
    count: int
    finished: int
    runs: int
    has_answer: bool = True

    @property
    def text(self) -> str:
        """How far the experiment is, and what makes its tables."""
        then = "make" if self.finished == self.runs else "will make, once all are there,"
        return (
            f"Shard {self.index}/{self.count} is made: {self.finished} of {self.runs} runs of the experiment are finished. "
            f"clrbench report {self.folder.root} {then} its tables, plots and verdict."
        )

    @property
    def data(self) -> dict[str, Any]:
        """How far the experiment is, as plain data."""
        done = {"shard": self.index, "shards": self.count, "finished": self.finished, "runs": self.runs}
        return {**done, "results": str(self.folder.root)}


def compare(fleet: Fleet) -> Report | RangeTests | Shard:
    """Make every run of an experiment that is not there yet, and write its tables, plots and verdict.

    Returns:
        The report; or the range tests that gave no answer, where arms take their rates from them; or how far the experiment
        is, where only a shard of it was asked for.

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
    fleet.make(fleet.folder, with_chosen(runs, chosen), "runs", only_shard=True)
    fleet.check_ours()
    if fleet.options.shard is not None:
        finished = len(fleet.folder.indexed_runs()) if fleet.folder.has_runs() else 0
        return Shard(fleet.folder, *fleet.options.shard, finished, len(runs))
    return write_report(fleet.folder, experiment.spec, experiment.warnings)


def check_has_arms(experiment: Experiment) -> None:
    """Raise SpecError unless the spec names an arm."""
    if not experiment.spec.arms:
        with experiment.locating():
            raise SpecError(
                "names no arm; add one, such as {constant: {schedule: {name: constant, lr: 0.03}}}", key=("arms",)
            )
