"""The key `verdict`: the question that an experiment answers, fixed beforehand."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clrbench.spec import names
from clrbench.spec.part import Part, at_key
from clrbench.spec.quantities import Number

DEFAULT_MARGIN = 0.001
"""Of an accuracy; see `Verdict.margin`."""


class Verdict(Part):
    """The question fixed beforehand: one metric, one time, one margin, one risk.

    Attributes:
        margin: Differences up to this size do not matter, in the unit of the metric; `DEFAULT_MARGIN` in an accuracy. Other
            metrics have no default: None, and then no arms are called equivalent.
    """

    metric: names.Metric = "test_accuracy"
    at: Literal["end"] = "end"
    margin: Annotated[Number, Field(ge=0)] | None = None
    alpha: Annotated[Number, Field(gt=0, lt=1)] = 0.05

    @model_validator(mode="before")
    @classmethod
    def _fill_in_margin(cls, value: object) -> object:
        if isinstance(value, dict) and "margin" not in value and _is_accuracy(value.get("metric", "test_accuracy")):
            return {**value, "margin": DEFAULT_MARGIN}
        return value

    @model_validator(mode="after")
    def _check_margin(self) -> Self:
        if self.margin is None and _is_accuracy(self.metric):
            raise at_key(("margin",), "a number of at least 0")
        return self


def _is_accuracy(metric: object) -> bool:
    return isinstance(metric, str) and names.own_metric_is_higher(metric) is True
