"""The answer at a glance: which rate, which arm is better, and what to use; decided here, read off the tables."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

import pandas as pd

from clrbench.analysis.collapse import ArmCollapse
from clrbench.analysis.comparison import Comparison, Evidence, Grounds, read_rows
from clrbench.analysis.metrics import of_arm, same_rows
from clrbench.analysis.tables import Findings
from clrbench.planning.runs import range_test_group
from clrbench.planning.tuning import labelled_arm
from clrbench.rates import Rates
from clrbench.spec import BackendName, Schedule, Spec

RateSource: TypeAlias = Literal["confirmed", "not confirmed", "tuned", "given", "not known"]
"""Where rates come from: trained at, read off a curve, the best of several tried, typed into the spec, or a test not here."""


@dataclass(frozen=True)
class RateFound:
    """The rates that a backend should train at, as far as they are known.

    Attributes:
        arm: The arm that has them for itself alone; None for those of the whole experiment.
        tuned_lr: The best rate of the search of `arm`; of a range test, that of its tuned arm with a constant rate; None
            without one.
        steps: Updates of the longest trainings that they rest on; 0 where they were not trained at.
        triangle_base_lr: Where cycles begin, also where `base_lr` is not known.
        only_constant: Whether nothing was trained in cycles, so that only the constant rate is confirmed.
    """

    source: RateSource
    arm: str | None = None
    base_lr: float | None = None
    max_lr: float | None = None
    constant_lr: float | None = None
    tuned_lr: float | None = None
    steps: int = 0
    triangle_base_lr: float | None = None
    only_constant: bool = False


@dataclass(frozen=True)
class TimeToTarget:
    """When the runs of an arm first reached a target: a row of time_to_target.csv, seen from one arm.

    Attributes:
        median_epochs: inf where the median run never got there.
        misses: Runs that are censored: training ended before they got there.
    """

    metric: str
    target: float
    median_epochs: float
    misses: int
    runs: int


@dataclass(frozen=True)
class Standing:
    """An arm on a backend, as the table of the answer shows it.

    Attributes:
        label: Name of the arm, or what a tuned one is called at the rate given.
        mean: Metric of the verdict at the end, over the runs that did not diverge; nan where all did.
        is_baseline: Whether others are compared with it, and it with none.
        comparison: Against the baseline of most arms, or, where it is not compared with that one, against its own; None for
            a baseline.
    """

    label: str
    is_baseline: bool
    runs: int
    diverged: int
    collapsed: int
    mean: float
    sd: float
    comparison: Comparison | None
    evidence: Evidence | None
    times: tuple[TimeToTarget, ...]


@dataclass(frozen=True)
class Judged:
    """A comparison in the metric of the verdict, and what stands behind it."""

    comparison: Comparison
    evidence: Evidence
    grounds: Grounds = field(default_factory=Grounds)


@dataclass(frozen=True)
class Use:
    """What to train with: the schedule of the best arm, its rates filled in.

    Attributes:
        schedule: None where its rates are not known.
        num_steps: How many updates it lasts.
        comparison: Of this arm against its baseline; None for a baseline.
    """

    label: str
    schedule: Schedule | None
    num_steps: int
    comparison: Comparison | None


@dataclass(frozen=True)
class BackendGlance:
    """The answer on one backend.

    Attributes:
        judged: Every comparison, in the order of the spec.
        baseline: That of the table; empty where nothing is compared.
        standings: The arms, best first.
        use: None where every run diverged.
    """

    backend: str
    rates: tuple[RateFound, ...]
    baseline: str
    judged: tuple[Judged, ...]
    standings: tuple[Standing, ...]
    collapse: tuple[ArmCollapse, ...]
    use: Use | None

    @property
    def targets(self) -> list[tuple[str, float]]:
        """The targets that arms have a time to here, as metric and value; those that follow from runs differ by backend."""
        found = [[(time.metric, time.target) for time in one.times] for one in self.standings]
        return max(found, key=len, default=[])

    def against(self, baseline: str) -> list[Judged]:
        """Return the comparisons with a baseline."""
        return [one for one in self.judged if one.comparison.baseline == baseline]


@dataclass(frozen=True)
class Glance:
    """The answer of an experiment at a glance.

    Attributes:
        train_rows: Rows that a run trains on; 0 where that is not known.
        rows: Rows that the metric of the verdict is measured on; 0 where they are not the same for all runs.
    """

    spec: Spec
    train_rows: int
    rows: int
    backends: tuple[BackendGlance, ...]


def glance(findings: Findings) -> Glance:
    """Return the answer of an experiment at a glance."""
    evidence = read_rows(Evidence, findings.tables["evidence"])
    metric = findings.spec.verdict.metric
    rows = max((one.rows for one in evidence), default=0)
    if findings.provenances:
        rows = same_rows(metric, findings.provenances[0].rows)
    backends = dict.fromkeys(str(name) for name in findings.tables["summary"]["backend"])
    return Glance(
        spec=findings.spec,
        train_rows=findings.provenances[0].rows.train if findings.provenances else findings.spec.data.train_rows or 0,
        rows=rows,
        backends=tuple(_on_backend(findings, cast(BackendName, backend), evidence) for backend in backends),
    )


def _on_backend(findings: Findings, backend: BackendName, evidence: Sequence[Evidence]) -> BackendGlance:
    comparison = findings.tables["comparison"]
    primary = read_rows(Comparison, comparison[comparison["metric"] == findings.spec.verdict.metric])
    judged = [
        Judged(row, behind, findings.grounds.get(row.contest, Grounds()))
        for row, behind in zip(primary, evidence, strict=True)
        if row.backend == backend
    ]
    baseline = _main_baseline(findings.spec, judged)
    standings = _standings(findings, backend, baseline, judged)
    collapse = read_rows(ArmCollapse, findings.tables["collapse"])
    return BackendGlance(
        backend=backend,
        rates=tuple(_rates(findings, backend)),
        baseline=baseline,
        judged=tuple(judged),
        standings=tuple(standings),
        collapse=tuple(one for one in collapse if one.backend == backend),
        use=_use(findings, backend, standings),
    )


def _main_baseline(spec: Spec, judged: Sequence[Judged]) -> str:
    """Return the baseline that most arms are compared with; of a tuned one, at the rate that the search chose."""
    named = [one.comparison.baseline for one in judged if labelled_arm(spec, one.comparison.baseline) in spec.arms]
    own = [label for label in named if label in spec.arms] or named
    return max(own, key=own.count, default="")


def _standings(findings: Findings, backend: str, baseline: str, judged: Sequence[Judged]) -> list[Standing]:
    metric, tables = findings.spec.verdict.metric, findings.tables
    ends = pd.concat([tables["summary"], tables["given"]], ignore_index=True)
    ends = _without_twins(ends[ends["backend"] == backend], tables.get("chosen"))
    # The baseline of most arms goes before others.
    ordered = sorted(judged, key=lambda one: one.comparison.baseline == baseline)
    against = {one.comparison.candidate: one for one in ordered}
    baselines = {one.comparison.baseline for one in judged}
    collapse = tables["collapse"]
    found = []
    for row in ends.to_dict("records"):
        label = str(row["arm"])
        one = against.get(label)
        found.append(
            Standing(
                label=label,
                is_baseline=label in baselines and one is None,
                runs=row["runs"],
                diverged=row["diverged"],
                collapsed=int(of_arm(collapse, backend, label)["collapsed"].sum()),
                mean=row[f"{metric}_mean"],
                sd=row[f"{metric}_sd"],
                comparison=one.comparison if one else None,
                evidence=one.evidence if one else None,
                times=tuple(_times(tables["time_to_target"], backend, label)),
            )
        )
    sign = -1.0 if findings.spec.higher_is_better(metric) else 1.0
    return sorted(found, key=lambda one: math.inf if math.isnan(one.mean) else sign * one.mean)


def _without_twins(ends: pd.DataFrame, chosen: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows of a backend without tuned arms at the rate given where that is the very rate chosen."""
    if chosen is None or ends.empty:
        return ends
    same = {(row["backend"], row["arm"]) for row in chosen.to_dict("records") if row["given_lr"] == row["lr"]}
    twins = [
        (backend, str(arm).rpartition("@")[0]) in same
        for backend, arm in zip(ends["backend"], ends["arm"], strict=True)
    ]
    return ends[[not twin for twin in twins]]


def _times(table: pd.DataFrame, backend: str, label: str) -> Iterator[TimeToTarget]:
    """Yield the time of an arm to each target."""
    here = table[(table["backend"] == backend) & (table["kind"] == "first")]
    for (metric, target), rows in here.groupby(["metric", "target"], sort=False):
        for role in ("candidate", "baseline"):
            own = rows[rows[role] == label]
            if len(own):
                row = own.iloc[0]
                median, misses, runs = (row[f"{role}_{name}"] for name in ("median_epochs", "misses", "runs"))
                yield TimeToTarget(str(metric), float(cast(float, target)), float(median), int(misses), int(runs))
                break


def _rates(findings: Findings, backend: BackendName) -> Iterator[RateFound]:
    """Yield the rates of a backend: those of its range tests and of its search, or those that the spec gives."""
    tuned = _tuned_rates(findings, backend)
    tests = {arm: rates for (where, arm), rates in findings.bounds.items() if where == backend}
    beside = {group: _constant_beside(findings.spec, group, tuned) for group in tests}
    for group, rates in tests.items():
        yield _from_range_test(rates, group, tuned.get(beside[group] or ""))
    for arm, rate in tuned.items():
        if arm not in beside.values():
            yield RateFound("tuned", arm=arm, tuned_lr=rate)
    if not tests and not tuned:
        asked = any(arm.schedule.needs_range_test for arm in findings.spec.arms.values())
        yield RateFound("not known" if asked else "given")


def _constant_beside(spec: Spec, group: str | None, tuned: Iterable[str]) -> str | None:
    """Return the tuned arm that the constant rate of a range test is for, so that its best rate needs no name of an arm.

    That is the arm with a constant rate that has the test for itself; of those that share one, the only one that is called
    constant or is a baseline.
    """
    found = [arm for arm in tuned if range_test_group(spec, arm).arm == group]
    found = [arm for arm in found if spec.resolved_arm(arm).schedule.name == "constant"]
    if group is None:
        used = {spec.resolved_arm(name).baseline for name in spec.arms}
        found = [arm for arm in found if arm == "constant" or arm in used]
    return found[0] if len(found) == 1 else None


def _from_range_test(rates: Rates, arm: str | None, tuned_lr: float | None) -> RateFound:
    return RateFound(
        source="confirmed" if rates.confirmed else "not confirmed",
        arm=arm,
        base_lr=rates.base_lr,
        triangle_base_lr=rates.triangle_base_lr,
        max_lr=rates.max_lr,
        constant_lr=rates.constant_lr,
        tuned_lr=tuned_lr,
        steps=rates.num_steps if rates.confirmed else 0,
        only_constant=rates.only_constant_confirmed,
    )


def _tuned_rates(findings: Findings, backend: str) -> dict[str, float]:
    """Return the rate that the search chose for each tuned arm."""
    chosen = findings.tables.get("chosen")
    if chosen is None:
        return {}
    return {str(row["arm"]): float(row["lr"]) for row in chosen.to_dict("records") if row["backend"] == backend}


def _use(findings: Findings, backend: BackendName, standings: Sequence[Standing]) -> Use | None:
    """Return what to train with: the best arm."""
    best = next((one for one in standings if not math.isnan(one.mean)), None)
    if best is None:
        return None
    arm = labelled_arm(findings.spec, best.label)
    schedule: Schedule | None = findings.spec.resolved_arm(arm).schedule.plain()
    if schedule is not None and schedule.needs_range_test:
        found = findings.bounds.get((backend, range_test_group(findings.spec, arm).arm))
        schedule = None if found is None else schedule.with_bounds(*found.bounds, found.constant)
    tuned = _tuned_rates(findings, backend)
    if schedule is not None and best.label in tuned:
        schedule = schedule.with_rate(tuned[best.label])
    costs = of_arm(findings.tables["costs"], backend, arm)
    return Use(best.label, schedule, int(costs["train_steps"].max()), best.comparison)
