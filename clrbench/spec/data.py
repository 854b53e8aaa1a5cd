"""The key `data`: which images, how they are split, and how they reach the network."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from clrbench.data import MAX_SIDE, Reading
from clrbench.records import Pipeline
from clrbench.spec import names
from clrbench.spec.part import Part
from clrbench.spec.quantities import Share, ShareOfRows, Whole

DEFAULT_VALIDATION = "10 %"
"""Of the training rows, where a data set has no validation rows of its own."""

Rows: TypeAlias = Annotated[Whole, Field(ge=1)]


class Data(Part):
    """Which images, how they are split, and how they reach the network.

    Validation rows of a data set's own (`x_validation` and `y_validation`, or a folder `validation/`) are all used, and no
    training row is held out: a number or share of rows in `validation` is then ignored, with a warning. `0 rows`
    leaves them out.
    """

    dataset: names.DatasetName
    test: ShareOfRows | None = None
    resize: Annotated[Whole, Field(ge=1, le=MAX_SIDE)] | None = None
    validation: ShareOfRows = Field(default=DEFAULT_VALIDATION, validate_default=True)
    train_rows: Rows | None = None
    test_rows: Rows | None = None
    preprocessing: Literal["scale", "standardise"] = "scale"
    pipeline: Pipeline = "resident"

    @field_validator("test")
    @classmethod
    def _check_test(cls, test: Share | None) -> Share | None:
        if test is not None and test.amount == 0:
            raise ValueError(
                "a part of the rows, such as '20 %'; a data set with test rows of its own needs no such key"
            )
        return test

    def reading(self, *, as_given: bool = False) -> Reading:
        """Return how the data set is to be read; `as_given` for a network of the user's own."""
        percent = self.test.amount if self.test is not None and self.test.unit == "%" else 0.0
        count = int(self.test.amount) if self.test is not None and self.test.unit == "rows" else 0
        return Reading(test_percent=percent, test_count=count, resize=self.resize, as_given=as_given)
