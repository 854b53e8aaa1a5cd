"""A user's own data: an `.npz` file with the arrays x_train, y_train, x_test, y_test."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from clrbench.data.content import DatasetSizes, check_image_type, image_shape, make_dataset
from clrbench.errors import DataError
from clrbench.records import Dataset

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def measure(path: Path) -> DatasetSizes:
    """Return how large the data set in a file is, from the headers of its arrays.

    Raises:
        DataError: If the file is not an `.npz` with the four arrays, or its images have no usable shape or type.
    """
    headers = {}
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names(path, [name.removesuffix(".npy") for name in archive.namelist()])
            for key in ("x_train", "x_test"):
                with archive.open(f"{key}.npy") as member:
                    headers[key] = _read_header(member)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as err:
        raise _unreadable(path, err) from err
    for key, (shape, dtype) in headers.items():
        image_shape(f"{path}: {key}", shape)
        check_image_type(f"{path}: {key}", dtype)
    train_shape, test_shape = headers["x_train"][0], headers["x_test"][0]
    return DatasetSizes(train_shape[0], test_shape[0], image_shape(str(path), train_shape))


def load(path: Path) -> Dataset:
    """Return the data set in a file; pickled objects in it are never loaded.

    Raises:
        DataError: If the file is unreadable, lacks an array, or its arrays do not fit together.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names(path, [name.removesuffix(".npy") for name in archive.namelist()])
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in _KEYS}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as err:
        raise _unreadable(path, err) from err
    return make_dataset(path.stem, str(path), arrays)


def _check_names(path: Path, names: list[str]) -> None:
    missing = [key for key in _KEYS if key not in names]
    if missing:
        raise DataError(
            f"{path}: got the arrays {', '.join(sorted(names)) or 'none'}; {', '.join(missing)} missing; save them "
            "with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
        )


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype


def _unreadable(path: Path, err: Exception) -> DataError:
    return DataError(f"{path}: cannot be read as an .npz of plain arrays ({err}); allowed: what numpy.savez writes")
