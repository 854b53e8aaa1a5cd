"""What goes in and out of the search for rates: the problem, the runs asked for, what they left behind, the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from clrbench.chance import Floor
from clrbench.records import MIN_CURVE_POINTS, DoubleArray

Ramp: TypeAlias = Literal["linear", "exponential"]
Kind: TypeAlias = Literal["constant", "triangular", "linear", "exponential"]
Stage: TypeAlias = Literal["find", "sweep", "confirm", "triangles"]

BUDGET = 3.0
"""All runs together make at most so many times the updates of the plain sweep."""

MIN_SWEEP_STEPS = MIN_CURVE_POINTS
"""A shorter sweep has too few points for a curve."""


@dataclass(frozen=True)
class Problem:
    """What rates are wanted for.

    Attributes:
        class_counts: Validation rows of each class; empty where that is not known, or there are none.
        num_classes: How many classes there are; 0 where nobody knows.
        arm_steps: Updates of the trainings that the rates are for; None where none are planned.
        sweep_steps: Updates of one sweep.
        seeds: Of the sweeps, in this order.
        start_lr: Where the sweep starts; None to find it. Likewise `end_lr`.
        confirm: Whether to train at rates, after the sweep; without validation rows there is nothing to confirm by.
    """

    class_counts: tuple[int, ...]
    num_classes: int
    sweep_steps: int
    seeds: tuple[int, ...]
    arm_steps: int | None = None
    ramp: Ramp = "linear"
    start_lr: float | None = None
    end_lr: float | None = None
    confirm: bool = True

    @property
    def plain_updates(self) -> int:
        """Updates of the plain sweep: one for every seed."""
        return self.sweep_steps * len(self.seeds)

    @property
    def max_updates(self) -> int:
        """Updates that all runs together may make."""
        return int(BUDGET * self.plain_updates)

    @cached_property
    def floor(self) -> Floor:
        """What guessing reaches on the validation rows."""
        return Floor(self.class_counts, self.num_classes)


@dataclass(frozen=True)
class Run:
    """One training to be made.

    Attributes:
        low: The first rate of a ramp, the lower bound of triangles, the rate of a constant.
        high: The last rate of a ramp, the upper bound of triangles, the rate of a constant.
        cycles: Whole cycles of triangles; 0 elsewhere.
    """

    kind: Kind
    low: float
    high: float
    seed: int
    num_steps: int
    cycles: int = 0

    def lr(self) -> DoubleArray:
        """Return the rate of every update, float64[num_steps]."""
        share = np.arange(self.num_steps) / max(self.num_steps - 1, 1)
        match self.kind:
            case "constant":
                return np.full(self.num_steps, self.high)
            case "linear":
                return self.low + (self.high - self.low) * share
            case "exponential":
                return np.asarray(self.low * (self.high / self.low) ** share, np.float64)
            case "triangular":
                half = self.num_steps / self.cycles / 2
                height = 1 - np.abs(np.arange(self.num_steps) / half % 2 - 1)
                return np.asarray(self.low + (self.high - self.low) * height, np.float64)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run left behind.

    Attributes:
        train_loss: float64[num_steps], raw, of the mini-batch before each update; nan after a divergence.
        steps: int[evaluations], after how many updates it was evaluated, ascending; empty without validation rows.
        loss: float64[evaluations], of the validation rows; nan after a divergence.
        accuracy: float64[evaluations], of the validation rows, balanced where `Floor.uses_balanced_accuracy`; nan after a
            divergence, and everywhere where only losses are known.
    """

    train_loss: DoubleArray
    steps: DoubleArray
    loss: DoubleArray
    accuracy: DoubleArray

    @property
    def diverged(self) -> bool:
        """Whether it ended before its last update."""
        ended = not np.isfinite(self.train_loss[-1]) if len(self.train_loss) else False
        return ended or bool(len(self.loss) and not np.isfinite(self.loss[-1]))

    @property
    def updates(self) -> int:
        """How many updates it made."""
        return int(np.isfinite(self.train_loss).sum())


@dataclass(frozen=True)
class Request:
    """Runs to be made next, all of one stage."""

    stage: Stage
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Tried:
    """What the runs at one rate reached, at the same length.

    Attributes:
        lr: The constant rate, or the upper bound of triangles.
        accuracy: Mean over the seeds; nan where only losses are known.
        error: Standard error of `accuracy` against that of another rate, from the validation rows.
        collapsed: Seeds that diverged, or ended no better than guessing.
    """

    lr: float
    seeds: tuple[int, ...]
    num_steps: int
    loss: float
    accuracy: float
    error: float
    collapsed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rates:
    """The answer: rates to train at, and what they rest on.

    Attributes:
        base_lr: Rate at which accuracy starts to rise, confirmed ones kept from a tenth to a fifth of `max_lr`; None where
            that is in doubt.
        max_lr: Upper bound of cycles; None if the search refuses.
        constant_lr: The constant rate; None if the search refuses.
        triangle_base_lr: Lower bound that `max_lr` was tried with: `base_lr`, or a tenth of `max_lr` where that is None.
        reason: None, or why there is no answer: a stable phrase, a colon and what to do.
        caveats: What to know before relying on the answer, a sentence each.
        sweep_base_lr: Where accuracy starts to rise on the curve of the sweep; None where it shows no such place.
        sweep_max_lr: Likewise where it stops rising.
        confirmed: Whether `constant_lr` rests on trainings at it, and `max_lr` too where there are `triangles`.
        num_steps: Updates of the longest trainings that they rest on.
        updates: Updates of all runs.
        limits: First and last rate of the sweep that the curve comes from.
        found: Whether these limits were found, rather than given.
    """

    base_lr: float | None = None
    max_lr: float | None = None
    constant_lr: float | None = None
    triangle_base_lr: float | None = None
    reason: str | None = None
    caveats: tuple[str, ...] = ()
    sweep_base_lr: float | None = None
    sweep_max_lr: float | None = None
    confirmed: bool = False
    num_steps: int = 0
    updates: int = 0
    limits: tuple[float, float] | None = None
    found: bool = False
    finds: tuple[Tried, ...] = ()
    constants: tuple[Tried, ...] = ()
    triangles: tuple[Tried, ...] = ()
    seed_max_lr: Mapping[int, float | None] = field(default_factory=dict)
    loss_rules: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def only_constant_confirmed(self) -> bool:
        """Whether no training in cycles could be afforded, so that `max_lr` only follows from the constant rate."""
        return self.confirmed and not self.triangles

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper bound of cycles, where there is an answer."""
        if self.triangle_base_lr is None or self.max_lr is None:
            raise ValueError(f"the range test refuses: {self.reason}")
        return self.triangle_base_lr, self.max_lr

    @property
    def constant(self) -> float:
        """The constant rate, where there is an answer."""
        if self.constant_lr is None:
            raise ValueError(f"the range test refuses: {self.reason}")
        return self.constant_lr

    def rounded(self) -> Rates:
        """Return the same with every rate that a curve or a training led to in three significant digits."""
        return replace(
            self,
            base_lr=_to_three_digits(self.base_lr),
            max_lr=_to_three_digits(self.max_lr),
            constant_lr=_to_three_digits(self.constant_lr),
            triangle_base_lr=_to_three_digits(self.triangle_base_lr),
            sweep_base_lr=_to_three_digits(self.sweep_base_lr),
            sweep_max_lr=_to_three_digits(self.sweep_max_lr),
            seed_max_lr={seed: _to_three_digits(rate) for seed, rate in self.seed_max_lr.items()},
            loss_rules={rule: _to_three_digits(rate) for rule, rate in self.loss_rules.items()},
        )


def _to_three_digits(rate: float | None) -> float | None:
    return None if rate is None else float(f"{rate:.3g}")
