"""Rows drawn so that every class keeps its share: those of validation, and those of testing where a data set has none."""

from __future__ import annotations

import numpy as np

from clrbench.counted import counted
from clrbench.data.content import VALIDATION_NAMES, Array, Arrays, check_test_rows
from clrbench.data.reading import Reading
from clrbench.records import IntArray

TEST_SEED = 0
"""The test rows are the same ones for every experiment on the same data."""


def stratified(rows: IntArray, labels: IntArray, num_rows: int, rng: np.random.Generator) -> IntArray:
    """Return `num_rows` (0 to n) of `rows`, ascending, each class with its share to within one row.

    `rows` and `labels`, their classes, are int32[n].
    """
    shuffled = rng.permutation(len(rows))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    # Equal steps through rows sorted by class meet each class in proportion to its size.
    chosen = by_class[np.arange(num_rows) * len(rows) // max(num_rows, 1)]
    return np.sort(rows[chosen])


def split_off(where: str, arrays: Arrays, how: Reading) -> tuple[Arrays, str]:
    """Return arrays whose training rows are split in two, a part of each class for testing; and what was done, in words.

    Rows that are set apart for validation stay as they are.

    Raises:
        MisfitError: If that leaves one of the two without rows.
    """
    images, labels = arrays["x_train"], arrays["y_train"].reshape(-1)
    num_test = check_test_rows(where, len(labels), how)
    every_row = np.arange(len(labels), dtype=np.int32)
    test = stratified(every_row, _as_classes(labels), num_test, np.random.default_rng(TEST_SEED))
    train = np.setdiff1d(every_row, test, assume_unique=True)
    split = {"x_train": images[train], "y_train": labels[train], "x_test": images[test], "y_test": labels[test]}
    return (
        {**split, **{key: arrays[key] for key in VALIDATION_NAMES if key in arrays}},
        f"{num_test} of {counted(len(labels), 'row')}, the same share of each class, are split off for testing (data.test)",
    )


def _as_classes(labels: Array) -> IntArray:
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)
