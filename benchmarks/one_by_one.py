"""Trainings of a network that is not dense, one after the other on the torch backend; what they leave is as that of `stacked`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from stacked import DoubleArray, Outcome, outcomes

from clrbench import backends
from clrbench.records import Dataset, IntArray, Scores, Split, TrainPlan


def train(
    plans: Sequence[TrainPlan],
    dataset: Dataset,
    evaluation_steps: Sequence[int],
    test_steps: Sequence[int],
    loss_limit: float,
) -> list[Outcome]:
    """Train all plans; evaluate after each of these numbers of updates, test rows after those of `test_steps` only."""
    made = []
    for plan in plans:
        losses, found = _train(plan, dataset, evaluation_steps, test_steps)
        made += outcomes(losses[None], found[..., None], np.array(sorted(evaluation_steps)), loss_limit)
    return made


def _train(
    plan: TrainPlan, dataset: Dataset, evaluation_steps: Sequence[int], test_steps: Sequence[int]
) -> tuple[DoubleArray, DoubleArray]:
    """Return the loss of every update, and five metrics of every evaluation."""
    trainer = backends.load("torch").make_trainer(plan, dataset, "cpu")
    losses, found = [], []
    for start, end in pairwise(sorted({0, *evaluation_steps, len(plan.lr)})):
        losses.append(trainer.train(plan.batches[start:end], plan.lr[start:end]).loss)
        if end in evaluation_steps:
            validation = trainer.evaluate(Split.VALIDATION)
            metrics = [validation.loss, *_accuracies(validation, plan.validation_classes)]
            if end in test_steps:
                metrics += _accuracies(trainer.evaluate(Split.TEST), plan.test_classes)
            found.append(metrics + [np.nan] * (5 - len(metrics)))
    return np.concatenate(losses).astype(np.float64), np.array(found)


def _accuracies(scores: Scores, classes: IntArray) -> list[float]:
    """Return accuracy, and its mean over the classes."""
    return [scores.accuracy, float(np.mean([scores.hits[classes == label].mean() for label in np.unique(classes)]))]
