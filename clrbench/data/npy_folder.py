"""A user's own data, larger than memory: a folder with x_train.npy, y_train.npy, x_test.npy and y_test.npy.

It may also hold x_validation.npy and y_validation.npy.
"""

from pathlib import Path

import numpy as np

from clrbench import files
from clrbench.data.content import (
    ARRAY_NAMES,
    VALIDATION_NAMES,
    Array,
    Arrays,
    DatasetSizes,
    array_names,
    measure_arrays,
    refuse_test_arrays,
    validation_names,
)
from clrbench.data.reading import AS_IT_IS, Reading
from clrbench.data.refusal import decoding, misfit
from clrbench.data.unread import unread_validation


def is_npy_folder(folder: Path) -> bool:
    """Return whether any of the four files is there, so that the folder is meant to hold such a data set."""
    return any(_file(folder, key).is_file() for key in ARRAY_NAMES)


def measure(folder: Path, how: Reading = AS_IT_IS) -> DatasetSizes:
    """Return how large the data set in a folder is, from the headers of its files."""
    return measure_arrays(str(folder), read(folder, how), how)


def fingerprint(folder: Path, how: Reading = AS_IT_IS) -> str:
    """Return a SHA-256, in hex, that changes when one of the files is written again."""
    _check_names(folder, how)
    with decoding(folder, "replace it"):
        return files.fingerprint(folder, [f"{key}.npy" for key in _keys(folder, how)])


def read(folder: Path, how: Reading = AS_IT_IS) -> Arrays:
    """Return the arrays of a folder, of uint8, float32 or int32, memory-mapped: only their headers have been read."""
    _check_names(folder, how)
    arrays: Arrays = {}
    for key in _keys(folder, how):
        file = _file(folder, key)
        with decoding(file, "allowed: what numpy.save writes", "an .npy of plain numbers"):
            arrays[key] = np.lib.format.open_memmap(file, mode="r")
        if key.startswith("x"):
            _check_images(file, arrays[key], how)
    measure_arrays(str(folder), arrays, how)
    return arrays


def unread(folder: Path) -> tuple[str, ...]:
    """Return a warning about files that look as if they were for validation, and are not read under their names."""
    with decoding(folder, "allow it to be listed"):
        return unread_validation(path.name for path in folder.iterdir() if path.suffix == ".npy")


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npy"


def _keys(folder: Path, how: Reading) -> tuple[str, ...]:
    there = [key for key in VALIDATION_NAMES if _file(folder, key).is_file()]
    return *array_names(how), *validation_names(str(folder), there)


def _check_names(folder: Path, how: Reading) -> None:
    missing = [f"{key}.npy" for key in array_names(how) if not _file(folder, key).is_file()]
    if missing:
        can_be_split = set(missing) == {"x_test.npy", "y_test.npy"}
        share = "; or split off rows for testing: test: 20 % under data" if can_be_split else ""
        raise misfit(f"{folder}: {', '.join(missing)} missing; save each array with numpy.save(path, array){share}")
    if how.splits:
        refuse_test_arrays(str(folder), [f"{key}.npy" for key in ARRAY_NAMES if _file(folder, key).is_file()])


def _check_images(file: Path, images: Array, how: Reading) -> None:
    if images.dtype.kind in "iu" and images.dtype not in (np.uint8, np.int32) and (how.as_given or images.ndim == 2):
        raise misfit(
            f"{file}: got whole numbers of type {images.dtype}; allowed: int32, which needs no conversion in memory; convert "
            "them with array.astype('int32') and save them again"
        )
    whole = images.dtype == np.int32 and (how.as_given or images.ndim == 2)
    if images.dtype not in (np.uint8, np.float32) and not whole:
        raise misfit(
            f"{file}: got images of type {images.dtype}; allowed: uint8 (0 to 255) or float32, which need no "
            "conversion in memory; convert them with array.astype('float32') and save them again"
        )
    if not images.flags.c_contiguous:
        raise misfit(
            f"{file}: got images in Fortran order; allowed: C order, where the pixels of an image lie together; save "
            "numpy.ascontiguousarray(array)"
        )
