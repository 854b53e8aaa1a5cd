"""A softmax regression in numpy, as somebody's own loop would train one."""

from __future__ import annotations

import numpy as np

from clrbench.records import DoubleArray

ROWS, FEATURES, CLASSES, BATCH = 2000, 20, 5, 32

_rng = np.random.default_rng(7)
X = _rng.standard_normal((ROWS, FEATURES))
Y = (X @ _rng.standard_normal((FEATURES, CLASSES)) + 2 * _rng.standard_normal((ROWS, CLASSES))).argmax(axis=1)
TRAIN, VALIDATION = np.arange(1500), np.arange(1500, ROWS)


class Regression:
    """Weights, and batches drawn by a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.weights = 0.01 * self._rng.standard_normal((FEATURES, CLASSES))

    def train_step(self, lr: float) -> tuple[float, float]:
        """Make an update; return loss and accuracy of its mini-batch before it."""
        rows = self._rng.choice(TRAIN, BATCH)
        share, loss, accuracy = self._scores(rows)
        share[np.arange(BATCH), Y[rows]] -= 1
        self.weights -= lr * X[rows].T @ share / BATCH
        return loss, accuracy

    def validate(self) -> tuple[float, float]:
        """Return loss and accuracy of the validation rows."""
        return self._scores(VALIDATION)[1:]

    def _scores(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[DoubleArray, float, float]:
        logits = X[rows] @ self.weights
        logits -= logits.max(axis=1, keepdims=True)
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        right = share[np.arange(len(rows)), Y[rows]]
        return share, float(-np.log(right + 1e-12).mean()), float((share.argmax(axis=1) == Y[rows]).mean())
