"""The results of an experiment, read from disk once: what every table is built from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeVar, cast

import pandas as pd

from clrbench.analysis.bounds import RangeTest, bounds_table, read_range_test
from clrbench.analysis.metrics import metrics_table
from clrbench.analysis.search import Search, read_search
from clrbench.errors import ResultsError
from clrbench.planning.advice import comparisons
from clrbench.planning.runs import needed_range_tests
from clrbench.planning.tuning import given_label
from clrbench.spec import METRICS, Schedule, Spec
from clrbench.spec.names import own_metric_is_higher
from clrbench.store import ResultsFolder, RunKey, StoredRun

T = TypeVar("T")


@dataclass(frozen=True)
class LookedAt:
    """What the looks at the verdict of a backend come to; see `analysis.looks`.

    Attributes:
        index: The verdict is judged at alpha / index.
        seeds: Those whose numbers were shown at any look, this time included.
    """

    index: int = 1
    seeds: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Results:
    """The finished runs of an experiment, and those that found the rates of its arms.

    Attributes:
        runs: The runs of the arms, in the order of the spec.
        range_tests: The range tests that arms take their rates from, by `RangeTestGroup.arm`, as far as they were made.
        stored_keys: All finished runs in the folder, whatever spec asked for them.
        looks: What the looks at the verdict of each backend come to; without one, a first look.
    """

    spec: Spec
    runs: tuple[StoredRun, ...]
    search: Search
    range_tests: Mapping[str | None, RangeTest] = field(default_factory=dict)
    stored_keys: frozenset[RunKey] = frozenset()
    looks: Mapping[str, LookedAt] = field(default_factory=dict)
    _made: dict[Callable[[Results], object], object] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def read(cls, folder: ResultsFolder, spec: Spec) -> Results:
        """Return the results in the folder of an experiment, as if it were looked at the first time; see `looks.looked_at`.

        Raises:
            ResultsError: If no run is finished, or a run or an index is damaged.
        """
        wanted = [run for run in folder.counted_runs() if run.key.arm in spec.arms and run.key.seed in spec.seeds]
        runs = tuple(run for backend in spec.backends for run in wanted if run.key.backend == backend)
        if not runs:
            raise ResultsError(f"{folder.root}: no run is finished; run `clrbench compare` again")
        tests = {group: folder.range_test(group.arm) for group in needed_range_tests(spec)}
        range_tests = {
            group.arm: read_range_test(test, spec, group) for group, test in tests.items() if test.has_runs()
        }
        search = read_search(folder, spec, runs, bounds_table(range_tests))
        return cls(spec, runs, search, range_tests, folder.stored_keys())

    def once(self, make: Callable[[Results], T]) -> T:
        """Return what a function makes of these results; it is called the first time only."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(T, self._made[make])

    def look_of(self, backend: str) -> LookedAt:
        """Return what the looks at the verdict of a backend come to."""
        return self.looks.get(backend, LookedAt())

    def with_looks(self, looks: Mapping[str, LookedAt]) -> Results:
        """Return the results with looks; what was made of them so far, which must not depend on looks, is kept."""
        looked = replace(self, looks=looks)
        looked._made.update(self._made)
        return looked

    @property
    def compared_runs(self) -> tuple[StoredRun, ...]:
        """The runs of the arms, and those of tuned arms at the rates that they were given."""
        return (*self.runs, *self.search.given_runs)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric of the tables: those of all runs, those that the spec declares, and what scripts call accuracy or loss."""
        declared = self.spec.all_metrics
        found = dict.fromkeys(name for run in self.compared_runs for name in run.own_metrics)
        return (*declared, *(name for name in found if name not in declared and own_metric_is_higher(name) is not None))

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """Those among them that only scripts know."""
        return tuple(name for name in self.metrics if name not in METRICS)

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """Each candidate and its baseline."""
        return comparisons(self.spec)

    @property
    def backends(self) -> list[str]:
        """The backends that have runs, in the order of the spec."""
        return self.once(_backends)

    @property
    def schedules(self) -> dict[str, Schedule]:
        """The schedule of each arm in the spec, that of a tuned arm also under its label at the rate given."""
        schedules = {name: self.spec.resolved_arm(name).schedule for name in self.spec.arms}
        return schedules | {given_label(self.spec, name): schedules[name] for name in self.spec.tuned_arms}

    @property
    def wanted_keys(self) -> set[RunKey]:
        """The runs that are compared, finished or not."""
        names = [*self.spec.arms, *(name for pair in self.comparisons for name in pair)]
        return {RunKey(*key) for key in product(self.spec.backends, names, self.spec.seeds)}

    @property
    def num_missing_runs(self) -> int:
        """Number of runs that are compared and not finished."""
        return self.once(_count_missing_runs)


def own_metrics(results: Results) -> pd.DataFrame:
    """Return metrics.csv: every evaluation of every run of the arms."""
    return metrics_table(results.spec.name, results.runs, results.own_metrics)


def given_metrics(results: Results) -> pd.DataFrame:
    """Return the evaluations of the tuned arms at the rates that they were given."""
    return metrics_table(results.spec.name, results.search.given_runs, results.own_metrics)


def compared_metrics(results: Results) -> pd.DataFrame:
    """Return the evaluations of all runs that are compared."""
    own = results.once(own_metrics)
    return pd.concat([own, results.once(given_metrics)], ignore_index=True) if results.search.given_runs else own


def _backends(results: Results) -> list[str]:
    return list(dict.fromkeys(run.key.backend for run in results.compared_runs))


def _count_missing_runs(results: Results) -> int:
    return len(results.wanted_keys - {run.key for run in results.compared_runs})
