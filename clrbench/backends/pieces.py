"""Rows cut into pieces: as many images as are read from a larger array at once."""

import math

import numpy as np

from clrbench.records import Images, IntArray

PIECE_BYTES = 2**24
"""Of images: enough to hide what a piece costs beside its copying, and little beside the memory of a framework."""


def cut(rows: IntArray, images: Images, unit: int = 1) -> list[IntArray]:
    """Return rows of `images` in order, in pieces of at most `PIECE_BYTES` of images, or of one unit if that is more.

    A unit is as many entries of `rows` (int32[n, ...]) as stay together; a piece holds a multiple of it.
    """
    image_bytes = images.dtype.itemsize * math.prod(images.shape[1:])
    unit_bytes = image_bytes * max(1, rows[:unit].size)
    length = unit * max(1, PIECE_BYTES // unit_bytes)
    return np.split(rows, range(length, len(rows), length))


def rows_within(piece: IntArray) -> IntArray:
    """Return, in the shape of a piece, where its rows lie once `images[piece.ravel()]` has been read."""
    return np.arange(piece.size, dtype=np.int32).reshape(piece.shape)
