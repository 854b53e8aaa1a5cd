"""Which rows a network gets right: counted by class, averaged over the classes, and packed into bits."""

import math

import numpy as np

from clrbench.counted import counted
from clrbench.records import BoolArray, ByteArray, IntArray


def count_by_class(classes: IntArray, num_classes: int) -> tuple[int, ...]:
    """Return how many of some rows belong to each class, 0 to num_classes - 1; `classes` is int32[rows], of each row."""
    return tuple(np.bincount(classes, minlength=num_classes).tolist())


def balanced_accuracy(hits_by_class: tuple[int, ...], rows_by_class: tuple[int, ...]) -> float:
    """Return the mean, over the classes that have rows, of the share of them that is right; nan where none has any."""
    shares = [hits / rows for hits, rows in zip(hits_by_class, rows_by_class, strict=True) if rows]
    return math.fsum(shares) / len(shares) if shares else math.nan


def pack(hits: BoolArray) -> ByteArray:
    """Return bool[rows] as uint8[ceil(rows / 8)], the first row in the highest bit; a rest is filled with zeros."""
    return np.packbits(hits)


def unpack(packed: ByteArray, num_rows: int) -> BoolArray:
    """Return bool[num_rows] from what `pack` made of it.

    Raises:
        ValueError: If it is not what `pack` makes of so many rows.
    """
    if packed.shape != (-(-num_rows // 8),):
        raise ValueError(f"got {counted(packed.size, 'byte')}, which are not the bits of {counted(num_rows, 'row')}")
    return np.unpackbits(packed, count=num_rows).astype(np.bool_)
