"""A range test: the problem that it is to solve, and its trainings as runs; nothing is trained here."""

from __future__ import annotations

from collections.abc import Sequence

from clrbench.data import DatasetSizes
from clrbench.planning.runs import (
    RANGE_TEST_ARM,
    RANGE_TEST_DIVERGENCE_FACTOR,
    RANGE_TEST_POINTS,
    TRAINING_DIVERGENCE_FACTOR,
    RangeTestGroup,
    arm_clock,
    evenly_spaced,
    range_test_clock,
    range_test_group,
    split_sizes,
)
from clrbench.planning.tuning import at_rate
from clrbench.rates import Problem, Run
from clrbench.rates.records import Stage
from clrbench.records import SplitSizes
from clrbench.spec import BackendName, RunSpec, Spec

CONSTANT_POINTS = 20
FIND_STEPS_A_POINT = 5
POINTS_A_CYCLE = 2


def range_test_problem(
    spec: Spec, group: RangeTestGroup, rows: SplitSizes, validation_rows_by_class: Sequence[int]
) -> Problem:
    """Return what a range test is to solve; `validation_rows_by_class` has a number for each class there is."""
    test = spec.range_test
    return Problem(
        class_counts=tuple(validation_rows_by_class) if rows.validation else (),
        num_classes=len(validation_rows_by_class),
        sweep_steps=range_test_clock(spec, group, rows.train).num_steps,
        seeds=tuple(test.seeds),
        arm_steps=longest_arm_steps(spec, group, rows.train),
        ramp=test.ramp,
        start_lr=test.start_lr,
        end_lr=test.end_lr,
        confirm=test.confirm and rows.validation > 0,
    )


def longest_arm_steps(spec: Spec, group: RangeTestGroup, train_rows: int) -> int | None:
    """Return the updates of the longest arm that takes rates from a range test, or else could.

    Without any arm those of the spec's `duration`; None where it has none, or one in cycles.
    """
    arms = [name for name in spec.arms if range_test_group(spec, name).arm == group.arm]
    takers = [name for name in arms if spec.arms[name].needs_range_test]
    if not arms and spec.duration is not None and spec.duration.unit != "cycles":
        return range_test_clock(spec, group, train_rows).steps(spec.duration)
    return max((arm_clock(spec, name, train_rows).num_steps for name in takers or arms), default=None)


def trial_label(stage: Stage, attempt: int, run: Run) -> str:
    """Return what a training of a range test is called: `find@0.01`, `range-test`, `constant@0.01-300-steps`."""
    if stage == "find":
        return at_rate("find", run.high)
    if stage == "sweep":
        return RANGE_TEST_ARM if attempt == 1 else f"{RANGE_TEST_ARM}-{attempt}"
    return f"{at_rate(run.kind, run.high)}-{run.num_steps}-steps"


def range_test_runs(
    spec: Spec, group: RangeTestGroup, sizes: DatasetSizes, backends: Sequence[BackendName]
) -> list[RunSpec]:
    """Return the plain sweep of a range test: backend by backend, seed by seed; see `RangeTest.schedule` for its rates."""
    rows, ramp = split_sizes(spec, sizes), spec.range_test.schedule()
    num_steps = range_test_clock(spec, group, rows.train).num_steps
    sweeps = [Run(ramp.kind, ramp.start_lr, ramp.end_lr, seed, num_steps) for seed in spec.range_test.seeds]
    return [trial_run(spec, group, rows, backend, run, RANGE_TEST_ARM) for backend in backends for run in sweeps]


def trial_run(
    spec: Spec, group: RangeTestGroup, rows: SplitSizes, backend: BackendName, run: Run, label: str
) -> RunSpec:
    """Return a training of a range test as a run, which sees no test row."""
    is_ramp = run.kind in {"linear", "exponential"}
    content = {
        "backend": backend,
        "arm": label,
        "seed": run.seed,
        "data": spec.data,
        "model": spec.model,
        "optimizer": group.optimizer,
        "batch_size": group.batch_size,
        "schedule": _schedule(run),
        "num_steps": run.num_steps,
        "steps_per_epoch": range_test_clock(spec, group, rows.train).steps_per_epoch,
        "evaluation_steps": evenly_spaced(run.num_steps, _points(run)),
        "evaluated_splits": ("validation",) if rows.validation else (),
        # A training at one rate may recover from a spike, as an arm may; a sweep has nothing more to tell after one.
        "divergence_factor": RANGE_TEST_DIVERGENCE_FACTOR if is_ramp else TRAINING_DIVERGENCE_FACTOR,
        "train": spec.train,
    }
    return RunSpec.model_validate(content)


def _schedule(run: Run) -> dict[str, object]:
    match run.kind:
        case "constant":
            return {"name": "constant", "lr": run.high}
        case "triangular":
            return {"name": "triangular", "base_lr": run.low, "max_lr": run.high, "cycles": float(run.cycles)}
        case kind:
            return {"name": "ramp", "start_lr": run.low, "end_lr": run.high, "kind": kind}


def _points(run: Run) -> int:
    match run.kind:
        case "constant":
            return min(CONSTANT_POINTS, max(run.num_steps // FIND_STEPS_A_POINT, 1))
        case "triangular":
            return POINTS_A_CYCLE * run.cycles
        case _:
            return RANGE_TEST_POINTS
