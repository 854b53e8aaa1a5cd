"""A user's own data: an `.npz` file with the arrays x_train, y_train, x_test, y_test."""

import tokenize
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from clrbench.data.content import ARRAY_NAMES, DatasetSizes, check_layout, make_dataset, misfit
from clrbench.errors import DataError
from clrbench.records import Dataset

Content = TypeVar("Content")

_ZIP_ERRORS = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What zipfile raises on damaged, encrypted or unknown content; NotImplementedError is a RuntimeError."""

_HEADER_ERRORS = (ValueError, TypeError, SyntaxError, OverflowError, MemoryError, tokenize.TokenError)
"""What numpy raises on a header that is no header, or promises more than there can be."""


def measure(path: Path) -> DatasetSizes:
    """Return how large the data set in a file is, from the headers of its arrays.

    Raises:
        MisfitError: If an array is missing, or their shapes and types do not fit together.
        DataError: If the file is not an `.npz`.
    """
    return check_layout(str(path), _read(path, _read_header))


def load(path: Path) -> Dataset:
    """Return the data set in a file; pickled objects in it are never loaded.

    Raises:
        DataError: If the file is unreadable, lacks an array, or its arrays do not fit together.
    """
    arrays = _read(path, partial(np.lib.format.read_array, allow_pickle=False))
    return make_dataset(str(path), str(path), arrays)


def _read(path: Path, read: Callable[[IO[bytes]], Content]) -> dict[str, Content]:
    content = {}
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names(path, archive.namelist())
            for key in ARRAY_NAMES:
                with archive.open(f"{key}.npy") as member:
                    content[key] = read(member)
    except (*_ZIP_ERRORS, *_HEADER_ERRORS) as err:
        raise DataError(
            f"{path}: cannot be read as an .npz of plain arrays ({err}); allowed: what numpy.savez writes"
        ) from err
    return content


def _check_names(path: Path, members: list[str]) -> None:
    missing = [key for key in ARRAY_NAMES if f"{key}.npy" not in members]
    if missing:
        there = ", ".join(sorted(name.removesuffix(".npy") for name in members))
        raise misfit(
            f"{path}: got the arrays {there or 'none'}; {', '.join(missing)} missing; save them with "
            "numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
        )


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype
