"""A user's own data: an `.npz` file with the arrays x_train, y_train, x_test, y_test."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clrbench.data.content import (
    Arrays,
    DatasetSizes,
    Header,
    array_names,
    check_fits_memory,
    check_layout,
    refuse_test_arrays,
    validation_names,
)
from clrbench.data.foreign import missing_arrays
from clrbench.data.reading import AS_IT_IS, Reading
from clrbench.data.refusal import decoding, misfit
from clrbench.data.unread import unread_validation

MAX_DEFLATE_RATIO = 1032
"""The most bytes that deflate can make of one; a header that declares more is false."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # the same, but for names of fields, which are UTF-8
}


def measure(path: Path, how: Reading = AS_IT_IS) -> DatasetSizes:
    """Return how large the data set in a file is, from the headers of its arrays; nothing that they declare is allocated."""
    with _reading(path) as archive:
        members, file_bytes = _members(path, archive, how), path.stat().st_size
        headers = {key: _read_header(archive, member, file_bytes) for key, member in members.items()}
    sizes = check_layout(str(path), headers, how)
    check_fits_memory(str(path), headers)
    return sizes


def read(path: Path, how: Reading = AS_IT_IS) -> Arrays:
    """Return the arrays in a file: of training, of testing unless that is split off, and of validation if there are any.

    Pickled objects in it are never loaded.
    """
    measure(path, how)
    arrays: Arrays = {}
    with _reading(path) as archive:
        for key, info in _members(path, archive, how).items():
            with archive.open(info) as member:
                arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays


def unread(path: Path) -> tuple[str, ...]:
    """Return a warning about arrays that look as if they were for validation, and are not read under their names."""
    with _reading(path) as archive:
        return unread_validation(archive.namelist())


@contextmanager
def _reading(path: Path) -> Iterator[zipfile.ZipFile]:
    with (
        decoding(path, "allowed: what numpy.savez writes", "an .npz of plain arrays"),
        zipfile.ZipFile(path) as archive,
    ):
        yield archive


def _members(path: Path, archive: zipfile.ZipFile, how: Reading) -> dict[str, zipfile.ZipInfo]:
    """Return the members that hold the arrays; of all others, whatever their names, nothing is read or unpacked."""
    names = archive.namelist()
    there = [name.removesuffix(".npy") for name in names]
    wanted = (*array_names(how), *validation_names(str(path), there))
    missing = [key for key in wanted if f"{key}.npy" not in names]
    if missing:
        raise misfit(f"{path}: {missing_arrays(str(path), names, missing)}")
    if how.splits:
        refuse_test_arrays(str(path), names)
    for key in wanted:
        if names.count(f"{key}.npy") > 1:
            raise misfit(f"{path}: got the array {key} more than once; allowed: once; save them with numpy.savez again")
    return {key: archive.getinfo(f"{key}.npy") for key in wanted}


def _read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file_bytes: int) -> Header:
    """Return what a header declares, once it is known that so many bytes can follow it."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"{info.filename} is of version {version}")
        shape, _, dtype = _HEADERS[version](member)
        num_bytes = member.tell() + math.prod(shape) * dtype.itemsize
    if info.compress_type not in _METHODS:
        raise NotImplementedError(f"{info.filename} is compressed with method {info.compress_type}")
    most = min(info.file_size, MAX_DEFLATE_RATIO * info.compress_size, MAX_DEFLATE_RATIO * file_bytes)
    if min(shape, default=0) >= 0 and not dtype.hasobject and num_bytes > most:
        raise ValueError(f"{info.filename} declares {shape} of {dtype}, which the file cannot hold")
    return shape, dtype
