"""What a training of a range test left behind where a script made it, which writes when and what it likes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clrbench.analysis.metrics import metrics_table
from clrbench.rates import Outcome
from clrbench.records import DoubleArray
from clrbench.store import StoredRun


def script_outcome(run: StoredRun) -> Outcome:
    """Return what a run left behind, values between those written taken from the line through their neighbours.

    Without losses of training, those of the validation rows stand for them; without anything of validation rows, the means of
    training since the evaluation before stand for these.
    """
    made = run.updates_made
    every = np.arange(1, run.spec.num_steps + 1)
    table = run.evaluations
    points = table["step"].to_numpy(np.int64)
    loss, accuracy = (table[f"validation_{name}"].to_numpy(np.float64) for name in ("loss", "accuracy"))
    train_loss = run.steps["train_loss"].to_numpy(np.float64)
    if not np.isfinite(np.concatenate([loss, accuracy])).any():
        means = metrics_table("", [run])
        loss, accuracy = (means[f"train_{name}"].to_numpy(np.float64) for name in ("loss", "accuracy"))
    if not np.isfinite(train_loss).any():
        train_loss = np.interp(every, *_known(points, loss)) if np.isfinite(loss).any() else _stand_in(accuracy, every)
    # The last update of a diverged run is that at which it diverged.
    alive = made - 1 if run.has_diverged else made
    return Outcome(
        _filled(every, train_loss, alive),
        points.astype(np.float64),
        *(_filled(points, one, alive) for one in (loss, accuracy)),
    )


def _filled(steps: npt.NDArray[np.int_], values: DoubleArray, alive: int) -> DoubleArray:
    """Return values at these steps up to the last one alive, nan after it, or throughout where nothing was written."""
    known_steps, known = _known(steps, values)
    if not len(known):
        return np.full(len(values), np.nan)
    filled: DoubleArray = np.where(steps <= alive, np.interp(steps, known_steps, known), np.nan)
    return filled


def _known(steps: npt.NDArray[np.int_], values: DoubleArray) -> tuple[npt.NDArray[np.int_], DoubleArray]:
    there = np.isfinite(values)
    return steps[there], values[there]


def _stand_in(accuracy: DoubleArray, every: npt.NDArray[np.int_]) -> DoubleArray:
    """Return losses that only say which updates were made: where accuracies alone are written nothing else is known."""
    return np.full(len(every), 1.0 if np.isfinite(accuracy).any() else np.nan)
