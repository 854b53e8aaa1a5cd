"""Spec -> the runs of an experiment; nothing is trained or read here.

Functions raise a `SpecError` where the data, or the length of a run, does not allow what the spec asks for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from clrbench.counted import counted
from clrbench.data import DatasetSizes
from clrbench.errors import ScheduleError, SpecError
from clrbench.rates import Rates
from clrbench.records import Split, SplitSizes
from clrbench.schedules import cycle_end_steps
from clrbench.spec import (
    OVERRIDES,
    BackendName,
    BaseCyclic,
    Clock,
    Length,
    Optimizer,
    ResolvedArm,
    RunSpec,
    Schedule,
    Spec,
)
from clrbench.spec.names import own_seeds
from clrbench.spec.range_test import RANGE_TEST_SEEDS, RangeTest

MAX_STEPS = 20_000_000
"""A longer run is taken for a mistake: its tables alone would fill the memory."""

RANGE_TEST_ARM = "range-test"
RANGE_TEST_POINTS = 100
"""Evaluations of a range test, evenly spaced; fewer where it has fewer steps."""

TRAINING_DIVERGENCE_FACTOR = 1000.0
RANGE_TEST_DIVERGENCE_FACTOR = 10.0
"""A run has diverged once the loss of a mini-batch exceeds this many times ln(classes), the loss of a blind guess.

A training run may recover from a spike; a range test has nothing more to tell after one.
"""


@dataclass(frozen=True)
class RangeTestGroup:
    """The arms that share a range test, as they share these settings; `arm` is the one that overrides any, or None."""

    arm: str | None
    optimizer: Optimizer
    batch_size: int


BoundsTable: TypeAlias = Mapping[tuple[BackendName, str | None], Rates]
"""What range tests found, by backend and `RangeTestGroup.arm`."""


def split_sizes(spec: Spec, sizes: DatasetSizes) -> SplitSizes:
    """Return how many rows each split has."""
    held_out = spec.data.validation.rows(sizes.train_rows) if sizes.validation_rows == 0 else 0
    validation = sizes.validation_rows if sizes.validation_rows and spec.data.validation.amount > 0 else held_out
    left = sizes.train_rows - held_out
    if left < 1 or (validation < 1 and spec.data.validation.amount > 0):
        raise SpecError(
            f"got '{spec.data.validation}' of {counted(sizes.train_rows, 'training row')}; allowed: what "
            "leaves at least one row for "
            "validation and one for training, or '0 rows' for no validation",
            key=("data", "validation"),
        )
    for key, wanted, there in (
        ("train_rows", spec.data.train_rows, left),
        ("test_rows", spec.data.test_rows, sizes.test_rows),
    ):
        if wanted is not None and wanted > there:
            raise SpecError(f"got {wanted}; allowed: at most {there}, the available rows", key=("data", key))
    return SplitSizes(spec.data.train_rows or left, validation, spec.data.test_rows or sizes.test_rows)


def split_of(metric: str) -> Split | None:
    """Return the split that a metric is measured on, which its name begins with; None where it does not say."""
    return next((split for split in Split if metric.startswith(f"{split}_")), None)


def rows_of(metric: str, sizes: SplitSizes) -> int:
    """Return how many rows the split of a metric has; 0 where that is not known, as of all metrics of a script."""
    split = split_of(metric)
    return (
        0
        if split is None
        else {Split.TRAIN: sizes.train, Split.VALIDATION: sizes.validation, Split.TEST: sizes.test}[split]
    )


def arm_clock(spec: Spec, name: str, train_rows: int) -> Clock:
    """Return the steps of an epoch and of the whole run of an arm."""
    arm = spec.resolved_arm(name)
    steps_per_epoch = _steps_per_epoch(arm.batch_size, train_rows, _key_of(spec, name, "batch_size"))
    clock = Clock(steps_per_epoch, num_steps=0)
    _check_at_least_a_step(arm.duration, clock, _key_of(spec, name, "duration"))
    for key, length in arm.schedule.lengths.items():
        _check_at_least_a_step(length, clock, ("arms", name, "schedule", *key))
    if arm.duration.unit == "cycles" and isinstance(arm.schedule, BaseCyclic):
        cycle_steps = arm.schedule.cycle_steps(clock)
        num_steps = max(1, round(arm.duration.amount * cycle_steps)) + arm.schedule.warmup_steps(clock)
    else:
        num_steps = clock.steps(arm.duration)
    clock = Clock(steps_per_epoch, _checked_steps(num_steps, arm.duration, _key_of(spec, name, "duration")))
    _check_fits(arm, clock)
    return clock


def lr_table(arm: ResolvedArm, clock: Clock) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the rate of every update of an arm, float64[num_steps]."""
    try:
        return arm.schedule.table(clock)
    except ScheduleError as err:
        raise SpecError(str(err), key=("arms", arm.name, "schedule")) from err


def training_runs(
    spec: Spec, sizes: DatasetSizes, backends: tuple[BackendName, ...], bounds: BoundsTable
) -> list[RunSpec]:
    """Return every run of an experiment: backend by backend, seed by seed, arm by arm."""
    splits = split_sizes(spec, sizes)
    clocks = {name: arm_clock(spec, name, splits.train) for name in spec.arms}
    points = _evaluation_epochs(spec, clocks)
    evaluated = (Split.VALIDATION, Split.TEST) if splits.validation else (Split.TEST,)
    schedules = {
        (backend, name): _resolved_schedule(spec, name, backend, bounds, clock)
        for backend in backends
        for name, clock in clocks.items()
    }
    return [
        RunSpec(
            backend=backend,
            arm=name,
            seed=seed,
            data=spec.data,
            model=spec.model,
            optimizer=arm.optimizer,
            batch_size=arm.batch_size,
            schedule=schedules[backend, name],
            num_steps=clocks[name].num_steps,
            steps_per_epoch=clocks[name].steps_per_epoch,
            evaluation_steps=_steps_at(points, clocks[name]),
            evaluated_splits=evaluated,
            divergence_factor=TRAINING_DIVERGENCE_FACTOR,
            train=spec.train,
        )
        for backend in backends
        for seed in spec.seeds
        for name, arm in ((name, spec.resolved_arm(name)) for name in spec.arms)
    ]


def range_test_clock(spec: Spec, group: RangeTestGroup, train_rows: int) -> Clock:
    """Return the steps of an epoch and of a whole sweep of a range test."""
    key = ("batch_size",) if group.arm is None else _key_of(spec, group.arm, "batch_size")
    duration, clock = spec.range_test.duration, Clock(_steps_per_epoch(group.batch_size, train_rows, key), 0)
    _check_at_least_a_step(duration, clock, ("range_test", "duration"))
    num_steps = _checked_steps(clock.steps(duration), duration, ("range_test", "duration"))
    if num_steps < 2:
        raise SpecError(f"got {duration}; allowed: at least 2 steps", key=("range_test", "duration"))
    return Clock(clock.steps_per_epoch, num_steps)


def evenly_spaced(num_steps: int, points: int) -> tuple[int, ...]:
    """Return that many numbers of updates, the last one `num_steps`; all of them where they are fewer."""
    places = np.linspace(0, num_steps, min(points, num_steps) + 1)[1:]
    return tuple(np.rint(places).astype(int).tolist())


def range_test_group(spec: Spec, name: str) -> RangeTestGroup:
    """Return the range test that an arm takes its rates from."""
    arm = spec.resolved_arm(name)
    overrides = any(getattr(spec.arms[name], key) not in {None, getattr(spec, key)} for key in OVERRIDES)
    return RangeTestGroup(name if overrides else None, arm.optimizer, arm.batch_size)


def own_range_test(spec: Spec) -> RangeTestGroup:
    """Return the range test of what the spec itself says, which arms without overrides share."""
    return RangeTestGroup(None, spec.optimizer, spec.batch_size)


def range_test_of(spec: Spec, name: str | None) -> RangeTestGroup:
    """Return the range test of one arm alone, or of the spec itself (None)."""
    if name is None:
        return own_range_test(spec)
    arm = spec.resolved_arm(name)
    return RangeTestGroup(name, arm.optimizer, arm.batch_size)


def needed_range_tests(spec: Spec) -> list[RangeTestGroup]:
    """Return the range tests that the arms of a spec take their rates from, each once."""
    groups = (range_test_group(spec, name) for name, arm in spec.arms.items() if arm.needs_range_test)
    return list(dict.fromkeys(groups))


def asked_range_tests(spec: Spec) -> list[RangeTestGroup]:
    """Return the range tests that arms take their rates from, and that of the spec itself where it describes one."""
    untouched = RangeTest(seeds=own_seeds(RANGE_TEST_SEEDS, spec.seeds))
    described = not spec.arms or spec.range_test != untouched
    return all_range_tests(spec) if described else needed_range_tests(spec)


def all_range_tests(spec: Spec) -> list[RangeTestGroup]:
    """Return the range test of the spec itself, then those that arms take their rates from, each once."""
    return list(dict.fromkeys([own_range_test(spec), *needed_range_tests(spec)]))


def with_bounds(schedule: Schedule, found: Rates) -> Schedule:
    """Return a schedule with the rates that a range test found, where it takes any from one."""
    return schedule.with_bounds(*found.bounds, found.constant) if schedule.needs_range_test else schedule


def _resolved_schedule(spec: Spec, name: str, backend: BackendName, bounds: BoundsTable, clock: Clock) -> Schedule:
    arm = spec.resolved_arm(name)
    if not arm.schedule.needs_range_test:
        return arm.schedule
    schedule = with_bounds(arm.schedule, bounds[backend, range_test_group(spec, name).arm])
    # Only now is it known whether float32 can hold every rate.
    lr_table(replace(arm, schedule=schedule), clock)
    return schedule


def cycle_end_epochs(schedule: Schedule, clock: Clock) -> Iterator[float]:
    """Yield where the cycles of a schedule end, in epochs; nothing for a schedule without cycles."""
    if isinstance(schedule, BaseCyclic):
        main = after_warmup(schedule, clock)
        halves = schedule.step_size_steps(main), schedule.step_size_down_steps(main)
        for step in cycle_end_steps(main.num_steps, *halves):
            yield (clock.num_steps - main.num_steps + int(step)) / clock.steps_per_epoch


def after_warmup(schedule: Schedule, clock: Clock) -> Clock:
    """Return the clock of what follows the warm-up of a schedule."""
    return Clock(clock.steps_per_epoch, clock.num_steps - schedule.warmup_steps(clock))


def has_long_cycles(schedule: Schedule, clock: Clock) -> bool:
    """Return whether a schedule has cycles, and each lasts an epoch or more, so that its end is worth an evaluation."""
    if not isinstance(schedule, BaseCyclic):
        return False
    return schedule.cycle_steps(after_warmup(schedule, clock)) >= clock.steps_per_epoch


def _evaluation_epochs(spec: Spec, clocks: Mapping[str, Clock]) -> list[float]:
    """Return where every arm is evaluated: each epoch, and each cycle end of any arm with long cycles."""
    longest = max((clock.num_steps / clock.steps_per_epoch for clock in clocks.values()), default=0.0)
    points = {float(epoch) for epoch in range(1, int(longest) + 1)}
    for name, clock in clocks.items():
        schedule = spec.resolved_arm(name).schedule
        points.update(cycle_end_epochs(schedule, clock) if has_long_cycles(schedule, clock) else ())
    return sorted(points)


def _steps_at(epochs: list[float], clock: Clock) -> tuple[int, ...]:
    steps = {round(epoch * clock.steps_per_epoch) for epoch in epochs} | {clock.num_steps}
    return tuple(sorted(step for step in steps if 1 <= step <= clock.num_steps))


def _steps_per_epoch(batch_size: int, train_rows: int, key: tuple[str, ...]) -> int:
    if batch_size > train_rows:
        raise SpecError(f"got {batch_size}; allowed: at most {train_rows}, the training rows", key=key)
    return train_rows // batch_size


def _key_of(spec: Spec, name: str, key: str) -> tuple[str, ...]:
    """Return where a value that an arm may override stands."""
    return (key,) if getattr(spec.arms[name], key) is None else ("arms", name, key)


def _check_fits(arm: ResolvedArm, clock: Clock) -> None:
    schedule, main = arm.schedule, after_warmup(arm.schedule, clock)
    if main.num_steps < 1:
        raise SpecError(
            f"got {schedule.warmup}, which is {counted(schedule.warmup_steps(clock), 'step')}; allowed: less "
            "than the run, which has "
            f"{counted(clock.num_steps, 'step')}",
            key=("arms", arm.name, "schedule", "warmup"),
        )
    if isinstance(schedule, BaseCyclic) and schedule.step_size_steps(main) < 1:
        raise SpecError(
            f"got {schedule.cycles:g}; allowed: at most {main.num_steps / 2:g}, as a cycle has at least 2 steps and the run "
            f"{main.num_steps} after its warm-up",
            key=("arms", arm.name, "schedule", "cycles"),
        )


def _check_at_least_a_step(length: Length, clock: Clock, key: tuple[str, ...]) -> None:
    """Raise SpecError where the nearest number of steps is 0, which would become 1 unasked."""
    if length.unit == "epochs" and round(length.amount * clock.steps_per_epoch) < 1:
        raise SpecError(
            f"got {length}, which is less than a step; allowed: at least "
            f"{counted(1 / clock.steps_per_epoch, 'epoch', '.3g')}, as an epoch "
            f"has {counted(clock.steps_per_epoch, 'step')}",
            key=key,
        )


def _checked_steps(num_steps: int, length: Length, key: tuple[str, ...]) -> int:
    if num_steps > MAX_STEPS:
        raise SpecError(
            f"got {length}, which is {counted(num_steps, 'step')}; allowed: at most {MAX_STEPS} steps", key=key
        )
    return num_steps
