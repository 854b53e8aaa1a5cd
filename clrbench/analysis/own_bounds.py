"""What the curves of somebody's own loop come to, as tables and plain data."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clrbench.rates import Rates
from clrbench.rates.own_curve import OwnCurve

CURVE_COLUMNS = ("seed", "point", "lr", "loss", "accuracy", "smoothed_loss", "smoothed_accuracy")
_SMOOTHED_SHARE = 0.03


@dataclass(frozen=True, eq=False)
class OwnBounds:
    """The rates that curves suggest, and these curves.

    Attributes:
        curve: `CURVE_COLUMNS`, one row per point of each seed; smoothed: moving median of 3 % of the points, at least 3.
        notes: What was taken for what, a sentence each.
    """

    rates: Rates
    curve: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def has_accuracy(self) -> bool:
        """Whether accuracy is known, and not the loss alone."""
        return bool(self.curve["accuracy"].notna().any())


def own_curve_table(curve: OwnCurve) -> pd.DataFrame:
    """Return the raw and the smoothed values of every seed; accuracies are nan where only losses are known."""
    points = len(curve.lr)
    window = max(3, 2 * round(_SMOOTHED_SHARE * points / 2) + 1)
    tables = []
    for place, seed in enumerate(curve.seeds):
        accuracy = np.full(points, np.nan) if curve.accuracy is None else curve.accuracy[place]
        table = pd.DataFrame({"loss": curve.loss[place], "accuracy": accuracy})
        smoothed = table.rolling(window, center=True, min_periods=1).median().where(table.notna())
        both = table.join(smoothed.add_prefix("smoothed_"))
        both = both.assign(seed=seed, point=np.arange(1, points + 1), lr=curve.lr)
        tables.append(both[list(CURVE_COLUMNS)])
    return pd.concat(tables, ignore_index=True)
