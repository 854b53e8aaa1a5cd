"""The key `range_test`: how rates are looked for."""

from typing import Literal, Self

from pydantic import Field, model_validator

from clrbench.spec import names
from clrbench.spec.part import Part, at_key
from clrbench.spec.quantities import Flag, Span
from clrbench.spec.rates import Rate
from clrbench.spec.schedules import Ramp

RANGE_TEST_SEEDS = 3
STAND_IN_LIMITS = (1e-3, 1.0)
"""Of a ramp whose limits have yet to be found, where only its length matters."""


class RangeTest(Part):
    """The LR range test: how the rate rises, for how long, over which seeds, and whether trainings confirm what it finds.

    Attributes:
        start_lr: Where the ramp starts; None to find it by short trainings. Likewise `end_lr`.
        confirm: Whether to train at rates before any is suggested; without validation rows there is nothing to go by.
    """

    start_lr: Rate | None = None
    end_lr: Rate | None = None
    ramp: Literal["linear", "exponential"] = "linear"
    duration: Span = Field(default="5 epochs", validate_default=True)
    seeds: names.OwnSeeds = names.own_seeds(RANGE_TEST_SEEDS, ())
    confirm: Flag = True

    @model_validator(mode="after")
    def _check_rise(self) -> Self:
        if self.start_lr is not None and self.end_lr is not None and self.start_lr >= self.end_lr:
            raise at_key(("start_lr",), f"a rate below end_lr, which is {self.end_lr:g}")
        return self

    @property
    def finds_limits(self) -> bool:
        """Whether short trainings find where the ramp starts, or where it ends."""
        return self.start_lr is None or self.end_lr is None

    def schedule(self) -> Ramp:
        """Return the rising rate as a schedule; limits that are to be found have values that stand for them."""
        start_lr = self.start_lr or min(STAND_IN_LIMITS[0], (self.end_lr or 1) / 100)
        end_lr = self.end_lr or max(STAND_IN_LIMITS[1], start_lr * 100)
        return Ramp(start_lr=start_lr, end_lr=end_lr, kind=self.ramp)
