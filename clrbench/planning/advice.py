"""What a spec is warned about before anything is trained."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from math import ceil, floor, log10

from clrbench.counted import counted
from clrbench.data import STAND_INS, DatasetSizes
from clrbench.planning.low_baselines import low_baseline_warnings, planned_mean_rates
from clrbench.planning.runs import (
    after_warmup,
    arm_clock,
    asked_range_tests,
    lr_table,
    range_test_clock,
    rows_of,
    split_of,
    split_sizes,
)
from clrbench.planning.tuning import baselines
from clrbench.records import MIN_CURVE_POINTS, SplitSizes
from clrbench.spec import LOSSES, BackendName, BaseCyclic, Clock, ResolvedArm, Schedule, Spec
from clrbench.stats import pairs_needed, smallest_p_value

MIN_CYCLES = 3
STEP_SIZE_EPOCHS = (2, 10)
"""Smith 2017, section 3.2: half a cycle of 2 to 10 epochs; at least 3 cycles; stop at the end of one."""


def warnings(spec: Spec, sizes: DatasetSizes, backends: tuple[BackendName, ...]) -> list[str]:
    """Return what may mislead in the outcome of a spec, each as one sentence that names the arm."""
    found: list[str] = []
    train_rows = split_sizes(spec, sizes).train
    clocks = {name: arm_clock(spec, name, train_rows) for name in spec.arms}
    for name, clock in clocks.items():
        arm = spec.resolved_arm(name)
        if isinstance(arm.schedule, BaseCyclic):
            found += (f"arm {name}: {text}" for text in _cycle_warnings(arm.schedule, clock))
        found += (f"arm {name}: {text}" for text in _late_milestones(arm.schedule, clock))
        found += (f"arm {name}: {text}" for text in _decay_warnings(arm.schedule, clock))
        # Finds what no single key shows, such as a rate that sinks below what float32 can hold; no range test can find more
        # than the highest rate that it tries.
        highest = spec.range_test.schedule().end_lr
        found_rates = (
            arm.schedule.with_bounds(highest, highest, highest) if arm.schedule.needs_range_test else arm.schedule
        )
        lr_table(replace(arm, schedule=found_rates), clock)
        tune = spec.arms[name].tune
        for rate in (tune and tune.rates) or ():
            lr_table(replace(arm, schedule=arm.schedule.with_rate(rate)), clock)
        found += _confounding(spec, arm, clocks)
    found += low_baseline_warnings(spec, planned_mean_rates(spec, comparisons(spec), clocks))
    found += [*_stand_in(spec), *_too_few_seeds(spec), *_fine_margin(spec, split_sizes(spec, sizes))]
    found += _short_range_tests(spec, train_rows)
    return [*found, *_different_update_rules(spec, backends)]


def comparisons(spec: Spec) -> list[tuple[str, str]]:
    """Return each candidate and its baseline, in the order of the arms; a tuned baseline counts twice, see `baselines`."""
    arms = [spec.resolved_arm(name) for name in spec.arms]
    return [(arm.name, label) for arm in arms if arm.baseline is not None for label in baselines(spec, arm.baseline)]


def _cycle_warnings(schedule: BaseCyclic, clock: Clock) -> Iterator[str]:
    main = after_warmup(schedule, clock)
    num_steps = main.num_steps
    step_size, cycle_steps = schedule.step_size_steps(main), schedule.cycle_steps(main)
    epochs = cycle_steps / 2 / clock.steps_per_epoch
    low, high = STEP_SIZE_EPOCHS
    if num_steps - 1 < step_size:
        yield (
            f"max_lr is never reached: the step size is {counted(step_size, 'step', 'g')} and the rate rises "
            f"for {counted(num_steps, 'step')} only, "
            f"to {(num_steps - 1) / step_size:.0%} of the way; lengthen the run or shorten the step size"
        )
    if not low <= epochs <= high:
        half = "step size" if schedule.step_size_down is None else "half a cycle"
        yield f"{half} is {counted(epochs, 'epoch', '.3g')}; the paper recommends {low} to {high} epochs"
    cycles = num_steps / cycle_steps
    if cycles < MIN_CYCLES:
        yield f"the run has {counted(cycles, 'cycle', '.3g')}; the paper recommends at least {MIN_CYCLES}"
    if abs(cycles - round(cycles)) * cycle_steps > 1 or round(cycles) == 0:
        yield (
            f"training ends mid-cycle, after {counted(cycles, 'cycle', '.3g')}; the rate is lowest, and the model "
            "best, at the end of one"
        )


def _late_milestones(schedule: Schedule, clock: Clock) -> Iterator[str]:
    left = after_warmup(schedule, clock).num_steps
    for key, length in schedule.lengths.items():
        if key[0] == "milestones" and clock.steps(length) >= left:
            yield (
                f"the milestone {length} is never reached: the schedule has {counted(left, 'step')} of "
                f"{clock.steps_per_epoch} an epoch"
            )


def _decay_warnings(schedule: Schedule, clock: Clock) -> Iterator[str]:
    main = after_warmup(schedule, clock)
    num_steps, arguments = main.num_steps, schedule.arguments(main)
    lengths = {key: value for key, value in arguments.items() if isinstance(value, int)}
    if schedule.name == "step_decay" and num_steps <= lengths["every_steps"]:
        yield (
            f"the rate never steps: it would after {counted(lengths['every_steps'], 'step')}, and training ends "
            f"after {num_steps}"
        )
    if schedule.name == "cosine_restarts":
        left, period = num_steps, lengths["period_steps"]
        while left > period:
            left, period = left - period, period * lengths["multiplier"]
        if left < period:
            yield (
                f"training ends mid-period, {left} of {counted(period, 'step')} after a restart; the rate is "
                "lowest, and the model "
                "best, at the end of a period"
            )


def _confounding(spec: Spec, arm: ResolvedArm, clocks: Mapping[str, Clock]) -> Iterator[str]:
    if arm.baseline is None:
        return
    baseline = spec.resolved_arm(arm.baseline)
    differing = _differing_keys(arm, baseline)
    both = (clocks[arm.name], clocks[baseline.name])
    epochs, baseline_epochs = (clock.num_steps / clock.steps_per_epoch for clock in both)
    if abs(epochs - baseline_epochs) >= 1 / min(clock.steps_per_epoch for clock in both):
        differing.append(
            f"duration {counted(epochs, 'epoch', '.3g')} against {counted(baseline_epochs, 'epoch', '.3g')}"
        )
    if differing:
        yield (
            f"arm {arm.name}: confounded with its baseline {arm.baseline}: it differs in more than its schedule "
            f"({'; '.join(differing)}); a difference cannot be attributed to the learning rate"
        )


def _differing_keys(arm: ResolvedArm, baseline: ResolvedArm) -> list[str]:
    """Return what differs between two arms besides schedule and duration, each with both values."""
    settings, others = (asdict(one.optimizer.settings()) for one in (arm, baseline))
    values = {"batch_size": (arm.batch_size, baseline.batch_size)}
    values |= {f"optimizer.{key}": (value, others[key]) for key, value in settings.items()}
    return [f"{key} {value} against {other}" for key, (value, other) in values.items() if value != other]


def _stand_in(spec: Spec) -> Iterator[str]:
    name = spec.data.dataset
    if original := STAND_INS.get(name):
        yield f"data set {name} is rendered, a stand-in for {original}: this is not a result on {original}"


def _too_few_seeds(spec: Spec) -> Iterator[str]:
    family = len(comparisons(spec))
    if family == 0:
        return
    needed = pairs_needed(spec.verdict.alpha, family)
    if len(spec.seeds) < needed:
        yield (
            f"too few seeds: {counted(len(spec.seeds), 'pair')} can reach p = "
            f"{smallest_p_value(len(spec.seeds)):.3g} at best, and "
            f"{counted(family, 'comparison')} at alpha {spec.verdict.alpha:g} "
            f"{'needs' if family == 1 else 'need'} at least {counted(needed, 'seed')}"
        )


def _fine_margin(spec: Spec, rows: SplitSizes) -> Iterator[str]:
    metric, margin = spec.verdict.metric, spec.verdict.margin
    if spec.train is not None:  # nobody knows how many rows it has
        return
    split, count = split_of(metric), rows_of(metric, rows)
    # A margin of 0 asks for no "equivalent".
    if metric in LOSSES or not margin or not count or margin >= 1 / count or not comparisons(spec):
        return
    row = _rounded_up(1 / count)
    yield (
        f"verdict.margin {margin:g} is finer than one of the {count} {split} rows (1 / {count} is about {row}), so no arms "
        f"can be called equivalent; take at least {counted(ceil(1 / margin), f'{split} row')}, or a margin of at least {row}"
    )


def _rounded_up(value: float) -> str:
    """Return a number greater than 0 in three digits, and never less than it is."""
    unit = 10.0 ** (floor(log10(value)) - 2)
    rounded = f"{value:.3g}"
    return rounded if float(rounded) >= value else f"{value + unit / 2:.3g}"


def _short_range_tests(spec: Spec, train_rows: int) -> Iterator[str]:
    for group in asked_range_tests(spec):
        num_steps = range_test_clock(spec, group, train_rows).num_steps
        if num_steps < MIN_CURVE_POINTS:
            of_arm = "" if group.arm is None else f" of arm {group.arm}"
            yield (
                f"range test{of_arm}: a sweep of {spec.range_test.duration} has {counted(num_steps, 'step')} at batch size "
                f"{group.batch_size}, and no curve can be read off fewer than {MIN_CURVE_POINTS}; lengthen "
                "range_test.duration, or take smaller batches"
            )


def _different_update_rules(spec: Spec, backends: tuple[BackendName, ...]) -> Iterator[str]:
    if len(backends) < 2:
        return
    for name in spec.arms:
        arm = spec.resolved_arm(name)
        settings = arm.optimizer.settings()
        if settings.momentum > 0 and settings.update_rule == "native" and arm.schedule.name != "constant":
            yield (
                f"arm {name}: torch and Keras apply momentum differently while the rate changes; set optimizer.update_rule: "
                "shared to set the backends side by side"
            )
