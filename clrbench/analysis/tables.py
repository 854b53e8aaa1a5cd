"""Every table of an experiment: a new one is a function of the results, and a line in `TABLES`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from clrbench.analysis.bounds import bounds_table
from clrbench.analysis.collapse import collapse_table
from clrbench.analysis.comparison import Grounds, comparison_table, evidence_table, grounds
from clrbench.analysis.costs import cost_curve, cost_seconds_table, costs_table
from clrbench.analysis.curves import ArmCurves, bands_table, read_curves
from clrbench.analysis.cycles import best_table, cycle_peaks_table, cycles_table
from clrbench.analysis.looks import unasked_seeds
from clrbench.analysis.one_class import one_class_table
from clrbench.analysis.pairs import Contest, MixedPair, differences_table, mixed_pairs
from clrbench.analysis.results import Results, own_metrics
from clrbench.analysis.starts import starts_table
from clrbench.analysis.summary import given_table, published_table, schedule_table, summary_table, timing_table
from clrbench.analysis.targets import targets_table
from clrbench.analysis.time_to_target import seconds_table, time_to_target_table
from clrbench.analysis.train_curve import train_curve
from clrbench.planning.runs import BoundsTable
from clrbench.records import Provenance
from clrbench.spec import Spec


@dataclass(frozen=True)
class Table:
    """A table of an experiment.

    Attributes:
        name: Name of its file, without `.csv`.
        build: Builds it from the results; None where the experiment has no such table.
    """

    name: str
    caption: str
    build: Callable[[Results], pd.DataFrame | None]


TABLES = (
    Table("metrics", "Every evaluation of every run", own_metrics),
    Table("summary", "Every metric at the end, over the runs that did not diverge", summary_table),
    Table("given", "Every metric at the end, of the tuned arms at the rates that they were given", given_table),
    Table(
        "comparison", "Paired comparison of every metric; only that of the verdict is confirmatory", comparison_table
    ),
    Table("evidence", "Evidence for each comparison, and which difference it could have shown", evidence_table),
    Table("collapse", "How many runs of each arm collapsed: no better than a blind guess in the end", collapse_table),
    Table("one_class", "Runs that end with one and the same class for every test row", one_class_table),
    Table("differences", "Candidate - baseline, one row per pair", differences_table),
    Table("targets", "When each run first reached each target, and from when on it stayed there", targets_table),
    Table("published", "Where values published elsewhere lie among the runs of their arm", published_table),
    Table("schedule", "Learning rate of each arm over its steps, thinned", schedule_table),
    Table(
        "search",
        "The tries of the tuned arms, on validation rows",
        lambda results: results.search.tries if results.spec.tuned_arms else None,
    ),
    Table(
        "chosen",
        "The rates that the search chose for the tuned arms",
        lambda results: results.search.chosen if results.spec.tuned_arms else None,
    ),
    Table("starts", "Whether the runs of each seed start alike, by the first loss of the script", starts_table),
    Table("timing", "Where the time of every run went, in seconds", timing_table),
    Table("costs", "What each arm costs in updates: its training, and what found its rates", costs_table),
    Table(
        "costs/timing",
        "The same in seconds, those of the evaluations that a choice rests on among them",
        cost_seconds_table,
    ),
    Table("cost_curve", "Metric of the verdict over all updates, those that found the rates included", cost_curve),
    Table("time_to_target", "How much sooner an arm reaches a target than its baseline", time_to_target_table),
    Table("time_to_target/timing", "The same in seconds, at equal device, threads and executor", seconds_table),
    Table("cycles", "Every metric at each cycle end", cycles_table),
    Table("best", "Each run where its validation accuracy was best, beside its end and its last cycle end", best_table),
    Table("cycle_peaks", "Whether accuracy peaks where cycles end", cycle_peaks_table),
    Table("train_curve", "Loss and accuracy of the mini-batches of every run, in stretches", train_curve),
    Table("bands", "Every metric over the epochs: mean over the seeds and its 95 % interval", bands_table),
)


@dataclass(frozen=True, eq=False)
class Findings:
    """What an experiment came to: all that a report shows.

    Attributes:
        tables: The tables by name, in the order of `TABLES`; each is built when it is first asked for.
        provenances: Provenance of each run of the arms.
        bounds: What the range tests that arms take their rates from suggest, by backend and `RangeTestGroup.arm`.
        grounds: What each comparison in the metric of the verdict leaves out, and why it comes to no verdict.
        mixed_pairs: The pairs that no comparison counts, as their runs were made with different versions.
        num_runs: Number of runs that are compared, once all are finished.
        num_missing_runs: Number of them that are not finished.
        unasked_seeds: By backend, the seeds of finished pairs that the spec does not ask for.
    """

    spec: Spec
    tables: Mapping[str, pd.DataFrame]
    provenances: tuple[Provenance, ...] = ()
    bounds: BoundsTable = field(default_factory=dict)
    grounds: Mapping[Contest, Grounds] = field(default_factory=dict)
    mixed_pairs: tuple[MixedPair, ...] = ()
    num_runs: int = 0
    num_missing_runs: int = 0
    unasked_seeds: Mapping[str, list[int]] = field(default_factory=dict)

    @property
    def arms(self) -> list[str]:
        """The arms in the order of the spec, which decides their colours."""
        return list(self.spec.arms)

    @cached_property
    def curves(self) -> ArmCurves:
        """Every metric over the epochs, read off the tables."""
        tables = self.tables
        return read_curves(tables["metrics"], tables["train_curve"], tables["bands"], self.arms)


class _Tables(Mapping[str, pd.DataFrame]):
    def __init__(self, results: Results) -> None:
        self._results = results
        self._builders = {table.name: table.build for table in TABLES}

    def __getitem__(self, name: str) -> pd.DataFrame:
        table = self._results.once(self._builders[name])
        if table is None:
            raise KeyError(name)
        return table

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._builders if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def analyse(results: Results) -> Findings:
    """Return all that the results of an experiment come to."""
    return Findings(
        spec=results.spec,
        tables=_Tables(results),
        provenances=tuple(run.provenance for run in results.runs),
        bounds=bounds_table(results.range_tests),
        grounds=results.once(grounds),
        mixed_pairs=tuple(results.once(mixed_pairs)),
        num_runs=len(results.wanted_keys),
        num_missing_runs=results.num_missing_runs,
        unasked_seeds=unasked_seeds(results),
    )
