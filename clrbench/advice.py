"""What a spec is warned about before anything is trained."""

from collections.abc import Iterator

from clrbench.data import DatasetSizes
from clrbench.runs import arm_clock, lr_table, split_sizes
from clrbench.spec import BackendName, BaseCyclic, Clock, Length, ResolvedArm, Spec
from clrbench.stats import pairs_needed, smallest_p_value

FEWEST_CYCLES = 3
STEP_SIZE_EPOCHS = (2, 10)
"""Smith 2017, section 3.2: half a cycle of 2 to 10 epochs; at least 3 cycles; stop at the end of one."""


def warnings(spec: Spec, sizes: DatasetSizes, backends: tuple[BackendName, ...]) -> list[str]:
    """Return what may mislead in the outcome of a spec, each as one sentence that names the arm.

    Args:
        spec: The experiment.
        sizes: Of its data set.
        backends: What it runs on.

    Raises:
        SpecError: If a schedule does not fit into its run.
    """
    found: list[str] = []
    train_rows = split_sizes(spec, sizes).train
    for name in spec.arms:
        arm = spec.resolved_arm(name)
        clock = arm_clock(spec, name, train_rows)
        if isinstance(arm.schedule, BaseCyclic):
            found += (f"arm {name}: {text}" for text in _cycle_warnings(arm.schedule, clock))
        if not arm.schedule.needs_range_test:
            # Finds what no single key shows, such as a rate that sinks below what float32 can hold.
            lr_table(arm, clock)
        found += _confounding(spec, arm)
    found += _too_few_seeds(spec)
    found += _different_update_rules(spec, backends)
    return found


def comparisons(spec: Spec) -> list[tuple[str, str]]:
    """Return each candidate and its baseline, in the order of the arms."""
    arms = [spec.resolved_arm(name) for name in spec.arms]
    return [(arm.name, arm.baseline) for arm in arms if arm.baseline is not None]


def _cycle_warnings(schedule: BaseCyclic, clock: Clock) -> Iterator[str]:
    num_steps = clock.num_steps - schedule.warmup_steps(clock)
    step_size = schedule.step_size_steps(Clock(clock.steps_per_epoch, num_steps))
    epochs = step_size / clock.steps_per_epoch
    low, high = STEP_SIZE_EPOCHS
    if num_steps - 1 < step_size:
        yield (
            f"max_lr is never reached: the step size is {step_size:g} steps and the rate rises for {num_steps} steps only, "
            f"to {(num_steps - 1) / step_size:.0%} of the way from base_lr to max_lr; lengthen the run or shorten the step size"
        )
    if not low <= epochs <= high:
        yield f"step size is {epochs:.3g} epochs; the paper's advice is {low} to {high} epochs"
    cycles = num_steps / (2 * step_size)
    if cycles < FEWEST_CYCLES:
        yield f"the run holds {cycles:.3g} cycles; the paper's advice is at least {FEWEST_CYCLES}"
    if abs(cycles - round(cycles)) * 2 * step_size > 1 or round(cycles) == 0:
        yield f"training ends mid-cycle, after {cycles:.3g} cycles; the rate is lowest, and the model best, at the end of one"


def _confounding(spec: Spec, arm: ResolvedArm) -> Iterator[str]:
    if arm.baseline is None:
        return
    baseline = spec.resolved_arm(arm.baseline)
    differing = arm.overrides(baseline)
    if differing:
        details = "; ".join(
            f"{key} {_plain(getattr(arm, key))} against {_plain(getattr(baseline, key))}" for key in differing
        )
        yield (
            f"arm {arm.name}: confounded with its baseline {arm.baseline}: it differs in more than its schedule ({details}), "
            "so a difference in the outcome cannot be put down to the learning rate"
        )


def _plain(value: object) -> str:
    if isinstance(value, int | Length):
        return str(value)
    return str(getattr(value, "name", value))


def _too_few_seeds(spec: Spec) -> Iterator[str]:
    family = len(comparisons(spec))
    if family == 0:
        return
    needed = pairs_needed(spec.verdict.alpha, family)
    if len(spec.seeds) < needed:
        yield (
            f"too few seeds: {len(spec.seeds)} pairs can reach p = {smallest_p_value(len(spec.seeds)):.3g} at best, and "
            f"{family} comparison{'s' * (family > 1)} at alpha {spec.verdict.alpha:g} need at least {needed} seeds"
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
