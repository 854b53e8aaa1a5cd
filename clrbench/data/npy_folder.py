"""A user's own data, larger than memory: a folder with x_train.npy, y_train.npy, x_test.npy and y_test.npy."""

import hashlib
import tokenize
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clrbench.data.content import ARRAY_NAMES, Arrays, DatasetSizes, check_layout, misfit, shown
from clrbench.errors import DataError

READING_ERRORS = (
    *(OSError, EOFError, ValueError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError),
    tokenize.TokenError,
)
"""What numpy raises on a header that is no header, or promises more than there is."""


def is_npy_folder(folder: Path) -> bool:
    """Return whether any of the four files is there, so that the folder is meant to hold such a data set."""
    return any(_file(folder, key).is_file() for key in ARRAY_NAMES)


def measure(folder: Path) -> DatasetSizes:
    """Return how large the data set in a folder is, from the headers of its files.

    Raises:
        MisfitError: If a file is missing, or shapes, types or memory order of the arrays are not as they must be.
        DataError: If a file is no `.npy`, is cut short, or holds pickled objects.
    """
    return _measure(folder, read(folder))


def fingerprint(folder: Path) -> str:
    """Return a sha256, in hex, that changes when one of the four files is written again.

    Raises:
        MisfitError: If a file is missing.
        DataError: If a file is unreadable.
    """
    _check_names(folder)
    digest = hashlib.sha256()
    for key in ARRAY_NAMES:
        try:
            status = _file(folder, key).stat()
        except OSError as err:
            raise _unreadable(_file(folder, key), err) from err
        digest.update(f"{key}.npy\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def read(folder: Path) -> Arrays:
    """Return the four arrays of a folder, memory-mapped: nothing but their headers has been read.

    Returns:
        x_train and x_test, uint8 or float32; y_train and y_test, of integers.

    Raises:
        MisfitError: If a file is missing, or shapes, types or memory order of the arrays are not as they must be.
        DataError: If a file is no `.npy`, is cut short, or holds pickled objects.
    """
    _check_names(folder)
    arrays = {key: _open(_file(folder, key)) for key in ARRAY_NAMES}
    _measure(folder, arrays)
    return arrays


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npy"


def _check_names(folder: Path) -> None:
    missing = [f"{key}.npy" for key in ARRAY_NAMES if not _file(folder, key).is_file()]
    if missing:
        raise misfit(f"{folder}: {', '.join(missing)} missing; save each array with numpy.save(path, array)")


def _open(file: Path) -> npt.NDArray[np.generic]:
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except READING_ERRORS as err:
        raise _unreadable(file, err) from err


def _measure(folder: Path, arrays: Arrays) -> DatasetSizes:
    for key in ("x_train", "x_test"):
        _check_images(_file(folder, key), arrays[key])
    return check_layout(str(folder), {key: (array.shape, array.dtype) for key, array in arrays.items()})


def _check_images(file: Path, images: npt.NDArray[np.generic]) -> None:
    if images.dtype not in (np.uint8, np.float32):
        raise misfit(
            f"{file}: got images of type {images.dtype}; allowed: uint8 (0 to 255) or float32, which need no "
            "conversion in memory; convert them with array.astype('float32') and save them again"
        )
    if not images.flags.c_contiguous:
        raise misfit(
            f"{file}: got images in Fortran order; allowed: C order, where the pixels of an image lie together; save "
            "numpy.ascontiguousarray(array)"
        )


def _unreadable(file: Path, err: Exception) -> DataError:
    return DataError(
        f"{file}: cannot be read as an .npy of plain numbers ({shown(err) or type(err).__name__}); allowed: what numpy.save "
        "writes"
    )
