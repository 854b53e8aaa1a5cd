"""CIFAR-10, the binary version: no pickle; fetched.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; a record is a label byte and 3,072
bytes, the red, green and blue planes of 32 x 32 pixels.
"""

import gzip
import os
import tarfile
import zlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clrbench.data.content import Arrays, DatasetSizes, shown
from clrbench.data.sources import RemoteFile
from clrbench.errors import DataError

NAME = "cifar10"
LICENCE = "not stated; cite Krizhevsky 2009"
SIZES = DatasetSizes(train_rows=50_000, test_rows=10_000, image_shape=(32, 32, 3))
FILES = {
    "archive": RemoteFile(
        "cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        170_052_171,
    )
}

_FOLDER = "cifar-10-batches-bin"
_MEMBERS = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}
_RECORD_BYTES = 1 + 3 * 32 * 32
_MOST_BYTES = 10_000 * _RECORD_BYTES
_MOST_UNZIPPED_BYTES = 200_000_000
_MOST_MEMBERS = 1_000
"""The published archive has 184 MB once unzipped, in 9 members."""


def read(files: Mapping[str, Path]) -> Arrays:
    """Return the images and labels in the archive; of its members only the six of records are read, none is unpacked.

    Args:
        files: Path of each of `FILES`.

    Raises:
        DataError: If the archive is damaged, or a member is missing or not made of records.
    """
    path = files["archive"]
    arrays: Arrays = {}
    try:
        with _Unzipped(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as archive:
            # In the order of the archive, which is read but once: to go back in it is to unzip it anew.
            wanted = {f"{_FOLDER}/{name}" for names in _MEMBERS.values() for name in names}
            members = islice(archive, _MOST_MEMBERS)
            batches = {member.name: _records(path, archive, member) for member in members if member.name in wanted}
    except (tarfile.TarError, OSError, EOFError, zlib.error) as err:
        raise DataError(f"{path}: cannot be read as a .tar.gz ({shown(err)}); {_FORMAT}") from err
    for split, names in _MEMBERS.items():
        missing = [name for name in names if f"{_FOLDER}/{name}" not in batches]
        if missing:
            raise DataError(f"{path}: {', '.join(missing)} missing in {_FOLDER}/; {_FORMAT}")
        records = np.concatenate([batches[f"{_FOLDER}/{name}"] for name in names])
        arrays[f"x_{split}"] = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        arrays[f"y_{split}"] = records[:, 0].astype(np.int64)
    return arrays


class _Unzipped(gzip.GzipFile):
    """A gzipped file that ends in an error where more comes out of it than can belong there."""

    def read(self, size: int | None = -1) -> bytes:
        self._check(self.tell() + max(0, size or 0))
        return super().read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(offset)
        return super().seek(offset, whence)

    def _check(self, end: int) -> None:
        if end > _MOST_UNZIPPED_BYTES:
            raise OSError(f"more than {_MOST_UNZIPPED_BYTES} bytes once unzipped")


def _records(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> npt.NDArray[np.uint8]:
    file = archive.extractfile(member) if member.isfile() else None
    if file is None or member.size % _RECORD_BYTES or not 0 < member.size <= _MOST_BYTES:
        raise DataError(f"{path}: got {member.name} of {member.size} bytes; {_FORMAT}")
    return np.frombuffer(file.read(), np.uint8).reshape(-1, _RECORD_BYTES)


_FORMAT = (
    f"allowed: CIFAR-10's binary version, {_FOLDER}/ with batches of up to 10,000 records of {_RECORD_BYTES} bytes"
)
