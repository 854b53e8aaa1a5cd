"""What every data set must hold, whatever it was read from.

Sizes and types that are not allowed, or do not fit together, are a MisfitError, values that are not allowed a DataError;
`where` is what its message calls the data set.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from clrbench.counted import counted
from clrbench.data.foreign import label_line
from clrbench.data.reading import AS_IT_IS, Reading
from clrbench.data.refusal import misfit
from clrbench.errors import DataError
from clrbench.machine import memory_bytes
from clrbench.records import NO_REMARKS, Dataset, Images, IntArray, Remarks

ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")
VALIDATION_NAMES = ("x_validation", "y_validation")
"""The arrays of rows that their owner has set apart for validation, where there are any."""

MAX_ROWS = 2**31 - 1
"""The rows of a batch are int32."""

MAX_CLASSES = 100_000
"""More are taken for a mistake: the last layer would hold a column of weights for each."""

MAX_SHOWN_LABELS = 11

PART_BYTES = 2**26
"""How much is read at once of an array that may be larger than memory."""

Array: TypeAlias = npt.NDArray[np.generic]

Arrays: TypeAlias = dict[str, Array]
"""The arrays of a data set, by `ARRAY_NAMES` and, where there are any, `VALIDATION_NAMES`."""

Header: TypeAlias = tuple[tuple[int, ...], np.dtype[np.generic]]
"""Shape and type of an array."""


@dataclass(frozen=True)
class Content:
    """The arrays of a data set, as they were read, and what is to be said of that; `as_given` as in `Reading`."""

    arrays: Arrays
    remarks: Remarks = NO_REMARKS
    as_given: bool = False


@dataclass(frozen=True)
class DatasetSizes:
    """How large a data set is.

    Attributes:
        image_shape: Height, width and channels of an image; or the shape of a row of another form.
        validation_rows: Of those that their owner has set apart; 0 where there are none.
        value_bytes: Bytes that each number of a row takes once it is read: 1 of bytes, 4 of float32 and int32.
    """

    train_rows: int
    test_rows: int
    image_shape: tuple[int, ...]
    validation_rows: int = 0
    value_bytes: int = 1

    @property
    def num_bytes(self) -> int:
        """Bytes that the rows of all splits take once they are read."""
        rows = self.train_rows + self.validation_rows + self.test_rows
        return rows * math.prod(self.image_shape) * self.value_bytes


def array_names(how: Reading) -> tuple[str, ...]:
    """Return the arrays that a data set must have: those of training alone, where test rows are split off them."""
    return ARRAY_NAMES[:2] if how.splits else ARRAY_NAMES


def validation_names(where: str, names: Collection[str]) -> tuple[str, ...]:
    """Return the arrays for validation among the names of arrays: both, or none; raise MisfitError where it is one."""
    found = [key for key in VALIDATION_NAMES if key in names]
    if len(found) == 1:
        missing = next(key for key in VALIDATION_NAMES if key not in names)
        raise misfit(f"{where}: got {found[0]} without {missing}; allowed: both, or neither; add {missing} to it")
    return tuple(found)


def measure_arrays(where: str, arrays: Arrays, how: Reading = AS_IT_IS) -> DatasetSizes:
    """Return how large a data set is; see `check_layout`."""
    return check_layout(where, {key: (array.shape, array.dtype) for key, array in arrays.items()}, how)


def check_layout(where: str, layout: Mapping[str, Header], how: Reading = AS_IT_IS) -> DatasetSizes:
    """Return how large a data set is, once shapes and types of its arrays are known to fit together.

    Images may have any size and any number of channels, and floats any range: they are taken as they are. So are tables,
    [rows, features], and whatever else a network of the user's own is given.
    """
    shapes = {}
    others = (*(() if how.splits else ("test",)), *(("validation",) if "x_validation" in layout else ()))
    for split in ("train", *others):
        images, labels = (layout[f"{axis}_{split}"] for axis in "xy")
        shapes[split] = _row_shape(f"{where}: x_{split}", *images, as_given=how.as_given)
        _check_labels(f"{where}: y_{split}", *labels, num_rows=images[0][0])
    train_type = layout["x_train"][1]
    for split in others:
        its_type = layout[f"x_{split}"][1]
        if shapes["train"] != shapes[split] or _kind(train_type) != _kind(its_type):
            raise misfit(
                f"{where}: got x_train of {train_type}{list(shapes['train'])} and x_{split} of {its_type}{list(shapes[split])} "
                "an image; both must be alike"
            )
    rows = {split: layout[f"x_{split}"][0][0] for split in ("train", *others)}
    num_test = check_test_rows(where, rows["train"], how) if how.splits else rows["test"]
    num_train = rows["train"] - num_test if how.splits else rows["train"]
    value_bytes = 1 if _kind(train_type) == "u" else 4
    return DatasetSizes(num_train, num_test, shapes["train"], rows.get("validation", 0), value_bytes)


def check_test_rows(where: str, num_rows: int, how: Reading) -> int:
    """Return how many of the rows there are to split off; raise MisfitError unless they leave some on both sides."""
    num_test = how.test_rows(num_rows)
    if not 0 < num_test < num_rows:
        raise misfit(
            f"{where}: has {counted(num_rows, 'row')}, of which data.test takes {num_test}; allowed: what "
            "leaves some to train and to test"
        )
    return num_test


def refuse_test_arrays(where: str, names: Iterable[str]) -> None:
    """Raise MisfitError where test rows are to be split off a data set that has some."""
    found = [name.removesuffix(".npy") for name in names if name.removesuffix(".npy") in ARRAY_NAMES[2:]]
    if found:
        raise misfit(f"{where}: holds {', '.join(sorted(found))} already; leave data.test out")


def _kind(dtype: np.dtype[np.generic]) -> str:
    """Return what numbers are taken for: `u` bytes, `i` whole numbers such as those of words, `f` floats."""
    return "u" if dtype == np.uint8 else "i" if dtype.kind in "iu" else dtype.kind


def _row_shape(where: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], *, as_given: bool) -> tuple[int, ...]:
    key = where.rpartition(" ")[2]
    is_table = len(shape) == 2
    if _kind(dtype) not in ("uif" if as_given or is_table else "uf"):
        line = f"{key} = {key}.astype('uint8') * 255" if dtype.kind == "b" else f"{key} = {key}.astype('float32')"
        raise misfit(
            f"{where}: got images of type {dtype}; allowed: uint8 (0 to 255) or float; convert them first: {line}"
        )
    if len(shape) == 1:
        raise misfit(
            f"{where}: got an array of shape {shape}, one number per row; allowed: [rows, features] and more; put each into a "
            f"row of its own: {key} = {key}.reshape(-1, 1)"
        )
    if not (as_given or len(shape) in {2, 3, 4}) or min(shape, default=0) < 1:
        raise misfit(
            f"{where}: got an array of shape {shape}; allowed: [rows, height, width] or "
            "[rows, height, width, channels], each at least 1; [rows, features] for the mlp; any other for a network of your own"
        )
    if shape[0] > MAX_ROWS:
        raise misfit(f"{where}: got {counted(shape[0], 'row')}; allowed: at most {MAX_ROWS}; leave some out")
    return (*shape[1:], 1) if len(shape) == 3 and not as_given else shape[1:]


def _check_labels(where: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], num_rows: int) -> None:
    key = where.rpartition(" ")[2]
    one_hot = len(shape) == 2 and shape[0] == num_rows and shape[1] > 1 and dtype.kind in "iufb"
    line = label_line(key, dtype.kind, one_hot=one_hot)
    advice = f"; {line}" if line else ""
    if dtype.kind not in "iu":
        raise misfit(f"{where}: got labels of type {dtype}; allowed: integers, one per class{advice}")
    if shape not in {(num_rows,), (num_rows, 1)}:
        raise misfit(f"{where}: got shape {shape} beside {counted(num_rows, 'image')}; allowed: [{num_rows}]{advice}")


def check_fits_memory(where: str, layout: Mapping[str, Header]) -> None:
    """Check, before anything is allocated, that arrays which are read as a whole are smaller than this machine's memory."""
    num_bytes = sum(math.prod(shape) * dtype.itemsize for shape, dtype in layout.values())
    if num_bytes > memory_bytes():
        raise misfit(
            f"{where}: got arrays of {num_bytes / 1e9:.3g} GB, more than the {memory_bytes() / 1e9:.3g} GB of memory here; "
            "save them as a folder of .npy files, which is read in parts, or leave some rows out"
        )


def make_dataset(
    name: str,
    where: str,
    arrays: Arrays,
    checksum: str | None = None,
    remarks: Remarks = NO_REMARKS,
    *,
    as_given: bool = False,
) -> Dataset:
    """Return checked arrays as a data set; a memory-mapped one stays so, and is read in parts.

    The classes are the distinct labels of the training rows, in their order. The pixels of arrays whose
    `content_checksum` is handed in have been checked before.
    """
    shape = measure_arrays(where, arrays, Reading(as_given=as_given)).image_shape
    images = {key: _images(f"{where}: {key}", array, shape) for key, array in arrays.items() if key.startswith("x")}
    labels, remarks = _classes(where, arrays, remarks)
    if checksum is None:
        for key, pixels in images.items():
            _check_pixels(f"{where}: {key}", pixels)
        # Without validation rows of its own, a data set keeps the checksum that it had before there could be any.
        found = {**images, **labels}
        checksum = content_checksum(*(found[key] for key in (*ARRAY_NAMES, *VALIDATION_NAMES) if key in found))
    return Dataset(
        name,
        images["x_train"],
        labels["y_train"],
        images["x_test"],
        labels["y_test"],
        num_classes=int(labels["y_train"].max()) + 1,
        checksum=checksum,
        remarks=remarks,
        x_validation=images.get("x_validation"),
        y_validation=labels.get("y_validation"),
    )


def _images(where: str, images: Array, shape: tuple[int, ...]) -> Images:
    images = images.reshape(len(images), *shape)
    kind = _kind(images.dtype)
    if kind == "u":
        return np.ascontiguousarray(images, dtype=np.uint8)
    if kind == "i":
        limits = np.iinfo(np.int32)
        if images.dtype != np.int32 and (images.min() < limits.min or images.max() > limits.max):
            raise DataError(
                f"{where}: got whole numbers from {images.min()} to {images.max()}; allowed: those of int32"
            )
        return np.ascontiguousarray(images, dtype=np.int32)
    with np.errstate(over="ignore"):  # a pixel too large for float32 becomes infinite, which is refused
        return np.ascontiguousarray(images, dtype=np.float32)


def _check_pixels(where: str, images: Images) -> None:
    if images.dtype.kind == "f" and not all(np.isfinite(part).all() for part in _parts(images)):
        raise DataError(f"{where}: got nan or infinite pixels; every pixel must be a finite float32")


def _classes(where: str, arrays: Arrays, remarks: Remarks) -> tuple[dict[str, IntArray], Remarks]:
    """Return the labels of every split, counted from 0 without gaps, and remarks that say so."""
    labels = {key: array.reshape(-1) for key, array in arrays.items() if key.startswith("y")}
    for key, given in labels.items():
        if int(given.min()) < 0:
            low, high = int(given.min()), int(given.max())
            raise misfit(
                f"{where}: {key}: got labels from {low} to {high}; allowed: 0 and above; take rows without a label out"
            )
    classes = np.unique(labels["y_train"])
    if len(classes) == 1:
        raise misfit(f"{where}: y_train: got class {classes[0]} only; allowed: at least two classes to tell apart")
    if len(classes) > MAX_CLASSES:
        raise misfit(
            f"{where}: y_train: got {counted(len(classes), 'different label')}; allowed: at most "
            f"{MAX_CLASSES} classes; are these "
            "numbers to be predicted, or the number of the row?"
        )
    for key, given in labels.items():
        unseen = np.setdiff1d(given, classes)
        if len(unseen):
            raise misfit(
                f"{where}: {key}: got {_some(unseen)}, which no training row has; allowed: the classes of y_train, "
                f"{_some(classes)}; take these rows out, or add such rows to the training data"
            )
    by_class = {key: np.searchsorted(classes, given).astype(np.int32) for key, given in labels.items()}
    if int(classes[-1]) == len(classes) - 1:
        return by_class, remarks
    said = f"the labels {_some(classes)} are the classes 0 to {len(classes) - 1}, {len(classes)} in all"
    names = remarks.class_names or tuple(map(str, classes.tolist()))
    return by_class, replace(remarks, class_names=names, said=(*remarks.said, said))


def _some(labels: Array) -> str:
    """Return a few of many labels, in words."""
    shown = (
        labels.tolist()
        if len(labels) <= MAX_SHOWN_LABELS
        else [*labels[: MAX_SHOWN_LABELS - 1].tolist(), "...", labels[-1]]
    )
    return ", ".join(map(str, shown))


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
