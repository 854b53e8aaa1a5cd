"""One run of an experiment: the part of the resolved spec that decides its numbers."""

from typing import Annotated, Literal

from pydantic import Field

from clrbench.spec.model import Data, Model, Optimizer
from clrbench.spec.names import BackendName
from clrbench.spec.quantities import Part
from clrbench.spec.schedules import Ramp, Schedule


class RunSpec(Part):
    """One run: every default filled in, every length in steps.

    Attributes:
        arm: Name of its arm; `range-test` in a range test.
        seed: Decides its initial weights, batch order and dropout.
        batch_size: Rows per update.
        num_steps: Updates in all.
        steps_per_epoch: Updates in one pass over the training rows.
        evaluation_steps: Numbers of updates after which it is evaluated, ascending.
        divergence_factor: It has diverged once the loss of a mini-batch exceeds this many times ln(classes).
    """

    backend: BackendName
    arm: str
    seed: int
    data: Data
    model: Model
    optimizer: Optimizer
    batch_size: int
    schedule: Annotated[Schedule | Ramp, Field(union_mode="left_to_right")]
    num_steps: int
    steps_per_epoch: int
    evaluation_steps: tuple[int, ...]
    evaluated_splits: tuple[Literal["validation", "test"], ...]
    divergence_factor: float
