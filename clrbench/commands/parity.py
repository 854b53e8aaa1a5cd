"""`clrbench parity`: the first steps of every arm, through both backends side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from clrbench.analysis.bounds import bounds_table
from clrbench.answer import Answer
from clrbench.backends import installed
from clrbench.commands.range_test import make_range_tests, next_command
from clrbench.commands.report import range_tests_answer, write_range_test
from clrbench.commands.setup import Job
from clrbench.counted import counted
from clrbench.errors import SpecError
from clrbench.execution.executor import Resources
from clrbench.execution.runner import Runner
from clrbench.execution.task import first_losses
from clrbench.parity import NUM_CONTROLS, Judgement, Parity, judge
from clrbench.planning.experiment import Experiment, check_installed
from clrbench.planning.runs import needed_range_tests, training_runs
from clrbench.records import DoubleArray, FloatArray, json_value
from clrbench.report import words
from clrbench.report.console import WordTable, print_list, print_table, rendered
from clrbench.spec import BACKEND_NAMES, BackendName, Clock, OwnModel, RunSpec

TOLERANCE = 1e-4
"""Largest relative difference of two losses that count as the same."""

MAX_SHOWN_STEPS = 6

_HEADINGS = ("arm", "judgement", "first differ", "difference / controls")
_SIGNS = {Judgement.SAME: "+", Judgement.CHAOS: "~", Judgement.BUG: "-"}
_MEANING = {
    Judgement.SAME: "the backends train alike",
    Judgement.CHAOS: "chaos, not a bug: rounding errors grow as fast in one backend",
    Judgement.BUG: "a bug, not chaos: rounding errors in one backend do not grow as fast",
}
_NATIVE = (
    "not chaos: update_rule is native, so each backend applies its own rule, and these differ; set optimizer.update_rule: shared "
    "to compare the rest"
)


@dataclass(frozen=True)
class ArmParity:
    """An arm through both backends, whose losses are in the order of `BACKEND_NAMES`."""

    arm: str
    lr: FloatArray
    losses: tuple[FloatArray, FloatArray]
    parity: Parity
    native: bool

    def row(self) -> tuple[str, ...]:
        """Return the verdict as a row of a table."""
        parting_step = self.parity.parting_step
        where = "never" if parting_step is None else f"step {parting_step + 1}"
        ratio = f"{self.parity.largest_ratio:.2g} x"
        return (self.arm, f"{_SIGNS[self.parity.judgement]} {self.parity.judgement}", where, ratio)

    def meaning(self) -> str:
        """Return what the verdict means."""
        is_rule = self.parity.judgement is Judgement.BUG and self.native
        return _NATIVE if is_rule else _MEANING[self.parity.judgement]

    def data(self) -> dict[str, object]:
        """Return the same for programs; infinite and missing numbers, as after a divergence, are null."""
        return {
            "arm": self.arm,
            "judgement": self.parity.judgement,
            "native": self.native,
            "parting_step": None if self.parity.parting_step is None else self.parity.parting_step + 1,
            "largest_ratio": json_value(self.parity.largest_ratio),
            "lr": _plain(self.lr),
            "torch_loss": _plain(self.losses[0]),
            "keras_loss": _plain(self.losses[1]),
            "difference": _plain(self.parity.difference),
            "control": _plain(self.parity.control_growth),
        }

    def steps(self) -> WordTable:
        """Return losses and largest differences so far, thinned to `MAX_SHOWN_STEPS`."""
        shown = np.unique(np.linspace(0, len(self.lr) - 1, MAX_SHOWN_STEPS).astype(int))
        torch, keras = self.losses
        rows = [
            (
                str(i + 1),
                f"{self.lr[i]:.6g}",
                f"{torch[i]:.8g}",
                f"{keras[i]:.8g}",
                f"{self.parity.growth[i]:.2g}",
                f"{self.parity.control_growth[i]:.2g}",
            )
            for i in shown.tolist()
        ]
        return WordTable("", (self.arm, "lr", "torch loss", "keras loss", "difference", "controls"), rows)


def parity(job: Job, num_steps: int) -> Answer:
    """Train the first steps of every arm on both backends, and on each once more for every control.

    Range tests are made first where arms take their rates from them; those without an answer are returned instead.
    """
    experiment = job.open()
    _check_in_both(experiment)
    experiment = experiment.on(BACKEND_NAMES)
    _check_comparable(experiment)
    runner = job.runner(experiment)
    experiment = runner.experiment
    if needed_range_tests(experiment.spec):
        runner.folder.create()
    tests = make_range_tests(runner)
    for test in tests.values():
        write_range_test(test)
    if refusals := [test for test in tests.values() if not test.has_answer]:
        return range_tests_answer(refusals, next_command(experiment))
    with experiment.locating():
        runs = training_runs(experiment.spec, experiment.sizes, BACKEND_NAMES, bounds_table(tests))
    first_seed = [run for run in runs if run.seed == experiment.spec.seeds[0]]
    torch, keras = ([*_losses(runner, first_seed, backend, num_steps)] for backend in BACKEND_NAMES)
    arms = [_compared(*losses) for losses in zip(first_seed[: len(torch)], torch, keras, strict=True)]
    return Answer(
        lambda width: parity_text(arms, width), {"tolerance": TOLERANCE, "arms": [arm.data() for arm in arms]}
    )


def parity_text(arms: Sequence[ArmParity], width: int) -> str:
    """Return one verdict per arm, what it means, and a few of the losses that it rests on."""

    def write(console: Console) -> None:
        by_meaning = {arm.meaning(): [other.arm for other in arms if other.meaning() == arm.meaning()] for arm in arms}
        print_list(console, "Verdict", [f"{words.listed(names)}: {meaning}" for meaning, names in by_meaning.items()])
        print_table(console, WordTable("", _HEADINGS, [arm.row() for arm in arms]), wrapping={0})
        for arm in arms:
            print_table(console, arm.steps(), wrapping={0})
        console.print()
        steps = max((len(arm.lr) for arm in arms), default=0)
        apart = f"They differ once the relative loss difference exceeds {TOLERANCE:g}, within {counted(steps, 'step')}."
        controls = "Differences are the largest so far; controls are a backend against itself."
        print_list(console, "Notes", [apart, controls])

    return rendered(write, width)


def _check_in_both(experiment: Experiment) -> None:
    if isinstance(experiment.spec.model, OwnModel):
        with experiment.locating():
            raise SpecError(
                f"{experiment.spec.model.name} is a network of your own, which exists in one framework only, and parity "
                "compares two; choose a built-in network for it: mlp, cnn, lenet5, resnet8",
                key=("model",),
            )


def _check_comparable(experiment: Experiment) -> None:
    experiment.check_has_arms()
    check_installed(BACKEND_NAMES, installed())
    with experiment.locating():
        if experiment.spec.train is not None:
            raise SpecError("a script has no second backend to compare with; name a spec without train", key=("train",))
        if not isinstance(model := experiment.spec.model, OwnModel) and model.settings().dropout > 0:
            raise SpecError(
                "each framework draws dropout in its own way; set it to 0 for parity", key=("model", "dropout")
            )


@dataclass(frozen=True)
class _Losses:
    """Losses of one backend on one arm: float32[k] as planned, and float32[k] of each control."""

    planned: FloatArray
    controls: list[FloatArray]


def _losses(runner: Runner, runs: list[RunSpec], backend: BackendName, num_steps: int) -> Iterator[_Losses]:
    """Yield the losses of a backend on each arm, in their order."""
    with runner.open_executor(Resources(backend, 1, runner.threads)) as executor:
        device = executor.find_device(runner.options.device)
        # No control of one backend is nudged as one of the other's.
        first_control = BACKEND_NAMES.index(backend) * NUM_CONTROLS
        for run in (run for run in runs if run.backend == backend):
            planned, *controls = (
                executor.call(first_losses, runner.experiment.library, run, device, num_steps, control=control)
                for control in (None, *range(first_control, first_control + NUM_CONTROLS))
            )
            yield _Losses(planned, controls)


def _compared(run: RunSpec, torch: _Losses, keras: _Losses) -> ArmParity:
    lr = run.schedule.table(Clock(run.steps_per_epoch, run.num_steps)).astype(np.float32)[: len(torch.planned)]
    losses = (torch.planned, keras.planned)
    judged = judge(losses, (torch.controls, keras.controls), tolerance=TOLERANCE)
    return ArmParity(run.arm, lr, losses, judged, native=run.optimizer.update_rule == "native")


def _plain(values: FloatArray | DoubleArray) -> list[float | None]:
    return [json_value(value) for value in values.tolist()]
