"""CIFAR-10, the binary version: no pickle; fetched.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; a record is a label byte and 3,072
bytes, the red, green and blue planes of 32 x 32 pixels.
"""

import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clrbench.counted import counted
from clrbench.data.content import Arrays, DatasetSizes
from clrbench.data.download import published
from clrbench.data.refusal import decoding
from clrbench.errors import DataError

SIZES = DatasetSizes(train_rows=50_000, test_rows=10_000, image_shape=(32, 32, 3))
FILES = {
    "archive": published(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        170_052_171,
    )
}

_FOLDER = "cifar-10-batches-bin"
_MEMBERS = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}
_RECORD_BYTES = 1 + 3 * 32 * 32
_MAX_BATCH_BYTES = 10_000 * _RECORD_BYTES
_FORMAT = f"allowed: CIFAR-10's binary version, {_FOLDER}/, batches of up to 10,000 records of {_RECORD_BYTES} bytes"


def read(files: Mapping[str, Path]) -> Arrays:
    """Return the images and labels in the archive; only the six batches are read, and nothing is unpacked to the disk."""
    path = files["archive"]
    wanted = {f"{_FOLDER}/{name}" for names in _MEMBERS.values() for name in names}
    with decoding(path, _FORMAT, "a .tar.gz"), tarfile.open(path, "r:gz") as archive:
        # In the order of the archive, which is read only once: to go back in it is to unzip it again.
        batches = {member.name: _records(path, archive, member) for member in archive if member.name in wanted}
    arrays: Arrays = {}
    for split, names in _MEMBERS.items():
        missing = [name for name in names if f"{_FOLDER}/{name}" not in batches]
        if missing:
            raise DataError(f"{path}: {', '.join(missing)} missing in {_FOLDER}/; {_FORMAT}")
        records = np.concatenate([batches[f"{_FOLDER}/{name}"] for name in names])
        arrays[f"x_{split}"] = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        arrays[f"y_{split}"] = records[:, 0].astype(np.int64)
    return arrays


def _records(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> npt.NDArray[np.uint8]:
    file = archive.extractfile(member) if member.isfile() else None
    if file is None or member.size % _RECORD_BYTES or not 0 < member.size <= _MAX_BATCH_BYTES:
        raise DataError(f"{path}: got {member.name} of {counted(member.size, 'byte')}; {_FORMAT}")
    return np.frombuffer(file.read(), np.uint8).reshape(-1, _RECORD_BYTES)
