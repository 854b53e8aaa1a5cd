"""How the values of a metric are written: accuracies in percent, with as many digits as their rows carry."""

import math
from dataclasses import dataclass
from typing import Self

from clrbench.analysis.comparison import Comparison
from clrbench.analysis.glance import Glance
from clrbench.analysis.metrics import is_accuracy
from clrbench.report.words import metric_unit, plain

_LOSS_DECIMALS = 4
_UNKNOWN_ROWS = 10_000


@dataclass(frozen=True)
class Values:
    """How one metric is written.

    Attributes:
        decimals: Of a value as it is written; of an accuracy in percent, as many as a single row changes.
    """

    metric: str
    decimals: int
    own: bool = False

    @classmethod
    def of(cls, metric: str, rows: int, *, own: bool = False) -> Self:
        """Return how a metric is written.

        Args:
            metric: Its name.
            rows: How many rows it is measured on; 0 where that is not known.
            own: Whether it is that of a script, of which only an accuracy has a unit that is known.
        """
        if not is_accuracy(metric):
            return cls(metric, _LOSS_DECIMALS, own)
        return cls(metric, max(0, math.ceil(math.log10((rows or _UNKNOWN_ROWS) / 100))), own)

    @property
    def unit(self) -> str:
        """The unit of a value: percent, or nats; empty where it is not known."""
        return "%" if is_accuracy(self.metric) else metric_unit(self.metric, own=self.own)

    @property
    def difference_heading(self) -> str:
        """Differences in the metric with their unit, such as `test accuracy, points`."""
        return self._with_unit("points" if is_accuracy(self.metric) else self.unit)

    @property
    def heading(self) -> str:
        """The metric with its unit, such as `test accuracy, %`."""
        return self._with_unit(self.unit)

    def _with_unit(self, unit: str) -> str:
        return ", ".join(filter(None, [plain(self.metric), unit]))

    def value(self, value: float) -> str:
        """Return a value without its unit, such as `95.12`; `-` where there is none."""
        return self._written(value, "")

    def difference(self, value: float) -> str:
        """Return a difference with its sign, such as `+0.91`; in accuracy it is in percentage points."""
        return self._written(value, "+")

    def target(self, value: float) -> str:
        """Return a target with its unit, such as `97 %`, in all its digits."""
        if is_accuracy(self.metric):
            return f"{100 * value:.10g} %"
        return f"{'loss' if self.metric.endswith('loss') else plain(self.metric)} {value:g}"

    def _written(self, value: float, sign: str) -> str:
        if math.isnan(value):
            return "-"
        if math.isinf(value):
            return f"{value:{sign}}"
        shown = f"{value * (100 if is_accuracy(self.metric) else 1):{sign}.{self.decimals}f}"
        # No sign where nothing is left of a difference.
        return shown if any(char in "123456789" for char in shown) else shown.lstrip("+-")


def verdict_values(answer: Glance) -> Values:
    """Return how the metric of an experiment's verdict is written."""
    return Values.of(answer.spec.verdict.metric, answer.rows, own=answer.spec.train is not None)


def difference_words(row: Comparison, values: Values) -> str:
    """Return a mean difference and its interval, such as `+0.91 [+0.50, +1.32]`."""
    if not row.pairs:
        return "no pair"
    ends = f"[{values.difference(row.ci_low)}, {values.difference(row.ci_high)}]"
    return f"{values.difference(row.mean_difference)} {ends if math.isfinite(row.ci_low) else '[unbounded]'}"
