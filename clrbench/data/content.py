"""What every data set must hold, whatever it was read from.

Sizes and types that are not allowed, or do not fit together, are a MisfitError, values that are not allowed a DataError;
`where` is what its message calls the data set.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.data.refusal import misfit
from clrbench.errors import DataError
from clrbench.records import Dataset, Images, IntArray

ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")

MAX_ROWS = 2**31 - 1
"""The rows of a batch are int32."""

MAX_CLASSES = 100_000
"""A larger label is taken for a mistake: the last layer would hold a column of weights for each."""

PART_BYTES = 2**26
"""How much is read at once of an array that may be larger than memory."""

Array: TypeAlias = npt.NDArray[np.generic]

Arrays: TypeAlias = dict[str, Array]
"""The arrays of a data set, by `ARRAY_NAMES`."""

Header: TypeAlias = tuple[tuple[int, ...], np.dtype[np.generic]]
"""Shape and type of an array."""


@dataclass(frozen=True)
class DatasetSizes:
    """How large a data set is: rows of each split, and height, width and channels of an image."""

    train_rows: int
    test_rows: int
    image_shape: tuple[int, int, int]


def measure_arrays(where: str, arrays: Arrays) -> DatasetSizes:
    """Return how large a data set is; see `check_layout`."""
    return check_layout(where, {key: (array.shape, array.dtype) for key, array in arrays.items()})


def check_layout(where: str, layout: Mapping[str, Header]) -> DatasetSizes:
    """Return how large a data set is, once shapes and types of its arrays are known to fit together.

    Images may have any size and any number of channels, and floats any range: they are taken as they are.
    """
    shapes = {}
    for split in ("train", "test"):
        images, labels = (layout[f"{axis}_{split}"] for axis in "xy")
        shapes[split] = _image_shape(f"{where}: x_{split}", *images)
        _check_labels(f"{where}: y_{split}", *labels, num_rows=images[0][0])
    train_type, test_type = layout["x_train"][1], layout["x_test"][1]
    if shapes["train"] != shapes["test"] or (train_type == np.uint8) != (test_type == np.uint8):
        raise misfit(
            f"{where}: got x_train of {train_type}{list(shapes['train'])} and x_test of {test_type}{list(shapes['test'])} an "
            "image; both must be alike"
        )
    return DatasetSizes(layout["x_train"][0][0], layout["x_test"][0][0], shapes["train"])


def _image_shape(where: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> tuple[int, int, int]:
    if dtype != np.uint8 and dtype.kind != "f":
        raise misfit(f"{where}: got images of type {dtype}; allowed: uint8 (0 to 255) or float; convert them first")
    if len(shape) not in {3, 4} or min(shape) < 1:
        raise misfit(
            f"{where}: got an array of shape {shape}; allowed: [rows, height, width] or "
            "[rows, height, width, channels], each at least 1"
        )
    if shape[0] > MAX_ROWS:
        raise misfit(f"{where}: got {shape[0]} rows; allowed: at most {MAX_ROWS}; leave some out")
    height, width, channels = (*shape[1:], 1)[:3]
    return height, width, channels


def _check_labels(where: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], num_rows: int) -> None:
    if dtype.kind not in "iu":
        raise misfit(f"{where}: got labels of type {dtype}; allowed: integers, 0 for the first class")
    if shape not in {(num_rows,), (num_rows, 1)}:
        raise misfit(f"{where}: got shape {shape} beside {num_rows} images; allowed: [{num_rows}]")


def check_fits_memory(where: str, layout: Mapping[str, Header]) -> None:
    """Check, before anything is allocated, that arrays which are read as a whole are smaller than this machine's memory."""
    num_bytes = sum(math.prod(shape) * dtype.itemsize for shape, dtype in layout.values())
    if num_bytes > memory_bytes():
        raise misfit(
            f"{where}: got arrays of {num_bytes / 1e9:.3g} GB, more than the {memory_bytes() / 1e9:.3g} GB of memory here; "
            "save them as a folder of .npy files, which is read in parts, or leave some rows out"
        )


def memory_bytes() -> int:
    """Return how much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def make_dataset(name: str, where: str, arrays: Arrays, checksum: str | None = None) -> Dataset:
    """Return checked arrays as a data set; a memory-mapped one stays so, and is read in parts.

    The pixels of arrays whose `content_checksum` is handed in have been checked before.
    """
    shape = measure_arrays(where, arrays).image_shape
    x_train, x_test = (_images(arrays[key], shape) for key in ("x_train", "x_test"))
    y_train, y_test = (_labels(f"{where}: {key}", arrays[key]) for key in ("y_train", "y_test"))
    if y_train.min() == y_train.max():
        raise DataError(f"{where}: y_train: got class {y_train[0]} only; allowed: at least two classes to tell apart")
    num_classes = int(max(y_train.max(), y_test.max())) + 1
    if checksum is None:
        _check_pixels(f"{where}: x_train", x_train)
        _check_pixels(f"{where}: x_test", x_test)
        checksum = content_checksum(x_train, y_train, x_test, y_test)
    return Dataset(name, x_train, y_train, x_test, y_test, num_classes, checksum)


def _images(images: Array, shape: tuple[int, int, int]) -> Images:
    images = images.reshape(len(images), *shape)
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images, dtype=np.uint8)
    with np.errstate(over="ignore"):  # a pixel too large for float32 becomes infinite, which is refused
        return np.ascontiguousarray(images, dtype=np.float32)


def _check_pixels(where: str, images: Images) -> None:
    if images.dtype != np.uint8 and not all(np.isfinite(part).all() for part in _parts(images)):
        raise DataError(f"{where}: got nan or infinite pixels; every pixel must be a finite float32")


def _labels(where: str, labels: Array) -> IntArray:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MAX_CLASSES:
        raise DataError(f"{where}: got labels from {low} to {high}; allowed: 0 to {MAX_CLASSES - 1}")
    return labels.reshape(-1).astype(np.int32)


def content_checksum(*arrays: Images | IntArray) -> str:
    """Return the SHA-256, in hex, of types, shapes and values of arrays, read in parts."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for part in _parts(array):
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _parts(array: Images | IntArray) -> Iterator[Images | IntArray]:
    rows = max(1, PART_BYTES * len(array) // max(array.nbytes, 1))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
