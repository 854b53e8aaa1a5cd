"""What an experiment will do, before anything is trained: its rates, its size, its cost."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.tables import thinned_steps
from clrbench.commands.compare import check_has_arms
from clrbench.commands.fleet import Options
from clrbench.commands.opening import Experiment, check_installed
from clrbench.commands.range_test import all_range_tests, half_length_runs
from clrbench.execution.local import available_cpus
from clrbench.models import build_layers, forward_multiply_adds, num_parameters
from clrbench.planning.runs import (
    BoundsTable,
    arm_clock,
    lr_table,
    needed_range_tests,
    range_test_group,
    range_test_runs,
    split_sizes,
    training_runs,
    with_bounds,
)
from clrbench.planning.tuning import first_rates, given_runs, search_runs
from clrbench.records import Bounds
from clrbench.report.plot_style import to_png
from clrbench.report.plots import schedule_figure
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.spec import RunSpec
from clrbench.stats import pairs_needed, smallest_detectable_difference
from clrbench.store import ResultsFolder

STEP_SECONDS = {"torch": 0.3e-3, "keras": 0.25e-3}
"""About what an update costs beside its arithmetic."""

MULTIPLY_ADDS_PER_SECOND = 2e10
"""About what one thread of a present-day processor does in float32, a backward pass counted as two forward ones."""

WORKER_START_SECONDS = 5.0


@dataclass(frozen=True)
class Preview:
    """The rates of an experiment's arms.

    Attributes:
        experiment: The experiment.
        table: arm, step, epoch, lr: a row an update.
        left_out: Arms whose rates a range test has yet to find.
    """

    experiment: Experiment
    table: pd.DataFrame
    left_out: list[str]
    has_answer = True

    @property
    def text(self) -> str:
        """A text curve of each arm, then the warnings."""
        x_axis, y_axis = TextAxis("epoch"), TextAxis("learning rate")
        parts = [
            text_curve(rates["epoch"].to_numpy(), {str(arm): rates["lr"].to_numpy()}, x_axis=x_axis, y_axis=y_axis)
            for arm, rates in self.table.groupby("arm", sort=False)
        ]
        parts += [f"{arm}: takes its rates from a range test; they are not known before it" for arm in self.left_out]
        parts += [f"Mind: {warning}" for warning in self.experiment.warnings]
        return "\n\n".join([*parts, f"Table and plot: {self.experiment.root / 'schedule'}"])

    @property
    def data(self) -> dict[str, Any]:
        """First, highest and last rate of each arm, and the warnings."""
        arms = {
            str(arm): {"steps": len(rates), "first_lr": first, "highest_lr": float(rates["lr"].max()), "last_lr": last}
            for arm, rates in self.table.groupby("arm", sort=False)
            for first, last in [(float(rates["lr"].iloc[0]), float(rates["lr"].iloc[-1]))]
        }
        return {"arms": arms, "left_out": self.left_out, "warnings": self.experiment.warnings}


def preview_schedules(experiment: Experiment) -> Preview:
    """Write the rate of every update of every arm, as a table and a plot, and return them.

    Raises:
        SpecError: If a schedule does not fit into its run.
        ResultsError: If the disk does not take the files.
    """
    check_has_arms(experiment)
    spec = experiment.spec
    tables, left_out = [], []
    with experiment.locating():
        train_rows = split_sizes(spec, experiment.sizes).train
        for name in spec.arms:
            arm, clock = spec.resolved_arm(name), arm_clock(spec, name, train_rows)
            if arm.schedule.needs_range_test:
                found = _known_bounds(experiment, name)
                if found is None:
                    left_out.append(name)
                    continue
                arm = replace(arm, schedule=with_bounds(arm.schedule, found))
            step = np.arange(1, clock.num_steps + 1)
            lr = lr_table(arm, clock).astype(np.float32)
            tables.append(pd.DataFrame({"arm": name, "step": step, "epoch": step / clock.steps_per_epoch, "lr": lr}))
    columns = ["arm", "step", "epoch", "lr"]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    folder = ResultsFolder(experiment.root)
    folder.create()
    with folder.tables_lock():
        folder.write_table("schedule/schedule.csv", table)
        if tables:
            thinned = [rates.iloc[thinned_steps(rates["lr"].to_numpy())] for rates in tables]
            figure = schedule_figure(pd.concat(thinned, ignore_index=True).assign(backend=""), list(spec.arms))
            folder.write_bytes("schedule/lr_schedule.png", to_png(figure))
    return Preview(experiment, table, left_out)


def _known_bounds(experiment: Experiment, arm: str) -> Bounds | None:
    """Return the bounds that the range test of an arm found on the first backend that has any, or None."""
    folder = ResultsFolder(experiment.root).range_test(range_test_group(experiment.spec, arm).arm)
    for found in folder.bounds().values():
        if found["reason"] is None:
            return Bounds(found["base_lr"], found["max_lr"])
    return None


@dataclass(frozen=True)
class DryRun:
    """What an experiment will cost, roughly, and what it can show.

    Attributes:
        experiment: The experiment.
        num_runs: Runs in all, those of range tests and searches among them.
        num_tries: Those of them that try the rates of tuned arms, without the rate that a search may add.
        num_steps: Updates in all.
        minutes: About how long they take, were none there yet.
        memory_gigabytes: About what the workers take together, in 1e9 bytes.
        workers: Worker processes.
        detectable_sds: The smallest difference that this many pairs show four times in five, in standard deviations of
            the paired differences; None where no difference can be shown.
    """

    experiment: Experiment
    num_runs: int
    num_tries: int
    num_steps: int
    minutes: float
    memory_gigabytes: float
    workers: int
    detectable_sds: float | None
    has_answer = True

    @property
    def text(self) -> str:
        """All of it in words."""
        spec = self.experiment.spec
        pairs = len(spec.seeds)
        shown = (
            f"{pairs} pairs show a difference of {self.detectable_sds:.2g} standard deviations of the paired differences, "
            "four times in five"
            if self.detectable_sds is not None
            else f"{pairs} pairs cannot show any difference at alpha {spec.verdict.alpha:g}; "
            f"{pairs_needed(spec.verdict.alpha, max(1, len(self.experiment.comparisons)))} can"
        )
        tries = f"{self.num_tries} of them try the rates of tuned arms; one more rate is tried where the best lies at an edge"
        lines = [
            f"{spec.name}: {self.num_runs} runs, {self.num_steps} steps in all, on {', '.join(self.experiment.backends)}",
            f"about {max(1, round(self.minutes))} min with {self.workers} workers, {self.memory_gigabytes:.1f} GB of memory",
            *([tries] if self.num_tries else []),
            shown,
            *(f"Mind: {warning}" for warning in self.experiment.warnings),
        ]
        return "\n".join(lines)

    @property
    def data(self) -> dict[str, Any]:
        """All of it as plain data."""
        names = ("num_runs", "num_tries", "num_steps", "minutes", "memory_gigabytes", "workers", "detectable_sds")
        return {"experiment": self.experiment.spec.name, **{name: getattr(self, name) for name in names}} | {
            "warnings": self.experiment.warnings
        }


def dry_run(
    experiment: Experiment, options: Options, *, range_test_only: bool = False, check_length: bool = False
) -> DryRun:
    """Return what an experiment will cost, and what it can show.

    Args:
        experiment: The experiment.
        options: How its runs would be made.
        range_test_only: Whether only its range tests would be made.
        check_length: Whether they would be made at half the length too.
    """
    spec = experiment.spec
    check_installed(experiment.backends)
    groups = all_range_tests(spec) if range_test_only else needed_range_tests(spec)
    tries: list[RunSpec] = []
    with experiment.locating():
        runs = [run for group in groups for run in range_test_runs(spec, group, experiment.sizes, experiment.backends)]
        if check_length:
            runs += [run for group in groups for run in half_length_runs(experiment, group)]
        if not range_test_only:
            check_has_arms(experiment)
            # Which rates the range test will find does not change the cost.
            stand_in = {(name, group.arm): Bounds(0.01, 0.1) for name in experiment.backends for group in groups}
            tries, given = _tuning_runs(experiment, stand_in)
            runs += tries + given + training_runs(spec, experiment.sizes, experiment.backends, stand_in)
    workers = min(options.workers or max(1, available_cpus() // (options.threads or 1)), len(runs))
    seconds = sum(_seconds(experiment, run) for run in runs) / workers
    sweeps_and_training = 1 + (bool(groups) and not range_test_only) + check_length + 2 * bool(tries)
    starts = WORKER_START_SECONDS * len(experiment.backends) * sweeps_and_training
    alpha = spec.verdict.alpha / max(1, len(experiment.comparisons))
    detectable = smallest_detectable_difference(1.0, len(spec.seeds), alpha=alpha)
    return DryRun(
        experiment=experiment,
        num_runs=len(runs),
        num_tries=len(tries),
        num_steps=sum(run.num_steps for run in runs),
        minutes=(seconds + starts) / 60,
        memory_gigabytes=workers * max(_bytes(experiment, run) for run in runs) / 1e9,
        workers=workers,
        detectable_sds=detectable if np.isfinite(detectable) else None,
    )


def _tuning_runs(experiment: Experiment, bounds: BoundsTable) -> tuple[list[RunSpec], list[RunSpec]]:
    """Return the tries of tuned arms, and the runs at the rates given, as if no arm were to keep its own."""
    spec, sizes = experiment.spec, experiment.sizes
    rates = first_rates(spec, experiment.backends, bounds)
    return search_runs(spec, sizes, bounds, rates), given_runs(spec, sizes, bounds, dict.fromkeys(rates, ()))


def _seconds(experiment: Experiment, run: RunSpec) -> float:
    layers = build_layers(run.model.settings(), experiment.sizes.image_shape, num_classes=10)
    forward = forward_multiply_adds(layers, experiment.sizes.image_shape)
    splits = split_sizes(experiment.spec, experiment.sizes)
    rows = {"validation": splits.validation, "test": splits.test}
    evaluated = len(run.evaluation_steps) * sum(rows[name] for name in run.evaluated_splits)
    trained = run.num_steps * run.batch_size
    arithmetic = (3 * trained + evaluated) * forward / MULTIPLY_ADDS_PER_SECOND
    return arithmetic + run.num_steps * STEP_SECONDS[run.backend]


def _bytes(experiment: Experiment, run: RunSpec) -> float:
    sizes = experiment.sizes
    resident = run.data.pipeline == "resident"
    images = resident * (sizes.train_rows + sizes.test_rows) * float(np.prod(sizes.image_shape))
    weights = 16.0 * num_parameters(build_layers(run.model.settings(), sizes.image_shape, 10), sizes.image_shape)
    framework = {"torch": 3e8, "keras": 6e8}[run.backend]
    return framework + 2 * images + weights + 4.0 * run.num_steps * (run.batch_size + 12)


def demo_line(cost: DryRun) -> str:
    """Return the line that says what a command without a spec is about to do."""
    return (
        f"No spec given, so this is the packaged demo: {cost.num_runs} runs of a small network on MNIST, on "
        f"{' and '.join(cost.experiment.backends)}, about {max(1, round(cost.minutes))} min; clrbench init writes a spec "
        "of your own."
    )
