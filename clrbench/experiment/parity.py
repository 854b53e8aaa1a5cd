"""The first steps of every arm, through both backends side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clrbench.errors import SpecError
from clrbench.executors import local_workers
from clrbench.experiment.compare import check_has_arms
from clrbench.experiment.fleet import Fleet
from clrbench.experiment.opening import Experiment, check_installed
from clrbench.experiment.range_test import RangeTests, find_bounds
from clrbench.parity import NUM_CONTROLS, Judgement, Parity, judge
from clrbench.records import FloatArray
from clrbench.runs import needed_range_tests, training_runs
from clrbench.spec import BACKEND_NAMES, Clock, RunSpec
from clrbench.training import first_losses

TOLERANCE = 1e-4
"""Losses that differ by less than this, relatively, count as the same."""

SHOWN_STEPS = 20

_MEANING = {
    Judgement.SAME: "the backends train alike",
    Judgement.CHAOS: "chaos, not a bug: a few roundings grow as fast within one backend",
    Judgement.BUG: "a bug, not chaos: a few roundings within one backend do not grow so fast",
}
_NATIVE = (
    "not chaos: update_rule is native, so each backend applies its own rule, and these differ; set optimizer.update_rule: shared "
    "to compare the rest"
)


@dataclass(frozen=True)
class ArmParity:
    """One arm through both backends.

    Attributes:
        arm: Its name.
        lr: float32[k], the rates.
        losses: float32[k] of each backend, in the order of `BACKEND_NAMES`.
        parity: The judgement over them.
        native: Whether each backend applied its own update rule.
    """

    arm: str
    lr: FloatArray
    losses: tuple[FloatArray, FloatArray]
    parity: Parity
    native: bool

    @property
    def verdict(self) -> str:
        """Where the backends part, and what that means."""
        parity = self.parity
        steps = len(self.lr)
        where = f"no loss differs by more than {TOLERANCE:g} within {steps} steps"
        if parity.parting_step is not None:
            where = f"they part at step {parity.parting_step + 1} (losses differ by more than {TOLERANCE:g})"
        meaning = _MEANING[parity.judgement]
        if parity.judgement is Judgement.BUG and self.native:
            meaning = _NATIVE
        return f"{self.arm}: {meaning}; {where}; the difference is at most {parity.largest_ratio:.2g} times that of the controls"

    def lines(self) -> Iterator[str]:
        """Yield the table, a line a step, thinned to `SHOWN_STEPS`."""
        yield f"{'step':>6} {'lr':>12} {'torch loss':>14} {'keras loss':>14} {'difference':>11} {'controls':>11}"
        shown = np.unique(np.linspace(0, len(self.lr) - 1, SHOWN_STEPS).astype(int))
        torch, keras = self.losses
        for i in shown:
            yield (
                f"{i + 1:>6} {self.lr[i]:>12.6g} {torch[i]:>14.8g} {keras[i]:>14.8g} {self.parity.growth[i]:>11.2g} "
                f"{self.parity.control_growth[i]:>11.2g}"
            )


@dataclass(frozen=True)
class ParityReport:
    """All arms through both backends."""

    arms: list[ArmParity]
    has_answer = True

    @property
    def text(self) -> str:
        """The judgement of every arm, then the tables."""
        lines = [arm.verdict for arm in self.arms]
        for arm in self.arms:
            lines += [
                "",
                f"{arm.arm}: largest relative difference so far, between backends and of the controls",
                *arm.lines(),
            ]
        return "\n".join(lines)

    @property
    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "tolerance": TOLERANCE,
            "arms": [
                {
                    "arm": arm.arm,
                    "judgement": arm.parity.judgement,
                    "native": arm.native,
                    "parting_step": None if arm.parity.parting_step is None else arm.parity.parting_step + 1,
                    "largest_ratio": arm.parity.largest_ratio,
                    "lr": arm.lr.tolist(),
                    "torch_loss": arm.losses[0].tolist(),
                    "keras_loss": arm.losses[1].tolist(),
                    "difference": arm.parity.difference.tolist(),
                    "control": arm.parity.control_growth.tolist(),
                }
                for arm in self.arms
            ],
        }


def compare_backends(fleet: Fleet, num_steps: int) -> ParityReport | RangeTests:
    """Train the first steps of every arm on both backends, and of each backend `NUM_CONTROLS` controls.

    Args:
        fleet: Of the experiment; its range tests are made first where arms take their rates from one.
        num_steps: How many steps.

    Returns:
        The report; or the range tests that gave no answer, where arms take their rates from them.

    Raises:
        SpecError: If the spec names no arm, or its model has dropout, which each framework draws in its own way.
        BackendError: If not both backends are installed.
    """
    _check_comparable(fleet.experiment)
    fleet.prepare()
    fleet = replace(fleet, experiment=replace(fleet.experiment, backends=BACKEND_NAMES))
    if needed_range_tests(fleet.experiment.spec):
        fleet.folder.create()
    bounds, refusals = find_bounds(fleet)
    if refusals.reports:
        return refusals
    experiment = fleet.experiment
    with experiment.locating():
        runs = training_runs(experiment.spec, experiment.sizes, BACKEND_NAMES, bounds)
    first_seed = [run for run in runs if run.seed == experiment.spec.seeds[0]]
    losses = {
        (run.backend, run.arm): found
        for backend in BACKEND_NAMES
        for run, found in _losses(fleet, first_seed, backend, num_steps)
    }
    return ParityReport(
        [
            _arm_parity(run, *(losses[name, run.arm] for name in BACKEND_NAMES))
            for run in first_seed[: len(experiment.spec.arms)]
        ]
    )


def _check_comparable(experiment: Experiment) -> None:
    check_has_arms(experiment)
    check_installed(BACKEND_NAMES)
    with experiment.locating():
        if experiment.spec.model.settings().dropout > 0:
            raise SpecError(
                "each framework draws dropout in its own way; set it to 0 for parity", key=("model", "dropout")
            )


@dataclass(frozen=True)
class _Losses:
    """Losses of one backend on one arm: float32[k] as planned, and float32[k] of every control."""

    planned: FloatArray
    controls: list[FloatArray]


def _losses(fleet: Fleet, runs: list[RunSpec], backend: str, num_steps: int) -> Iterator[tuple[RunSpec, _Losses]]:
    with local_workers(backend, 1, fleet.settings["threads"]) as workers:
        device = workers.find_device(fleet.options.device)
        first_control = BACKEND_NAMES.index(backend) * NUM_CONTROLS  # no control of one backend is nudged as another's
        for run in (run for run in runs if run.backend == backend):
            planned, *controls = (
                workers.call(first_losses, fleet.experiment.library, run, device, num_steps, control=control)
                for control in (None, *range(first_control, first_control + NUM_CONTROLS))
            )
            yield run, _Losses(planned, controls)


def _arm_parity(run: RunSpec, torch: _Losses, keras: _Losses) -> ArmParity:
    clock = Clock(run.steps_per_epoch, run.num_steps)
    return ArmParity(
        arm=run.arm,
        lr=run.schedule.table(clock).astype(np.float32)[: len(torch.planned)],
        losses=(torch.planned, keras.planned),
        parity=judge((torch.planned, keras.planned), (torch.controls, keras.controls), tolerance=TOLERANCE),
        native=run.optimizer.update_rule == "native",
    )
