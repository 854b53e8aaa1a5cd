"""The MNIST database of handwritten digits, bundled with the package, and the idx format of its files.

Source: Y. LeCun and C. Cortes, "The MNIST database of handwritten digits", CC BY-SA 3.0. An idx file holds two zero bytes,
the type (8 is uint8), the number of axes, the length of each as big-endian uint32, then the values.
"""

import gzip
import math
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clrbench.data.content import Arrays, DatasetSizes
from clrbench.data.refusal import decoding
from clrbench.errors import DataError
from clrbench.files import checksum

SIZES = DatasetSizes(train_rows=60_000, test_rows=10_000, image_shape=(28, 28, 1))
CHECKSUM = "ceda791d3e53beaf95f8e213c414aa4d975006504eff93f785d685ecea3e892c"
"""The `content_checksum` of its arrays."""
MAX_BYTES = 16 + math.prod(SIZES.image_shape) * SIZES.train_rows
"""Size of the largest idx file of MNIST and Fashion-MNIST once unzipped; no more is unzipped of any."""

_FILES = {
    "x_train": ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "y_train": ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "x_test": ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "y_test": ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
"""The file of each array, without its `.gz`, and the SHA-256 of its unzipped content."""


def read() -> Arrays:
    """Return all 70,000 images and labels, their files verified against the published checksums."""
    with as_file(files("clrbench.data") / "mnist") as folder:
        return {
            array: read_idx(folder / f"{name}.gz", sha256, "reinstall clrbench")
            for array, (name, sha256) in _FILES.items()
        }


def read_idx(path: Path, sha256: str | None, advice: str) -> npt.NDArray[np.uint8]:
    """Return the array in a gzipped idx file, whose unzipped content has this SHA-256 unless that is None."""
    with decoding(path, advice), gzip.open(path) as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise DataError(f"{path}: got more than {MAX_BYTES} bytes once unzipped; {advice}")
    got = checksum(raw)
    if sha256 not in {None, got}:
        raise DataError(f"{path}: got sha256 {got} of its unzipped content, expected {sha256}; {advice}")
    num_axes = raw[3] if len(raw) > 3 and raw[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * num_axes
    shape = [int(length) for length in np.frombuffer(raw[4:start], dtype=">u4")] if len(raw) >= start else []
    if num_axes not in {1, 3} or len(raw) - start != math.prod(shape):
        raise DataError(f"{path}: got no idx file of bytes; {advice}")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
