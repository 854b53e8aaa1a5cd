"""What every data set must hold, whatever it was read from."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clrbench.errors import DataError
from clrbench.records import Dataset, Images, IntArray


@dataclass(frozen=True)
class DatasetSizes:
    """How large a data set is: rows of each split, and height, width and channels of an image."""

    train_rows: int
    test_rows: int
    image_shape: tuple[int, int, int]


def image_shape(where: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels of images in an array of `shape`.

    Raises:
        DataError: If the array is not [rows, height, width] or [rows, height, width, channels], or is empty.
    """
    if len(shape) not in {3, 4} or min(shape) < 1:
        raise DataError(
            f"{where}: got an array of shape {shape}; allowed: [rows, height, width] or "
            "[rows, height, width, channels], each at least 1"
        )
    height, width, channels = (*shape[1:], 1)[:3]
    return height, width, channels


def check_image_type(where: str, dtype: np.dtype[np.generic]) -> None:
    """Raise DataError unless `dtype` is uint8 or a float."""
    if dtype != np.uint8 and dtype.kind != "f":
        raise DataError(f"{where}: got images of type {dtype}; allowed: uint8 (0 to 255) or float; convert them first")


def make_dataset(name: str, where: str, arrays: dict[str, npt.NDArray[np.generic]]) -> Dataset:
    """Return checked arrays as a data set.

    Args:
        name: What the spec calls it.
        where: What an error message calls it.
        arrays: x_train, y_train, x_test, y_test.

    Raises:
        DataError: If sizes, types or labels do not fit together.
    """
    x_train, x_test = (_images(f"{where}: {key}", arrays[key]) for key in ("x_train", "x_test"))
    if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
        raise DataError(
            f"{where}: got x_train of {x_train.dtype}{list(x_train.shape[1:])} and x_test of "
            f"{x_test.dtype}{list(x_test.shape[1:])} an image; both must be alike"
        )
    y_train, y_test = (
        _labels(f"{where}: {key}", arrays[key], len(images))
        for key, images in (("y_train", x_train), ("y_test", x_test))
    )
    if y_train.min() == y_train.max():
        raise DataError(f"{where}: y_train: got class {y_train[0]} only; allowed: at least two classes to tell apart")
    num_classes = int(max(y_train.max(), y_test.max())) + 1
    return Dataset(name, x_train, y_train, x_test, y_test, num_classes, _checksum(x_train, y_train, x_test, y_test))


def _images(where: str, images: npt.NDArray[np.generic]) -> Images:
    check_image_type(where, images.dtype)
    shape = image_shape(where, images.shape)
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images, dtype=np.uint8).reshape(len(images), *shape)
    with np.errstate(over="ignore"):  # a pixel too large for float32 becomes infinite, which is refused here
        floats = np.ascontiguousarray(images, dtype=np.float32).reshape(len(images), *shape)
    if not np.isfinite(floats).all():
        raise DataError(f"{where}: got nan or infinite pixels; every pixel must be a finite float32")
    return floats


def _labels(where: str, labels: npt.NDArray[np.generic], num_rows: int) -> IntArray:
    if labels.dtype.kind not in "iu":
        raise DataError(f"{where}: got labels of type {labels.dtype}; allowed: integers, 0 for the first class")
    if labels.shape not in {(num_rows,), (num_rows, 1)}:
        raise DataError(f"{where}: got shape {labels.shape} beside {num_rows} images; allowed: [{num_rows}]")
    flat = labels.reshape(num_rows)
    low, high = int(flat.min()), int(flat.max())
    if low < 0 or high >= MAX_CLASSES:
        raise DataError(f"{where}: got labels from {low} to {high}; allowed: 0 to {MAX_CLASSES - 1}")
    return flat.astype(np.int32)


MAX_CLASSES = 100_000
"""A larger label is taken for a mistake: the last layer would hold a column of weights for each."""


def _checksum(*arrays: npt.NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
