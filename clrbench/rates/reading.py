"""What runs at one rate reached: accuracy and loss at the end of a training, without the jitter of its last update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clrbench.chance import Floor
from clrbench.rates.records import Outcome, Run, Tried
from clrbench.records import DoubleArray

LAST_PART = 0.25
"""The evaluations in this last part of a training at a constant rate count, all alike."""


def end_of(outcome: Outcome, *, part: float) -> tuple[float, float]:
    """Return loss and accuracy at the end of a run, of validation rows or else of its mini-batches; nan if it diverged."""
    if outcome.diverged:
        return np.nan, np.nan
    if not len(outcome.loss):
        last = outcome.train_loss[-max(1, round(len(outcome.train_loss) * part)) :]
        return float(last.mean()), np.nan
    late = outcome.steps > outcome.steps[-1] * (1 - part) - 1e-9
    return float(outcome.loss[late].mean()), float(outcome.accuracy[late].mean())


def tried(outcomes: Mapping[Run, Outcome], floor: Floor, *, part: float = LAST_PART) -> Tried:
    """Return what runs at one rate, a seed each, came to; those that diverged count as guessing."""
    runs = list(outcomes)
    ends = np.array([end_of(outcomes[run], part=part) for run in runs])
    losses, accuracies = ends.T
    known = np.isfinite(losses)
    loss_only = not np.isfinite(np.concatenate([one.accuracy for one in outcomes.values()])).any()
    stands = known if loss_only else np.array([floor.clears(accuracy) for accuracy in accuracies])
    accuracy = np.nan if loss_only and known.any() else float(np.where(known, accuracies, floor.accuracy).mean())
    return Tried(
        lr=runs[0].high,
        seeds=tuple(run.seed for run in runs),
        num_steps=runs[0].num_steps,
        loss=float(losses.mean()) if known.all() else np.inf,
        accuracy=accuracy,
        error=0.0 if np.isnan(accuracy) else floor.error(accuracy),
        collapsed=tuple(run.seed for run, there in zip(runs, stands, strict=True) if not there),
    )


def utilities(all_tried: Sequence[Tried], loss_weight: float) -> DoubleArray:
    """Return how good each rate is, in accuracy: the loss decides, by a little, where accuracies are alike.

    A loss that is a tenth higher than another costs a tenth of `loss_weight`. Where only losses are known they decide alone.
    """
    accuracy = np.array([one.accuracy for one in all_tried])
    loss = np.array([one.loss for one in all_tried])
    least = float(np.clip(loss[np.isfinite(loss)].min(initial=1e9), 1e-3, 1e9))
    penalty = np.log(np.clip(loss, least, 20 * least) / least)
    values: DoubleArray = -penalty if np.isnan(accuracy).any() else accuracy - loss_weight * penalty
    return values


def best_place(found: Mapping[int, Tried], loss_weight: float) -> int:
    """Return the place of the best of some rates; of equal ones the lowest."""
    places = sorted(found)
    return places[int(utilities([found[place] for place in places], loss_weight).argmax())]
